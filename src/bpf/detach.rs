// SPDX-License-Identifier: BSD-2-Clause
//! What the governor needs of a running trace: how often functions are called, taking single
//! functions out, and the sign of life.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};
use nix::time::{ClockId, clock_gettime};

use super::kernel_stats::Hits;
use super::sys;
use super::tracer::{Attached, Tracer};
use crate::select::{Assigned, TracedFunction, Why};
use crate::spec::FuncId;

/// Where we have not read for so long, no session opens any more. Opening a large image of the
/// kernel, which happens when there is a first stack to show, must not look like that.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(30);

impl Tracer<'_> {
    /// Tells the programs that sessions will be read for so long at least.
    ///
    /// # Errors
    /// When the kernel has no monotonic clock, or the map is gone.
    pub fn keep_alive(&self, for_so_long: Duration) -> Result<()> {
        let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
        let until = u64::try_from((now + for_so_long).as_nanos()).unwrap_or(u64::MAX);
        let key = 0_u32.to_ne_bytes();
        self.loaded
            .skel
            .maps
            .alive
            .update(&key, &until.to_ne_bytes(), MapFlags::ANY)
            .context("failed to tell the programs that we are alive")
    }

    /// How often each function was called so far, by its id.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn hits(&self) -> Result<Vec<Hits>> {
        let map = &self.loaded.skel.maps.hits;
        let n_functions = map.max_entries();
        let mut hits = vec![Hits::default(); n_functions as usize];
        let entries = map.lookup_batch(n_functions, MapFlags::ANY, MapFlags::ANY)?;
        for (key, value) in entries {
            let word = |bytes: &[u8], at: usize| {
                let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
                Some(u32::from_ne_bytes(bytes))
            };
            let of = word(&key, 0).and_then(|id| hits.get_mut(id as usize));
            if let (Some(of), Some(calls), Some(inside)) = (of, word(&value, 0), word(&value, 4)) {
                *of = Hits { calls, inside };
            }
        }
        Ok(hits)
    }

    /// Takes functions out of the trace. Links that are for many functions are closed and made
    /// anew for the others, which are not traced in between.
    ///
    /// # Errors
    /// When the others cannot be attached to again.
    pub fn detach_functions(
        &mut self,
        gone: &BTreeSet<FuncId>,
        functions: &[TracedFunction],
    ) -> Result<Attached> {
        let is_hit = |function: &FuncId| gone.contains(function);
        let mut again = Vec::new();
        for (backend, links) in &mut self.links {
            let (hit, kept): (Vec<_>, Vec<_>) = links
                .links
                .drain(..)
                .partition(|link| link.functions.iter().any(is_hit));
            links.links = kept;
            let affected: BTreeSet<FuncId> = hit
                .iter()
                .flat_map(|link| link.functions.iter().copied())
                .collect();
            let missed = hit
                .iter()
                .map(|link| sys::link_misses(*backend, link.fd.as_fd()));
            self.missed_by_closed += missed.sum::<u64>();
            drop(hit);
            links.n_attached = links.n_attached.saturating_sub(affected.len());
            again.extend(affected.difference(gone).map(|id| (*id, *backend)));
        }
        let (again, assigned): (Vec<TracedFunction>, Vec<Assigned>) = again
            .into_iter()
            .filter_map(|(id, backend)| {
                let assigned = Assigned {
                    backends: vec![backend],
                    why: Why::Asked,
                };
                Some((functions.get(id.index())?.clone(), assigned))
            })
            .unzip();
        self.attach(&again, &assigned, &mut |_, _| true)
    }
}
