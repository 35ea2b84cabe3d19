// SPDX-License-Identifier: BSD-2-Clause
//! fsession.multi: one program and one link handle calls and returns of all functions of the
//! kernel; each module has one more program and link. If the kernel has no fsession.multi:
//! fentry.multi and fexit.multi, with two programs and two links each.
//!
//! They cost as little per call as fentry and fexit, and run where kprobe programs are skipped.
//! They attach to all functions at once, by BTF id. One program handles entry functions and inner
//! functions. It should be one, because the kernel prevents recursion within a program, but not
//! between two.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result, bail};
use libbpf_sys::bpf_attach_type;

use super::super::body::Body;
use super::super::object::LoadedObject;
use super::super::patch::Copy;
use super::super::program;
use super::super::sys::{self, ProgramKind};
use super::bisect::attach_all;
use super::trampoline::btf_module;
use super::{AttachProgress, Backend, Links, Refused, tag};
use crate::select::TracedFunction;

/// fsession.multi: one program handles calls and returns.
pub(super) struct FsessionMulti;

/// fentry.multi and fexit.multi: one program for calls, one for returns.
pub(super) struct FentryFexitMulti;

/// A program to load: its name, its instructions, its attach type.
type ProgramTemplate<'t> = (&'static CStr, &'t Body, bpf_attach_type);

/// A loaded program and its attach type.
type LoadedProgram = (OwnedFd, bpf_attach_type);

impl Backend for FsessionMulti {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let session = loaded.copier.layout.tracing_multi.session;
        let session = session.context("the kernel's BTF does not number fsession.multi")?;
        let template = &loaded.templates.tracing_session;
        let parts = [(c"retsnoop_sess", template, session)];
        attach_modules(loaded, &parts, functions, progress)
    }
}

impl Backend for FentryFexitMulti {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let types = loaded.copier.layout.tracing_multi;
        let (entry, exit) = types
            .entry
            .zip(types.exit)
            .context("the kernel's BTF does not number fentry.multi and fexit.multi")?;
        // Attach to returns first: a call that is seen must have its return seen.
        let parts = [
            (c"retsnoop_exit", &loaded.templates.tracing_exit, exit),
            (c"retsnoop_entry", &loaded.templates.tracing_entry, entry),
        ];
        attach_modules(loaded, &parts, functions, progress)
    }
}

/// Attaches to the functions of each BTF object by programs of its own. If that fails for a module,
/// its functions are refused; if it fails for vmlinux, the error is returned.
fn attach_modules(
    loaded: &LoadedObject<'_>,
    parts: &[ProgramTemplate<'_>],
    functions: &[&TracedFunction],
    progress: AttachProgress<'_>,
) -> Result<Links> {
    let mut links = Links::default();
    for (module, functions) in by_module(functions) {
        match load(loaded, parts, module, &functions) {
            Ok(programs) => {
                attach_ids(&programs, functions, &mut links)?;
                links
                    .programs
                    .extend(programs.into_iter().map(|(program, _)| program));
            }
            Err(error) if module.is_none() => return Err(error),
            Err(error) => {
                let all = Links::refused_all(&functions, &error);
                links.refused.extend(all.refused);
            }
        }
        let n_done = links.n_attached + links.refused.len();
        if !progress(n_done, n_done.max(1)) {
            bail!("interrupted");
        }
    }
    Ok(links)
}

/// Groups the functions by the module whose BTF describes them; `None` is vmlinux.
fn by_module<'f>(
    functions: &[&'f TracedFunction],
) -> BTreeMap<Option<&'f str>, Vec<&'f TracedFunction>> {
    let mut modules: BTreeMap<Option<&str>, Vec<&TracedFunction>> = BTreeMap::new();
    for function in functions {
        modules
            .entry(btf_module(function))
            .or_default()
            .push(function);
    }
    modules
}

fn load(
    loaded: &LoadedObject<'_>,
    parts: &[ProgramTemplate<'_>],
    module: Option<&str>,
    functions: &[&TracedFunction],
) -> Result<Vec<LoadedProgram>> {
    let btf = module
        .map(|module| {
            sys::module_btf(module)
                .with_context(|| format!("failed to open the BTF of module `{module}`"))
        })
        .transpose()?;
    // If none of the functions opens sessions, this code is removed, and the verifier need not
    // check it.
    let copy = Copy {
        opens: functions.iter().any(|function| function.entry.is_some()),
        ..Copy::default()
    };
    let load = |&(name, template, attach_type): &ProgramTemplate<'_>| {
        let insns = loaded.copier.copy(template, copy);
        let kind = ProgramKind::TracingMulti {
            attach_type,
            module_btf: btf.as_ref().map(AsFd::as_fd),
        };
        program::load(name, &insns, kind).map(|program| (program, attach_type))
    };
    parts.iter().map(load).collect()
}

/// Attaches the programs to functions of one BTF object. The kernel requires ids in ascending
/// order, each once.
fn attach_ids(
    programs: &[LoadedProgram],
    functions: Vec<&TracedFunction>,
    links: &mut Links,
) -> Result<()> {
    let id = |function: &TracedFunction| function.prototype.map(|prototype| prototype.btf_id);
    let mut functions = functions;
    functions.retain(|function| {
        let has_id = id(function).is_some();
        if !has_id {
            links.refused.push(Refused {
                func: function.id,
                why: "no BTF prototype".to_owned(),
                is_final: false,
            });
        }
        has_id
    });
    functions.sort_by_key(|function| id(function));
    let attach = |batch: &[&TracedFunction]| {
        let ids: Vec<u32> = batch.iter().filter_map(|function| id(function)).collect();
        let cookies: Vec<u64> = batch.iter().map(|function| tag(function)).collect();
        let attach = |(program, attach_type): &LoadedProgram| {
            sys::attach_tracing_multi(program.as_fd(), *attach_type, &ids, &cookies)
        };
        programs.iter().map(attach).collect()
    };
    attach_all(&attach, &functions, links)
}
