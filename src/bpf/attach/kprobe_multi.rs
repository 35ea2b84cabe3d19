// SPDX-License-Identifier: BSD-2-Clause
//! kprobe.session and kprobe.multi: one link for thousands of functions, which are identified by
//! address.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Result, bail};
use libbpf_sys::bpf_attach_type;

use super::super::body::Body;
use super::super::object::LoadedObject;
use super::super::patch::{Copy, EntryAddrs};
use super::super::program;
use super::super::sys::{self, ProgramKind, TRACE_KPROBE_MULTI, TRACE_KPROBE_SESSION};
use super::bisect::attach_all;
use super::{AttachProgress, Backend, Links, tag};
use crate::select::TracedFunction;

/// kprobe.session: one program and one link handle calls and returns.
pub(super) struct KprobeSession;

/// kprobe.multi and kretprobe.multi: one link for calls, and one for returns.
pub(super) struct KprobeMulti;

impl Backend for KprobeSession {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let templates = &loaded.templates;
        let inner = (c"retsnoop_session_inner", &templates.session_inner);
        let opening = (c"retsnoop_session_opening", &templates.session_opening);
        let any = (c"retsnoop_session_any", &templates.session_any);
        let load = |(name, template): Template<'_>, entries| {
            program(loaded, name, template, TRACE_KPROBE_SESSION, entries)
        };
        let mut loaded_for = Vec::new();
        let roles = by_role(functions, inner, opening);
        match (roles.len(), entries(functions)) {
            (2, Some(entries)) => loaded_for.push((load(any, entries)?, functions.to_vec())),
            _ => {
                for (template, functions) in roles {
                    loaded_for.push((load(template, EntryAddrs::default())?, functions));
                }
            }
        }
        attach_each(loaded_for, progress, &|program, addrs, cookies| {
            let kind = TRACE_KPROBE_SESSION;
            sys::attach_kprobe_multi(program, kind, false, addrs, cookies).map(|link| vec![link])
        })
    }
}

impl Backend for KprobeMulti {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let templates = &loaded.templates;
        let load = |name, template| {
            program(
                loaded,
                name,
                template,
                TRACE_KPROBE_MULTI,
                EntryAddrs::default(),
            )
        };
        let returns = load(c"retsnoop_kprobe_return", &templates.kprobe_return)?;
        let inner = (c"retsnoop_kprobe_inner", &templates.kprobe_inner);
        let opening = (c"retsnoop_kprobe_opening", &templates.kprobe_opening);
        let mut loaded_for = Vec::new();
        for ((name, template), functions) in by_role(functions, inner, opening) {
            loaded_for.push((load(name, template)?, functions));
        }
        let mut links = attach_each(loaded_for, progress, &|entry, addrs, cookies| {
            pair(entry, returns.as_fd(), addrs, cookies)
        })?;
        links.programs.push(returns);
        Ok(links)
    }
}

/// Name and instructions of a program.
type Template<'t> = (&'static CStr, &'t Body);

/// Splits the functions into inner functions and entry functions, each with its program. So the
/// program for inner functions need not contain the code that opens sessions.
fn by_role<'f, 't>(
    functions: &[&'f TracedFunction],
    inner: Template<'t>,
    opening: Template<'t>,
) -> Vec<(Template<'t>, Vec<&'f TracedFunction>)> {
    let (entries, others): (Vec<_>, Vec<_>) = functions
        .iter()
        .partition(|function| function.entry.is_some());
    let mut roles = vec![(inner, others), (opening, entries)];
    roles.retain(|(_, functions)| !functions.is_empty());
    roles
}

/// Returns the addresses by which one program tells entry functions from inner functions, or `None`
/// if they cannot be told apart.
fn entries(functions: &[&TracedFunction]) -> Option<EntryAddrs> {
    let (entries, others): (Vec<_>, Vec<_>) = functions
        .iter()
        .partition(|function| function.entry.is_some());
    let addrs = |functions: Vec<&&TracedFunction>| -> Vec<u64> {
        functions.iter().map(|function| function.addr().0).collect()
    };
    EntryAddrs::among(&addrs(entries), &addrs(others))
}

/// Attaches a program to functions at these addresses, with these cookies.
type Attach<'a> = dyn Fn(BorrowedFd<'_>, &[u64], &[u64]) -> io::Result<Vec<OwnedFd>> + 'a;

/// A program, and the functions that it is for.
type ForFunctions<'f> = (OwnedFd, Vec<&'f TracedFunction>);

/// Attaches each program to its functions. All programs are loaded before: if functions of the
/// verifier are traced, it becomes several times slower.
fn attach_each(
    programs: Vec<ForFunctions<'_>>,
    progress: AttachProgress<'_>,
    attach: &Attach<'_>,
) -> Result<Links> {
    let n_functions = programs.iter().map(|(_, functions)| functions.len()).sum();
    let mut links = Links::default();
    for (program, functions) in programs {
        let attach = |batch: &[&TracedFunction]| {
            let (addrs, cookies) = addrs_and_cookies(batch);
            attach(program.as_fd(), &addrs, &cookies)
        };
        attach_all(&attach, &functions, &mut links)?;
        let n_done = links.n_attached + links.refused.len();
        if !progress(n_done, n_functions) {
            bail!("interrupted");
        }
        links.programs.push(program);
    }
    Ok(links)
}

fn program(
    loaded: &LoadedObject<'_>,
    name: &CStr,
    template: &Body,
    attach_type: bpf_attach_type,
    entries: EntryAddrs,
) -> Result<OwnedFd> {
    let copy = Copy {
        entries,
        generation: loaded.generation,
        ..Copy::default()
    };
    let insns = loaded.copier.copy(template, copy);
    program::load(name, &insns, ProgramKind::Kprobe(attach_type))
}

/// Attaches to the calls and the returns of functions.
fn pair(
    entry: BorrowedFd<'_>,
    returns: BorrowedFd<'_>,
    addrs: &[u64],
    cookies: &[u64],
) -> io::Result<Vec<OwnedFd>> {
    let attach = |program, is_return| {
        sys::attach_kprobe_multi(program, TRACE_KPROBE_MULTI, is_return, addrs, cookies)
    };
    // Attach to returns first: a call that is seen must have its return seen.
    Ok(vec![attach(returns, true)?, attach(entry, false)?])
}

fn addrs_and_cookies(batch: &[&TracedFunction]) -> (Vec<u64>, Vec<u64>) {
    batch
        .iter()
        .map(|function| (function.addr().0, tag(function)))
        .unzip()
}
