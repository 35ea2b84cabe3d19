// SPDX-License-Identifier: BSD-2-Clause
//! uprobe.multi and single uprobes: user functions and USDT probes, by file and offset.
//!
//! The kernel attaches to the inode of a file. The path that it gets leads through our descriptor,
//! so that the file is the one that was examined, even if its path was replaced meanwhile.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Error, Result, bail};

use super::super::body::Body;
use super::super::object::LoadedObject;
use super::super::patch::Copy;
use super::super::program;
use super::super::rlimit::those_that_fit;
use super::super::sys::{self, ProgramKind, TRACE_UPROBE_MULTI};
use super::bisect;
use super::kprobe::{self, CallPrograms};
use super::usdt;
use super::{AttachProgress, Backend, Links, tag};
use crate::select::TracedFunction;
use crate::spec::ObjectId;

/// uprobe.multi: for each file a link for calls and a link for returns.
pub(super) struct UprobeMulti;

/// Single uprobes: two perf events for each function.
pub(super) struct Uprobe;

/// Descriptors for one function of [`Uprobe`]: two events, and two links or programs.
const DESCRIPTORS_PER_FUNCTION: u64 = 4;

impl Backend for UprobeMulti {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let load = |name, template: &Body| {
            let insns = loaded.copier.copy(template, Copy::default());
            program::load(name, &insns, ProgramKind::Kprobe(TRACE_UPROBE_MULTI))
        };
        let templates = &loaded.templates;
        let returns = load(c"retsnoop_uprobe_return", &templates.uprobe_return)?;
        let mut links = Links::default();
        for is_entry in [true, false] {
            let by_file = by_file(functions, is_entry);
            if by_file.is_empty() {
                continue;
            }
            let entry = if is_entry {
                load(c"retsnoop_uprobe_opening", &templates.uprobe_opening)?
            } else {
                load(c"retsnoop_uprobe_inner", &templates.uprobe_inner)?
            };
            for (file, functions) in by_file {
                let path = path_of(loaded, file)?;
                let attach = |batch: &[&TracedFunction]| {
                    let (offsets, cookies): (Vec<u64>, Vec<u64>) = batch
                        .iter()
                        .map(|function| (function.addr().0, tag(function)))
                        .unzip();
                    let attach = |program, is_return| {
                        sys::attach_uprobe_multi(program, is_return, &path, &offsets, &cookies, &[])
                    };
                    // Attach to returns first: a call that is seen must have its return seen.
                    Ok(vec![
                        attach(returns.as_fd(), true)?,
                        attach(entry.as_fd(), false)?,
                    ])
                };
                bisect::attach_all(&attach, &functions, &mut links)?;
                if !progress(links.n_attached + links.refused.len(), functions.len()) {
                    bail!("interrupted");
                }
            }
            links.programs.push(entry);
        }
        links.programs.push(returns);
        usdt::attach_multi(loaded, &usdt::probes_of(functions), &mut links, progress)?;
        Ok(links)
    }
}

impl Backend for Uprobe {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let mut links = Links::default();
        let probes = usdt::probes_of(functions);
        let is_function = |function: &&&TracedFunction| !function.hook.is_usdt();
        let functions: Vec<&TracedFunction> =
            functions.iter().filter(is_function).copied().collect();
        let pmu = loaded.copier.layout.uprobe_pmu;
        let pmu = pmu.context("no PMU for uprobes")?;
        let templates = &loaded.templates;
        let entries = CallPrograms {
            opening: (c"retsnoop_uprobe_opening", &templates.uprobe_opening),
            inner: (c"retsnoop_uprobe_inner", &templates.uprobe_inner),
            returns: (c"retsnoop_uprobe_return", &templates.uprobe_return),
        };
        let open = |function: &TracedFunction, is_return| {
            let (file, offset) = function.hook.user_function().context("no user function")?;
            let path = path_of(loaded, file)?;
            sys::open_uprobe(pmu, is_return, &path, offset, 0).map_err(Error::from)
        };
        if !functions.is_empty() {
            let functions =
                those_that_fit(&functions, DESCRIPTORS_PER_FUNCTION, &mut links.refused)?;
            kprobe::attach_all(loaded, &entries, &open, functions, &mut links, progress)?;
        }
        usdt::attach_single(loaded, pmu, &probes, &mut links, progress)?;
        Ok(links)
    }
}

/// Groups the entry functions, or the others, by file.
fn by_file<'f>(
    functions: &[&'f TracedFunction],
    is_entry: bool,
) -> BTreeMap<ObjectId, Vec<&'f TracedFunction>> {
    let mut files: BTreeMap<ObjectId, Vec<&TracedFunction>> = BTreeMap::new();
    for function in functions
        .iter()
        .filter(|function| function.entry.is_some() == is_entry)
    {
        if let Some((file, _)) = function.hook.user_function() {
            files.entry(file).or_default().push(function);
        }
    }
    files
}

pub(super) fn path_of(loaded: &LoadedObject<'_>, file: ObjectId) -> Result<CString> {
    let file = loaded.user_files.get(file.0 as usize);
    let file = file.and_then(Option::as_ref);
    let number = file.context("no file for a user function")?.as_raw_fd();
    Ok(CString::new(format!("/proc/self/fd/{number}"))?)
}
