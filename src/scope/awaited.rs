// SPDX-License-Identifier: BSD-2-Clause
//! Containers that come while we trace: the kernel tells of each new cgroup, a thread (`watching`)
//! finds out whose it is, and what is wanted goes into the scope.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::groups::Groups;
use super::rule;
use super::watching::{Arrival, News, Progress, Watching};
use crate::bpf::wire::MAX_CGROUP_PATH;
use crate::bpf::{ScopeEntry, ScopeKind, Tracer};
use crate::diag::Diag;
use crate::events::CgroupRecord;
use crate::target::cgroups::Cgroup;
use crate::target::containers::Registry;

/// How often the thread is asked for what it found, while it is at work.
const ASK: Duration = Duration::from_millis(5);

/// News that the thread has not dealt with.
const MAX_NEWS: usize = 4096;

/// What came and has not been decided upon.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    thread: Option<(Sender<News>, Receiver<Arrival>)>,
    progress: Arc<Progress>,
    told: usize,
    /// Whether the thread had something to do when we last looked.
    was_busy: bool,
    /// Containers whose cgroups were in the scope at the start.
    entered: HashSet<u64>,
    /// How many the kernel could not tell us of, of those that the thread was told to search for.
    caught_up: u64,
    /// A report was of no use.
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
    /// Starts the thread, once all that is there is in the scope.
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

    /// A cgroup came or went.
    pub(crate) fn made(&mut self, record: &CgroupRecord) {
        if !self.awaits_containers() {
            return;
        }
        if !record.is_made {
            self.arrivals.tell(News::Removed(record.id));
            return;
        }
        // One byte is the NUL's: this one may have been cut.
        let is_cut = record.path.len() + 1 >= MAX_CGROUP_PATH as usize;
        if is_cut || self.arrivals.n_waiting() >= MAX_NEWS {
            self.arrivals.has_to_search = true;
            return;
        }
        let path = String::from_utf8_lossy(&record.path).into_owned();
        self.arrivals.tell(News::Made(record.id, path));
    }

    /// When to [`Self::look`] again, if at all.
    pub(crate) fn due(&self, unreported: u64) -> Option<Instant> {
        let now = Instant::now();
        if self.is_behind(unreported) {
            return Some(now);
        }
        (self.arrivals.was_busy || self.arrivals.is_busy()).then(|| now + ASK)
    }

    /// How many of the cgroups that the kernel could not tell of need no [`Self::look`].
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

    /// How many came that we were not told of, or had no room for.
    pub(crate) fn n_unnoticed(&self, unreported: u64) -> u64 {
        if self.awaits_containers() {
            let overlooked = self.arrivals.progress.overlooked.load(Ordering::Relaxed);
            unreported + overlooked as u64
        } else {
            0
        }
    }

    /// Has what was found traced from now on.
    pub(crate) fn look(&mut self, tracer: &mut Tracer<'_>, diag: &Diag) {
        let unreported = tracer.unreported_cgroups();
        if self.is_behind(unreported) {
            self.arrivals.caught_up = unreported;
            self.arrivals.has_to_search = false;
            self.arrivals.tell(News::Search);
        }
        // In this order: what it finds before it says that it is done is read below.
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
