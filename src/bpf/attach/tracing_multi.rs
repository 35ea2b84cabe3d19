// SPDX-License-Identifier: BSD-2-Clause
//! fsession.multi: one program and one link for call and return of all functions of the kernel,
//! and one of each for each module.
//!
//! As cheap to run as fentry and fexit, and they run where kprobe programs are skipped; attached
//! at once, by BTF id. One program is enough for entry functions and others, and wanted: the
//! kernel keeps a program out of itself, but not out of its sibling.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result, bail};
use libbpf_sys::bpf_attach_type;

use super::super::object::Loaded;
use super::super::patch::{Copy, patched};
use super::super::program;
use super::super::sys::{self, ProgramKind};
use super::bisect::attach_all;
use super::trampoline::btf_module;
use super::{Backend, Links, Progress, Refused, tag};
use crate::select::TracedFunction;

pub(super) struct TracingMulti;

impl Backend for TracingMulti {
    fn attach(
        &self,
        loaded: &Loaded<'_>,
        functions: &[&TracedFunction],
        progress: Progress<'_>,
    ) -> Result<Links> {
        let attach_type = loaded
            .layout
            .fsession_multi
            .context("the kernel's BTF does not number fsession.multi")?;
        let mut links = Links::default();
        for (module, functions) in by_module(functions) {
            match load(loaded, attach_type, module) {
                Ok(program) => {
                    attach_ids(&program, attach_type, functions, &mut links)?;
                    links.programs.push(program);
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
}

/// The functions of each BTF object.
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
    loaded: &Loaded<'_>,
    attach_type: bpf_attach_type,
    module: Option<&str>,
) -> Result<OwnedFd> {
    let btf = module
        .map(|module| {
            sys::module_btf(module)
                .with_context(|| format!("failed to open the BTF of module `{module}`"))
        })
        .transpose()?;
    let template = &loaded.templates.tracing_session;
    let insns = patched(template, &loaded.layout, Copy::default());
    let kind = ProgramKind::TracingMulti {
        attach_type,
        module_btf: btf.as_ref().map(AsFd::as_fd),
    };
    program::load(c"retsnoop_sess", &insns, kind)
}

/// The kernel wants the ids ascending, each once.
fn attach_ids(
    program: &OwnedFd,
    attach_type: bpf_attach_type,
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
        sys::attach_tracing_multi(program.as_fd(), attach_type, &ids, &cookies)
            .map(|link| vec![link])
    };
    attach_all(&attach, &functions, links)
}
