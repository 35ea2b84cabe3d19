// SPDX-License-Identifier: BSD-2-Clause
//! Single kprobes and kretprobes, by perf events. Every supported kernel has them.
//!
//! Functions are identified by address, so it does not matter if several have the same name. The
//! events have no names in tracefs. So the kernel removes them with our last descriptor, however
//! our process ends.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Error, Result};

use super::super::body::Body;
use super::super::object::LoadedObject;
use super::super::patch::{Copy, Single, for_single};
use super::super::program;
use super::super::rlimit::those_that_fit;
use super::super::sys::{self, ProgramKind};
use super::{AttachProgress, Backend, Links, Refused, tag};
use crate::select::TracedFunction;

pub(super) struct Kprobe;

/// Descriptors for one function: two events and two links, or two events and two programs if the
/// kernel has no such links.
const DESCRIPTORS_PER_FUNCTION: u64 = 4;

/// The programs for all functions, or what to make them of.
///
/// Before 5.15 (7adfc6c9b315, "bpf: Add `bpf_get_attach_cookie()` BPF helper to access `bpf_cookie`
/// value") a program cannot ask which function it runs at. There each function has programs of its
/// own, which contain its tag.
enum KprobePrograms {
    Shared {
        opening: OwnedFd,
        inner: OwnedFd,
        returns: OwnedFd,
    },
    Copied {
        opening: Body,
        inner: Body,
        returns: Body,
    },
}

impl Backend for Kprobe {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let mut links = Links::default();
        let functions = those_that_fit(functions, DESCRIPTORS_PER_FUNCTION, &mut links.refused)?;
        let pmu = loaded
            .copier
            .layout
            .kprobe_pmu
            .context("no PMU for kprobes")?;
        let templates = &loaded.templates;
        let entries = CallPrograms {
            opening: (c"retsnoop_kprobe_opening", &templates.kprobe_opening),
            inner: (c"retsnoop_kprobe_inner", &templates.kprobe_inner),
            returns: (c"retsnoop_kprobe_return", &templates.kprobe_return),
        };
        let open = |function: &TracedFunction, is_return| {
            sys::open_kprobe(pmu, is_return, function.addr().0).map_err(Error::from)
        };
        attach_all(loaded, &entries, &open, functions, &mut links, progress)?;
        Ok(links)
    }
}

/// Opens the event of a function's call or, if the flag is set, of its return.
pub(super) type OpenEvent<'a> = dyn Fn(&TracedFunction, bool) -> Result<OwnedFd> + 'a;

/// The programs for calls and returns: name and instructions. `opening` is for entry functions.
pub(super) struct CallPrograms<'a> {
    pub(super) opening: (&'static CStr, &'a Body),
    pub(super) inner: (&'static CStr, &'a Body),
    pub(super) returns: (&'static CStr, &'a Body),
}

/// Returns true if the kernel says that there is no place for a probe.
fn is_invalid(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.and_then(io::Error::raw_os_error) == Some(libc::EINVAL)
}

/// Attaches to each function by two events of its own, for its call and its return.
pub(super) fn attach_all(
    loaded: &LoadedObject<'_>,
    entries: &CallPrograms<'_>,
    open: &OpenEvent<'_>,
    functions: &[&TracedFunction],
    links: &mut Links,
    progress: AttachProgress<'_>,
) -> Result<()> {
    let programs = KprobePrograms::load(loaded, entries)?;
    for (n_done, function) in functions.iter().enumerate() {
        match attach_one(entries, open, &programs, function, links) {
            Ok(()) => {}
            Err(error) => links.refused.push(Refused {
                func: function.id,
                why: format!("{error:#}"),
                // Another time it will not be a place for a probe either.
                is_final: is_invalid(&error),
            }),
        }
        if !progress(n_done + 1, functions.len()) {
            break; // all links are dropped together later
        }
    }
    if let KprobePrograms::Shared {
        opening,
        inner,
        returns,
    } = programs
    {
        links.programs.extend([opening, inner, returns]);
    }
    Ok(())
}

impl KprobePrograms {
    fn load(loaded: &LoadedObject<'_>, entries: &CallPrograms<'_>) -> Result<Self> {
        let copy = |template| loaded.copier.copy(template, Copy::default());
        let opening = copy(entries.opening.1);
        let inner = copy(entries.inner.1);
        let returns = copy(entries.returns.1);
        if !loaded.copier.layout.has_cookies {
            return Ok(Self::Copied {
                opening,
                inner,
                returns,
            });
        }
        Ok(Self::Shared {
            opening: load(entries.opening.0, &opening)?,
            inner: load(entries.inner.0, &inner)?,
            returns: load(entries.returns.0, &returns)?,
        })
    }
}

fn load(name: &CStr, insns: &Body) -> Result<OwnedFd> {
    program::load(name, insns, ProgramKind::Kprobe(0))
}

fn attach_one(
    entries: &CallPrograms<'_>,
    open: &OpenEvent<'_>,
    programs: &KprobePrograms,
    function: &TracedFunction,
    links: &mut Links,
) -> Result<()> {
    let tag = tag(function);
    let attach = |is_return, program, cookie| {
        let event = open(function, is_return);
        attach(is_return, event, program, cookie)
    };
    // Attach to the return first: a call that is seen must have its return seen.
    let new = match programs {
        KprobePrograms::Shared {
            opening,
            inner,
            returns,
        } => {
            let entry = if function.entry.is_some() {
                opening
            } else {
                inner
            };
            let mut new = attach(true, returns.as_fd(), Some(tag))?;
            new.extend(attach(false, entry.as_fd(), Some(tag))?);
            new
        }
        KprobePrograms::Copied {
            opening,
            inner,
            returns,
        } => {
            let (name, entry) = if function.entry.is_some() {
                (entries.opening.0, opening)
            } else {
                (entries.inner.0, inner)
            };
            let single = Single { tag, arg_slots: 0 };
            let returns = load(entries.returns.0, &for_single(returns, single))?;
            let entry = load(name, &for_single(entry, single))?;
            let mut new = attach(true, returns.as_fd(), None)?;
            new.extend(attach(false, entry.as_fd(), None)?);
            links.programs.extend([entry, returns]);
            new
        }
    };
    links.hold(new, &[function]);
    Ok(())
}

fn attach(
    is_return: bool,
    event: Result<OwnedFd>,
    program: BorrowedFd<'_>,
    cookie: Option<u64>,
) -> Result<Vec<OwnedFd>> {
    let what = if is_return { "kretprobe" } else { "kprobe" };
    let event = event.with_context(|| format!("failed to open a {what}"))?;
    let link = sys::run_at_event(program, event.as_fd(), cookie)
        .with_context(|| format!("failed to attach to a {what}"))?;
    // The link must be dropped before the event: it holds the event.
    Ok(link.into_iter().chain([event]).collect())
}
