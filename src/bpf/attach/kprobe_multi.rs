// SPDX-License-Identifier: BSD-2-Clause
//! kprobe.session and kprobe.multi: one link for thousands of functions, by address.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Result, bail};
use libbpf_sys::{bpf_attach_type, bpf_insn};

use super::super::object::Loaded;
use super::super::patch::{Copy, patched};
use super::super::program;
use super::super::sys::{self, ProgramKind, TRACE_KPROBE_MULTI, TRACE_KPROBE_SESSION};
use super::bisect::attach_all;
use super::{Backend, Links, Progress, tag};
use crate::select::TracedFunction;

/// kprobe.session: one program, one link, call and return.
pub(super) struct Session;

/// kprobe.multi and kretprobe.multi.
pub(super) struct Pair;

impl Backend for Session {
    fn attach(
        &self,
        loaded: &Loaded<'_>,
        functions: &[&TracedFunction],
        progress: Progress<'_>,
    ) -> Result<Links> {
        let templates = &loaded.templates;
        let (opening, inner) = split(functions);
        let mut links = Links::default();
        let mut programs = Vec::new();
        for (name, template, functions) in [
            (c"session_inner", &templates.session_inner, inner),
            (c"session_opening", &templates.session_opening, opening),
        ] {
            if !functions.is_empty() {
                let program = program(loaded, name, template, TRACE_KPROBE_SESSION)?;
                programs.push((program, functions));
            }
        }
        // All are loaded before any is attached: the verifier may be among what is traced.
        for (program, functions) in programs {
            let attach = |batch: &[&TracedFunction]| {
                let (addrs, cookies) = addrs_and_cookies(batch);
                let kind = TRACE_KPROBE_SESSION;
                sys::attach_kprobe_multi(program.as_fd(), kind, false, &addrs, &cookies)
                    .map(|link| vec![link])
            };
            attach_all(&attach, &functions, &mut links)?;
            links.programs.push(program);
            go_on(&links, progress, functions.len())?;
        }
        Ok(links)
    }
}

impl Backend for Pair {
    fn attach(
        &self,
        loaded: &Loaded<'_>,
        functions: &[&TracedFunction],
        progress: Progress<'_>,
    ) -> Result<Links> {
        let templates = &loaded.templates;
        let load = |name, template| program(loaded, name, template, TRACE_KPROBE_MULTI);
        let returns = load(c"kprobe_return", &templates.kprobe_return)?;
        let (opening, inner) = split(functions);
        let mut links = Links::default();
        for (name, template, functions) in [
            (c"kprobe_inner", &templates.kprobe_inner, inner),
            (c"kprobe_opening", &templates.kprobe_opening, opening),
        ] {
            if functions.is_empty() {
                continue;
            }
            let entry = load(name, template)?;
            let attach = |batch: &[&TracedFunction]| {
                let (addrs, cookies) = addrs_and_cookies(batch);
                pair(entry.as_fd(), returns.as_fd(), &addrs, &cookies)
            };
            attach_all(&attach, &functions, &mut links)?;
            links.programs.push(entry);
            go_on(&links, progress, functions.len())?;
        }
        links.programs.push(returns);
        Ok(links)
    }
}

fn program(
    loaded: &Loaded<'_>,
    name: &CStr,
    template: &[bpf_insn],
    attach_type: bpf_attach_type,
) -> Result<OwnedFd> {
    let insns = patched(template, &loaded.layout, Copy::default());
    program::load(name, &insns, ProgramKind::Kprobe(attach_type))
}

fn go_on(links: &Links, progress: Progress<'_>, n_functions: usize) -> Result<()> {
    let n_done = links.n_attached + links.refused.len();
    if !progress(n_done, n_done.max(n_functions)) {
        bail!("interrupted");
    }
    Ok(())
}

/// Returns first: a call that is seen must have its return seen.
fn pair(
    entry: BorrowedFd<'_>,
    returns: BorrowedFd<'_>,
    addrs: &[u64],
    cookies: &[u64],
) -> io::Result<Vec<OwnedFd>> {
    let attach = |program, is_return| {
        sys::attach_kprobe_multi(program, TRACE_KPROBE_MULTI, is_return, addrs, cookies)
    };
    Ok(vec![attach(returns, true)?, attach(entry, false)?])
}

fn split<'f>(
    functions: &[&'f TracedFunction],
) -> (Vec<&'f TracedFunction>, Vec<&'f TracedFunction>) {
    functions
        .iter()
        .partition(|function| function.entry.is_some())
}

fn addrs_and_cookies(batch: &[&TracedFunction]) -> (Vec<u64>, Vec<u64>) {
    batch
        .iter()
        .map(|function| (function.addr.0, tag(function)))
        .unzip()
}
