// SPDX-License-Identifier: BSD-2-Clause
//! fentry/fexit programs that share most of their instructions (`bpf/include/shared.bpf.h`).
//!
//! On 5.10, loading two whole programs for each function is more than half of the time that
//! attaching takes: 26 ms for a function, 17 of which are for the exit program. If the kernel
//! allows tail calls from a program of one function to a program of another, only the few
//! instructions that decide whether a call is of interest are loaded for each function.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use libbpf_rs::{Map, MapCore, MapFlags, num_possible_cpus};

use super::super::body::Body;
use super::super::object::LoadedObject;
use super::super::patch::{Copy, Single, for_single};
use super::super::program;
use super::super::sys::{self, TRACE_FENTRY, TRACE_FEXIT};
use super::trampoline::kind;
use crate::select::{BtfOrigin, TracedFunction};

/// The number of functions below which the check for tail calls costs more than it saves.
const MIN_FUNCTIONS_TO_CHECK: usize = 8;

/// Instructions of the programs for each function that do a tail call to the shared programs.
pub(super) struct Sharing {
    pub(super) entry: Body,
    pub(super) exit: Body,
    is_refused: AtomicBool,
}

impl Sharing {
    /// Loads the shared programs, which are for functions that open no sessions. Returns `None` if
    /// the kernel does not allow them, or if they are not worth it.
    pub(super) fn of(loaded: &LoadedObject<'_>, functions: &[&TracedFunction]) -> Option<Self> {
        let bss = loaded.skel.maps.bss_data.as_deref()?;
        // Tags are passed in a stack for each CPU.
        let has_places = num_possible_cpus().is_ok_and(|n_cpus| n_cpus <= bss.tag_stacks.len());
        let is_worth_it = loaded.may_share && functions.len() >= MIN_FUNCTIONS_TO_CHECK;
        if !is_worth_it || loaded.preempts_programs || !has_places {
            return None;
        }
        Self::load(loaded, functions).ok()
    }

    fn load(loaded: &LoadedObject<'_>, functions: &[&TracedFunction]) -> Result<Self> {
        let copy = |template| loaded.copier.copy(template, Copy::default());
        let templates = &loaded.templates;
        let sharing = Self {
            entry: copy(&templates.sharing_entry),
            exit: copy(&templates.sharing_exit),
            is_refused: AtomicBool::new(false),
        };
        let maps = &loaded.skel.maps;
        // The shared programs are loaded already. Traced functions use them, so they must not be
        // replaced.
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
        // Once the array belongs to the first function, a kernel that checks types refuses a
        // program of a function of another type. Test this with the smallest possible program
        // before loading the large ones.
        if let Some(other) = of_kernel.find(|other| other.arg_slots != first.arg_slots) {
            let of_first = kind(TRACE_FENTRY, first.btf_id, None);
            let smallest = sys::smallest_program(of_first)?;
            fill(&maps.shared_entries, &smallest)?;
            let of_other = kind(TRACE_FENTRY, other.btf_id, None);
            let trial = for_single(&sharing.entry, Single::default());
            sys::load_program(c"retsnoop_trial", &trial, trial.notes(), of_other, None)?;
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

    /// Returns whether the kernel has not refused a sharing program so far.
    pub(super) fn is_taken(&self) -> bool {
        !self.is_refused.load(Ordering::Relaxed)
    }

    /// Has whole programs loaded for all further functions, because the kernel refused a sharing
    /// program.
    pub(super) fn give_up(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }
}

/// Stores a program in an array, which then keeps it loaded.
fn fill(array: &Map<'_>, program: &OwnedFd) -> Result<()> {
    let fd = program.as_raw_fd().to_ne_bytes();
    array
        .update(&0_u32.to_ne_bytes(), &fd, MapFlags::ANY)
        .context("failed to share a program")
}
