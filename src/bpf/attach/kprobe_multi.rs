// SPDX-License-Identifier: BSD-2-Clause
//! kprobe.session and kprobe.multi: one link for thousands of functions, by address.
//!
//! The kernel takes all addresses of a link or none and does not say which one it minds, so a
//! refused batch is halved until the culprits stand alone. (6.7 to 6.11 refuse large batches
//! with `ENOMEM`, an objpool bug; halving is the answer to that, too.)

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Result, bail};
use libbpf_sys::{bpf_attach_type, bpf_insn};

use super::super::object::Loaded;
use super::super::patch::{Copy, patched};
use super::super::program;
use super::super::sys::{self, ProgramKind, TRACE_KPROBE_MULTI, TRACE_KPROBE_SESSION};
use super::{Backend, Links, Progress, Refused, tag};
use crate::select::TracedFunction;

/// Batches of one link that are refused alone may be many where something is wrong with all of
/// them (lockdown, no permission): then the first error is the answer.
const MAX_REFUSED: usize = 256;

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
        for (name, template, functions) in [
            (c"session_inner", &templates.session_inner, inner),
            (c"session_opening", &templates.session_opening, opening),
        ] {
            let program = program(loaded, name, template, TRACE_KPROBE_SESSION)?;
            let attach = |addrs: &[u64], cookies: &[u64]| {
                let kind = TRACE_KPROBE_SESSION;
                sys::attach_kprobe_multi(program.as_fd(), kind, false, addrs, cookies)
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
            let entry = load(name, template)?;
            let attach = |addrs: &[u64], cookies: &[u64]| {
                pair(entry.as_fd(), returns.as_fd(), addrs, cookies)
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

type Attach<'a> = dyn Fn(&[u64], &[u64]) -> io::Result<Vec<OwnedFd>> + 'a;

fn attach_all(attach: &Attach<'_>, functions: &[&TracedFunction], links: &mut Links) -> Result<()> {
    if functions.is_empty() {
        return Ok(());
    }
    let addrs: Vec<u64> = functions.iter().map(|function| function.addr.0).collect();
    let cookies: Vec<u64> = functions.iter().map(|function| tag(function)).collect();
    match attach(&addrs, &cookies) {
        Ok(new) => {
            links.hold(new, functions);
            return Ok(());
        }
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Err(error.into()),
        Err(error) if functions.len() == 1 => {
            links.refused.push(Refused {
                func: functions[0].id,
                why: error.to_string(),
            });
            if links.refused.len() > MAX_REFUSED {
                return Err(error.into());
            }
            return Ok(());
        }
        Err(_) => {}
    }
    let (left, right) = functions.split_at(functions.len() / 2);
    attach_all(attach, left, links)?;
    attach_all(attach, right, links)
}
