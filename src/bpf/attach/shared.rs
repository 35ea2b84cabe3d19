// SPDX-License-Identifier: BSD-2-Clause
//! fentry/fexit whose programs share most of their instructions (`bpf/include/shared.bpf.h`).
//!
//! Loading two whole programs for each function is more than half of what attaching takes on 5.10:
//! 26 ms a function, 17 of them for the exit's. Where the kernel lets a program of one function
//! go on in a program of another, only the little that tells whether a call is of interest is loaded
//! for each.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use libbpf_rs::{Map, MapCore, MapFlags, num_possible_cpus};
use libbpf_sys::bpf_insn;

use super::super::object::Loaded;
use super::super::patch::{Copy, Single, for_single};
use super::super::program;
use super::super::sys::{self, TRACE_FENTRY, TRACE_FEXIT};
use super::trampoline::kind;
use crate::select::{BtfOrigin, TracedFunction};

/// For fewer functions, finding out costs more than it saves.
const WORTH_IT: usize = 8;

/// What the programs of functions are made of that go on in shared ones.
pub(super) struct Sharing {
    pub(super) entry: Vec<bpf_insn>,
    pub(super) exit: Vec<bpf_insn>,
    is_refused: AtomicBool,
}

impl Sharing {
    /// Loads what is shared by functions that open no sessions; `None` where nothing can be.
    pub(super) fn of(loaded: &Loaded<'_>, functions: &[&TracedFunction]) -> Option<Self> {
        let bss = loaded.skel.maps.bss_data.as_deref()?;
        // Tags are handed over by CPU.
        let has_places = num_possible_cpus().is_ok_and(|n_cpus| n_cpus <= bss.tag_stacks.len());
        if functions.len() < WORTH_IT || loaded.preempts_programs || !has_places {
            return None;
        }
        Self::load(loaded, functions).ok()
    }

    fn load(loaded: &Loaded<'_>, functions: &[&TracedFunction]) -> Result<Self> {
        let copy = |template| loaded.copier.copy(template, Copy::default());
        let templates = &loaded.templates;
        let sharing = Self {
            entry: copy(&templates.sharing_entry),
            exit: copy(&templates.sharing_exit),
            is_refused: AtomicBool::new(false),
        };
        let maps = &loaded.skel.maps;
        // There already: functions that are traced go on in it, and must find it there.
        if loaded.has_shared.get() {
            return Ok(sharing);
        }
        let of_kernel = functions.iter().filter_map(|function| {
            let prototype = function.prototype?;
            (prototype.origin == BtfOrigin::Vmlinux).then_some(prototype)
        });
        let mut of_kernel = of_kernel.peekable();
        let first = *of_kernel
            .peek()
            .context("no function of the kernel itself")?;
        // A kernel that minds refuses a program for a function of another type once the array
        // belongs to the first: found out by the smallest program there is.
        if let Some(other) = of_kernel.find(|other| other.arg_slots != first.arg_slots) {
            let of_first = kind(TRACE_FENTRY, first.btf_id, None);
            let smallest = sys::smallest_program(of_first)?;
            fill(&maps.shared_entries, &smallest)?;
            let of_other = kind(TRACE_FENTRY, other.btf_id, None);
            let trial = for_single(&sharing.entry, Single::default());
            sys::load_program(c"retsnoop_trial", &trial, of_other, None)?;
        }
        for (map, template, attach_type) in [
            (&maps.shared_entries, &templates.shared_entry, TRACE_FENTRY),
            (&maps.shared_exits, &templates.shared_exit, TRACE_FEXIT),
        ] {
            let kind = kind(attach_type, first.btf_id, None);
            fill(
                map,
                &program::load(c"retsnoop_shared", &copy(template), kind)?,
            )?;
        }
        loaded.has_shared.set(true);
        Ok(sharing)
    }

    /// Whether functions are still to be tried with it.
    pub(super) fn is_taken(&self) -> bool {
        !self.is_refused.load(Ordering::Relaxed)
    }

    /// The kernel does not take it: whole programs are loaded for all other functions.
    pub(super) fn give_up(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }
}

/// The array keeps the program.
fn fill(array: &Map<'_>, program: &OwnedFd) -> Result<()> {
    let fd = program.as_raw_fd().to_ne_bytes();
    array
        .update(&0_u32.to_ne_bytes(), &fd, MapFlags::ANY)
        .context("failed to share a program")
}
