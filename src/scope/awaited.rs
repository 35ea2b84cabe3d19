// SPDX-License-Identifier: BSD-2-Clause
//! Containers that start while we trace. The kernel reports each new cgroup, a thread (`watching`)
//! finds out which container it belongs to, and the wanted ones are added to the scope.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::groups::Groups;
use super::roots::TracedContainer;
use super::rule;
use super::watching::{Arrival, News, WatchProgress, Watching};
use crate::bpf::wire::MAX_CGROUP_PATH;
use crate::bpf::{ScopeEntry, ScopeKind, Tracer};
use crate::diag::Diag;
use crate::events::CgroupRecord;
use crate::target::cgroups::Cgroup;
use crate::target::containers::Registry;

/// How often the thread's results are checked while it is working.
const RESULT_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Maximum number of messages that the thread has not handled yet.
const MAX_NEWS: usize = 4096;

/// The new cgroups that are not decided upon yet.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    thread: Option<(Sender<News>, Receiver<Arrival>)>,
    progress: Arc<WatchProgress>,
    told: usize,
    /// Whether the thread was working at the last check.
    was_busy: bool,
    /// Containers whose cgroups were in the scope at the start.
    entered: HashSet<u64>,
    /// Number of unreported cgroups for which the thread has been told to search.
    caught_up: u64,
    /// Whether a report was unusable, so that the thread must search.
    has_to_search: bool,
}

impl Arrivals {
    pub(crate) fn entered(&mut self, cgroup: &Cgroup) {
        self.entered.insert(cgroup.id);
    }

    fn n_waiting(&self) -> usize {
        self.told
            .wrapping_sub(self.progress.handled.load(Ordering::Acquire))
    }

    fn is_busy(&self) -> bool {
        self.n_waiting() > 0 || self.progress.is_waiting.load(Ordering::Acquire)
    }

    fn tell(&mut self, news: News) {
        if let Some((thread, _)) = &self.thread
            && thread.send(news).is_ok()
        {
            self.told += 1;
        }
    }
}

impl Groups {
    /// Starts the thread. All existing cgroups must be in the scope.
    pub(crate) fn watch(&mut self) -> Result<()> {
        let (tell, news) = channel();
        let (found, arrivals) = channel();
        let watching = Watching::new(
            self.hierarchy.clone(),
            Registry::new(self.host.clone()),
            self.containers.clone(),
            self.arrivals.entered.drain().collect(),
            Arc::clone(&self.arrivals.progress),
        );
        thread::Builder::new()
            .name("containers".to_owned())
            .spawn(move || watching.run(&news, &found))
            .context("failed to start a thread")?;
        self.arrivals.thread = Some((tell, arrivals));
        Ok(())
    }

    /// Handles the report of a created or removed cgroup.
    pub(crate) fn made(&mut self, record: &CgroupRecord) {
        if !self.awaits_containers() {
            return;
        }
        if !record.is_made {
            self.arrivals.tell(News::Removed(record.id));
            return;
        }
        // The longest path includes the terminating NUL; a path of that length may have been cut.
        let is_cut = record.path.len() + 1 >= MAX_CGROUP_PATH as usize;
        if is_cut || self.arrivals.n_waiting() >= MAX_NEWS {
            self.arrivals.has_to_search = true;
            return;
        }
        let path = String::from_utf8_lossy(&record.path).into_owned();
        self.arrivals.tell(News::Made(record.id, path));
    }

    /// Returns when to call [`Self::look`] again; `None` if there is no need to.
    pub(crate) fn due(&self, unreported: u64) -> Option<Instant> {
        let now = Instant::now();
        if self.is_behind(unreported) {
            return Some(now);
        }
        (self.arrivals.was_busy || self.arrivals.is_busy()).then(|| now + RESULT_CHECK_INTERVAL)
    }

    /// Returns how many of the unreported cgroups are handled and need no [`Self::look`].
    pub(crate) fn caught_up(&self) -> u64 {
        if self.awaits_containers() {
            self.arrivals.caught_up
        } else {
            u64::MAX
        }
    }

    fn is_behind(&self, unreported: u64) -> bool {
        unreported > self.caught_up() || self.arrivals.has_to_search
    }

    /// Returns the number of cgroups that were not reported, or that the thread had no room for.
    pub(crate) fn n_unnoticed(&self, unreported: u64) -> u64 {
        if self.awaits_containers() {
            let overlooked = self.arrivals.progress.overlooked.load(Ordering::Relaxed);
            unreported + overlooked as u64
        } else {
            0
        }
    }

    /// Adds the containers that the thread found to the scope.
    pub(crate) fn look(&mut self, tracer: &mut Tracer<'_>, diag: &Diag) {
        let unreported = tracer.unreported_cgroups();
        if self.is_behind(unreported) {
            self.arrivals.caught_up = unreported;
            self.arrivals.has_to_search = false;
            self.arrivals.tell(News::Search);
        }
        // The order matters: results that the thread sends before it becomes idle are read below.
        self.arrivals.was_busy = self.arrivals.is_busy();
        let found: Vec<Arrival> = match &self.arrivals.thread {
            Some((_, found)) => found.try_iter().collect(),
            None => Vec::new(),
        };
        for mut arrival in found {
            for id in &arrival.ids {
                tracer.add_to_scope(ScopeEntry {
                    kind: ScopeKind::Cgroup,
                    id: *id,
                    rule: rule(arrival.subtree.wanted),
                });
            }
            if let Some(name) = arrival.name.take().filter(|_| arrival.subtree.wanted) {
                say_arrived(&name, arrival.is_late, diag);
                // The first of the ids is that of the container itself.
                if let Some(cgroup) = arrival.ids.first() {
                    self.arrived.push(TracedContainer {
                        cgroup: *cgroup,
                        path: arrival.subtree.what.clone(),
                        name,
                    });
                }
            }
            self.arrivals.tell(News::Entered(arrival));
        }
    }
}

fn say_arrived(name: &str, is_late: bool, diag: &Diag) {
    let when = if is_late {
        "started while the buffer was full"
    } else {
        "has started"
    };
    diag.info(
        1,
        format!("container `{name}` {when}: it is traced from now on"),
    );
}
