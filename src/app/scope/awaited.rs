// SPDX-License-Identifier: BSD-2-Clause
//! Containers that come while we trace. The kernel tells of each new cgroup; the files that name a
//! container may come a moment later, and where the buffer was full we have to look ourselves.

use std::collections::HashSet;
use std::mem;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::groups::{Groups, chosen};
use crate::bpf::Tracer;
use crate::bpf::wire::MAX_CGROUP_PATH;
use crate::diag::Diag;
use crate::events::CgroupRecord;
use crate::target::cgroups::Cgroup;
use crate::target::containers::Container;

/// How long files may need to name a container whose cgroup is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often they are asked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A look is followed by so many times its length without one: who makes cgroups and files all the
/// time gets a fifth of our time, no more.
const PAUSE: u32 = 4;

/// Containers that wait to be named; a host starts some at once.
const MAX_WAITING: usize = 4096;

/// What came and has not been decided upon.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Cgroups that came, and when; of containers that no file names, once looked at.
    waiting: Vec<(Cgroup, Instant)>,
    /// Some have not been looked at even once.
    is_fresh: bool,
    /// Containers whose cgroups are in the scope, by these.
    entered: HashSet<u64>,
    /// How many the kernel could not tell us of, of those that we went and looked for.
    caught_up: u64,
    /// A report was of no use: we have to look for ourselves.
    has_to_search: bool,
    /// Too many waited.
    overlooked: u64,
    last: Option<Instant>,
    took: Duration,
}

impl Arrivals {
    pub(super) fn entered(&mut self, cgroup: &Cgroup) {
        self.entered.insert(cgroup.id);
    }

    fn add(&mut self, cgroup: Cgroup) {
        if self.waiting.len() >= MAX_WAITING {
            self.overlooked += 1;
            return;
        }
        self.is_fresh = true;
        self.waiting.push((cgroup, Instant::now()));
    }

    /// When to look again, if at all.
    fn due(&self, is_behind: bool, now: Instant) -> Option<Instant> {
        if self.waiting.is_empty() && !is_behind {
            return None;
        }
        let pause = self.took * PAUSE;
        let pause = if self.is_fresh || is_behind {
            pause
        } else {
            pause.max(LOOK_AGAIN)
        };
        self.last.map_or(Some(now), |last| last.checked_add(pause))
    }
}

impl Groups {
    /// A cgroup came or went.
    pub(super) fn made(&mut self, record: &CgroupRecord) {
        if !self.awaits_containers() {
            return;
        }
        if !record.is_made {
            self.arrivals.entered.remove(&record.id);
            return;
        }
        // One byte is the NUL's: this one may have been cut.
        if record.path.len() + 1 >= MAX_CGROUP_PATH as usize {
            self.arrivals.has_to_search = true;
            return;
        }
        self.arrivals.add(Cgroup {
            id: record.id,
            path: String::from_utf8_lossy(&record.path).into_owned(),
        });
    }

    /// When to [`Self::look`] again, if at all.
    pub(super) fn due(&self, unreported: u64) -> Option<Instant> {
        self.arrivals
            .due(self.is_behind(unreported), Instant::now())
    }

    /// How many of the cgroups that the kernel could not tell of need no [`Self::look`].
    pub(super) fn caught_up(&self) -> u64 {
        if self.awaits_containers() {
            self.arrivals.caught_up
        } else {
            u64::MAX
        }
    }

    fn is_behind(&self, unreported: u64) -> bool {
        unreported > self.caught_up() || self.arrivals.has_to_search
    }

    /// How many came that we were not told of, or had no room for.
    pub(super) fn n_unnoticed(&self, unreported: u64) -> u64 {
        if self.awaits_containers() {
            unreported + self.arrivals.overlooked
        } else {
            0
        }
    }

    /// Looks at what came, if it is time to: who is wanted, is traced from now on.
    pub(super) fn look(&mut self, tracer: &mut Tracer<'_>, diag: &Diag) -> Result<()> {
        let unreported = tracer.unreported_cgroups();
        let is_behind = self.is_behind(unreported);
        let begun = Instant::now();
        if self
            .arrivals
            .due(is_behind, begun)
            .is_none_or(|due| due > begun)
        {
            return Ok(());
        }
        self.registry.refresh();
        if is_behind {
            self.arrivals.caught_up = unreported;
            self.arrivals.has_to_search = false;
            self.search();
        }
        self.arrivals.is_fresh = false;
        let mut waiting = Vec::new();
        for (cgroup, since) in mem::take(&mut self.arrivals.waiting) {
            let Some(container) = Container::of(&cgroup, &self.registry) else {
                continue;
            };
            match chosen(&self.containers, &container) {
                Some(subtree) => {
                    self.add_subtree(tracer, Some(&cgroup), &subtree)?;
                    self.arrivals.entered(&cgroup);
                    if is_behind {
                        say_late(&container, diag);
                    }
                }
                None if !container.is_named() && since.elapsed() < PATIENCE => {
                    waiting.push((cgroup, since));
                }
                None => {}
            }
        }
        self.arrivals.waiting = waiting;
        self.arrivals.last = Some(Instant::now());
        self.arrivals.took = begun.elapsed();
        Ok(())
    }

    /// All containers that are there and not in the scope may have come just now.
    fn search(&mut self) {
        let (known, arrivals) = (&self.hierarchy, &mut self.arrivals);
        let waiting: HashSet<u64> = arrivals.waiting.iter().map(|(of, _)| of.id).collect();
        known.walk("/", &mut |cgroup| {
            if !arrivals.entered.contains(&cgroup.id) && !waiting.contains(&cgroup.id) {
                arrivals.add(cgroup.clone());
            }
            true
        });
    }
}

fn say_late(container: &Container, diag: &Diag) {
    let name = container.names.name.as_deref().unwrap_or(&container.id);
    diag.info(
        1,
        format!("container `{name}` came while the buffer was full: it is traced from now on"),
    );
}
