// SPDX-License-Identifier: BSD-2-Clause
//! What the governor needs of a running trace: how often functions are called, detaching from
//! single functions, and the sign of life.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};

use super::attach::{self, Link};
use super::kernel_stats::Hits;
use super::sys;
use super::tracer::{Attached, Tracer};
use crate::select::{Assigned, BackendReason, TracedFunction};
use crate::spec::{BackendKind, HookId};

/// If user space has not read for this long, no session opens. The time must cover the opening of a
/// large kernel image, which happens when the first stack is shown.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(30);

impl Tracer<'_> {
    /// Tells the programs that sessions will be read for at least this long.
    ///
    /// # Errors
    /// If the kernel has no monotonic clock.
    pub fn keep_alive(&self, for_so_long: Duration) -> Result<()> {
        let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
        let until = u64::try_from((now + for_so_long).as_nanos()).unwrap_or(u64::MAX);
        self.loaded.alive.set(0, until);
        Ok(())
    }

    /// Returns how often each function was called so far, indexed by its id.
    #[must_use]
    pub fn hits(&self) -> Vec<Hits> {
        let hits = &self.loaded.hits;
        (0..hits.len())
            .map(|id| {
                // `calls` is the first field, and the machine is little-endian.
                let both = hits.get(id);
                Hits {
                    calls: both as u32,
                    inside: (both >> 32) as u32,
                }
            })
            .collect()
    }

    /// Detaches from the functions `gone`. A link that is for several functions is closed, and the
    /// remaining functions are attached to again; returns of calls that are in progress are missed.
    /// With kprobe.session the new link is attached before the old one is closed, so that no call
    /// is missed. With other back ends the old link is closed first.
    ///
    /// # Errors
    /// If the remaining functions cannot be attached to again.
    pub fn detach_functions(
        &mut self,
        gone: &BTreeSet<HookId>,
        functions: &[TracedFunction],
    ) -> Result<Attached> {
        self.forget_system_calls(gone, functions)?;
        let mut again = Vec::new();
        let mut to_close = Vec::new();
        let mut is_replaced = false;
        for (backend, hit) in self.take_links_of(gone) {
            let affected = functions_of(&hit);
            again.extend(affected.difference(gone).map(|id| (*id, backend)));
            if backend == BackendKind::KprobeSession {
                is_replaced = true;
                to_close.push((backend, hit));
            } else {
                self.close(backend, hit);
            }
        }
        let (again, assigned): (Vec<TracedFunction>, Vec<Assigned>) = again
            .into_iter()
            .filter_map(|(id, backend)| {
                let assigned = Assigned {
                    backends: vec![backend],
                    why: BackendReason::Asked,
                };
                Some((functions.get(id.index())?.clone(), assigned))
            })
            .unzip();
        self.loaded.generation += u32::from(is_replaced);
        let attached = self.attach(&again, &assigned, &mut |_, _| true);
        let bss = self.loaded.skel.maps.bss_data.as_deref_mut();
        bss.context("no .bss")?.program_generation = self.loaded.generation;
        for (backend, links) in to_close {
            self.close(backend, links);
        }
        attached
    }

    /// Has the system calls of these functions not traced any more that tracepoints stand for. Their
    /// links are those of all system calls, and stay.
    fn forget_system_calls(
        &mut self,
        gone: &BTreeSet<HookId>,
        functions: &[TracedFunction],
    ) -> Result<()> {
        let loaded = &self.loaded;
        for (backend, links) in &mut self.links {
            if *backend != BackendKind::SystemCalls {
                continue;
            }
            for id in functions_of(&links.links).intersection(gone) {
                if let Some(function) = functions.get(id.index()) {
                    attach::forget(loaded, function)?;
                    links.n_attached = links.n_attached.saturating_sub(1);
                }
            }
            for link in &mut links.links {
                link.functions.retain(|id| !gone.contains(id));
            }
        }
        Ok(())
    }

    /// Removes the links that contain functions of `gone` from `self` and returns them.
    fn take_links_of(&mut self, gone: &BTreeSet<HookId>) -> Vec<(BackendKind, Vec<Link>)> {
        let is_hit = |link: &Link| link.functions.iter().any(|id| gone.contains(id));
        let mut taken = Vec::new();
        let are_sessions_hit = self.links.iter().any(|(backend, links)| {
            *backend == BackendKind::KprobeSession && links.links.iter().any(is_hit)
        });
        for (backend, links) in &mut self.links {
            // Only one generation of the programs of kprobe.session handles calls, so all of their
            // links are replaced together.
            let are_all_hit = are_sessions_hit && *backend == BackendKind::KprobeSession;
            let (hit, kept): (Vec<_>, Vec<_>) = links
                .links
                .drain(..)
                .partition(|link| are_all_hit || is_hit(link));
            links.links = kept;
            links.n_attached = links.n_attached.saturating_sub(functions_of(&hit).len());
            taken.push((*backend, hit));
        }
        taken.retain(|(_, links)| !links.is_empty());
        taken
    }

    /// Closes links and adds what they have missed to the counter.
    pub(super) fn close(&mut self, backend: BackendKind, links: Vec<Link>) {
        let missed = links
            .iter()
            .map(|link| sys::link_misses(backend, link.fd.as_fd()));
        self.missed_by_closed += missed.sum::<u64>();
    }
}

/// Returns the functions of these links, each once: with some back ends a function has several
/// links.
pub(super) fn functions_of(links: &[Link]) -> BTreeSet<HookId> {
    let functions = links.iter().flat_map(|link| &link.functions);
    functions.copied().collect()
}
