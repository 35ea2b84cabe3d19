// SPDX-License-Identifier: BSD-2-Clause
//! Resolves the ids of a session's task to names: path of its cgroup, unit, container and pod. The
//! names are looked up when a session is shown and then cached, because the process and its cgroup
//! may be gone later.
//!
//! A thread looks them up (`naming`). A session waits for a limited time and is then shown without
//! names.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::naming::{self, Ask, NamingAnswer, Recent};
use crate::bpf::wire::MAX_CGROUP_PATH;
use crate::events::CgroupRecord;
use crate::session::{ContainerName, TaskContext, Workload};
use crate::target::HostFiles;
use crate::target::cgroups::{CgroupLayout, Hierarchy};

/// Maximum time that one session waits for its names.
const MAX_NAME_WAIT: Duration = Duration::from_millis(50);

/// All sessions together may wait for one part in this many of the run time.
const WAIT_SHARE_DIVISOR: u32 = 5;

/// Upper limit of the waiting time that accumulates.
const MAX_SAVED_WAIT: Duration = Duration::from_millis(200);

/// Maximum time to wait for the walk at the start.
const MAX_FIRST_WALK_WAIT: Duration = Duration::from_secs(2);

/// The files of a container may appear a moment after its cgroup. Without a name it is looked up
/// again after `FIRST_RETRY_DELAY`, with the delay doubled each time. A container without a name
/// after [`MAX_RETRY_TIME`] is not looked up again.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(50);
const MAX_RETRY_TIME: Duration = Duration::from_secs(2);

/// Resolves cgroup and namespace ids to names, with a cache.
#[derive(Debug)]
pub(crate) struct WorkloadResolver {
    thread: Option<(SyncSender<Ask>, Receiver<NamingAnswer>)>,
    by_namespaces: bool,
    /// Names by cgroup id, or by mount namespace on a legacy hierarchy, which has no cgroup id for
    /// programs.
    known: RefCell<Recent<Resolved>>,
    pending: RefCell<HashSet<u64>>,
    /// The remaining time that sessions may wait, and when it was computed.
    saved: Cell<(Duration, Instant)>,
}

/// A cached answer, and when to look it up again.
#[derive(Debug)]
struct Resolved {
    names: Option<Rc<Workload>>,
    since: Instant,
    /// When to look it up again; `None`: never.
    again: Option<Instant>,
    delay: Duration,
}

impl WorkloadResolver {
    pub(crate) fn new(host_root: &Path) -> Self {
        let host = HostFiles::below(host_root);
        let hierarchy = Hierarchy::find(&host).ok();
        let layout = hierarchy.as_ref().map(|hierarchy| hierarchy.layout);
        Self {
            thread: hierarchy.and_then(|hierarchy| naming::start(host, hierarchy)),
            by_namespaces: layout == Some(CgroupLayout::Legacy),
            known: RefCell::default(),
            pending: RefCell::default(),
            saved: Cell::new((MAX_SAVED_WAIT, Instant::now())),
        }
    }

    /// Returns the names for a task's ids; `None` if they are unknown or not known in time.
    pub(crate) fn of(&self, context: &TaskContext) -> Option<Rc<Workload>> {
        let (ask, answers) = self.thread.as_ref()?;
        let key = if self.by_namespaces {
            context.mntns.into()
        } else {
            context.cgroup
        };
        while let Ok(answer) = answers.try_recv() {
            self.learn(answer);
        }
        if !self.is_settled(key) {
            let is_new = !self.pending.borrow().contains(&key);
            if is_new && ask.try_send(Ask::Name(key)).is_ok() {
                self.pending.borrow_mut().insert(key);
            }
            self.wait_for(key, answers);
        }
        self.known.borrow().get(key)?.names.clone()
    }

    /// Returns true if there is an answer that is not due to be looked up again.
    fn is_settled(&self, key: u64) -> bool {
        let known = self.known.borrow();
        let known = known.get(key);
        known.is_some_and(|known| known.again.is_none_or(|at| Instant::now() < at))
    }

    fn wait_for(&self, key: u64, answers: &Receiver<NamingAnswer>) {
        let begun = Instant::now();
        let saved = self.saved(begun);
        let until = begun + saved.min(MAX_NAME_WAIT);
        while self.pending.borrow().contains(&key) {
            let left = until.saturating_duration_since(Instant::now());
            match answers.recv_timeout(left) {
                Ok(answer) => self.learn(answer),
                Err(_) => break,
            }
        }
        let now = Instant::now();
        let saved = saved.saturating_sub(now - begun);
        self.saved.set((saved, now));
    }

    fn saved(&self, now: Instant) -> Duration {
        let (saved, since) = self.saved.get();
        (saved + now.saturating_duration_since(since) / WAIT_SHARE_DIVISOR).min(MAX_SAVED_WAIT)
    }

    fn learn(&self, answer: NamingAnswer) {
        let NamingAnswer::Named(key, names) = answer else {
            return;
        };
        self.pending.borrow_mut().remove(&key);
        let mut known = self.known.borrow_mut();
        let names = names.map(Rc::from);
        match known.get_mut(key) {
            Some(known) => known.update(names),
            None => {
                let mut new = Resolved {
                    names: None,
                    since: Instant::now(),
                    again: None,
                    delay: FIRST_RETRY_DELAY,
                };
                new.update(names);
                known.insert(key, new);
            }
        }
    }

    /// Reports a new cgroup to the thread, because it may be removed before its name is needed.
    pub(crate) fn made(&self, record: &CgroupRecord) {
        // The longest path includes the terminating NUL; a path of that length may have been cut.
        let is_whole = record.path.len() + 1 < MAX_CGROUP_PATH as usize;
        let Some((ask, _)) = &self.thread else {
            return;
        };
        if self.by_namespaces || !is_whole || !record.is_made {
            return;
        }
        if let Ok(path) = String::from_utf8(record.path.clone()) {
            // If the queue is full, a walk finds the cgroup later, provided that it still exists.
            let _ = ask.try_send(Ask::Made(record.id, path));
        }
    }

    /// Walks the hierarchy before the start of the trace.
    pub(crate) fn walk(&self) {
        let Some((ask, answers)) = &self.thread else {
            return;
        };
        if ask.try_send(Ask::Walk).is_ok() {
            // If it takes longer, it continues in parallel with the trace.
            let _ = answers.recv_timeout(MAX_FIRST_WALK_WAIT);
        }
    }
}

impl Resolved {
    fn update(&mut self, names: Option<Rc<Workload>>) {
        let now = Instant::now();
        let is_nameless = |container: &ContainerName| container.name.is_none();
        let is_complete = names
            .as_ref()
            .is_some_and(|names| !names.container.as_ref().is_some_and(is_nameless));
        let is_given_up = names.is_some() && now.duration_since(self.since) >= MAX_RETRY_TIME;
        self.again = (!is_complete && !is_given_up).then(|| now + self.delay);
        self.delay = (self.delay * 2).min(MAX_RETRY_TIME);
        self.names = names.or(self.names.take());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Instant;

    use super::{MAX_NAME_WAIT, MAX_RETRY_TIME, MAX_SAVED_WAIT, Resolved, WorkloadResolver};
    use crate::session::{ContainerName, TaskContext, Workload};

    fn host() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let mounts = "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        fs::write(root.path().join("proc/self/mountinfo"), mounts).unwrap();
        fs::create_dir_all(root.path().join("sys/fs/cgroup")).unwrap();
        root
    }

    fn in_cgroup(id: u64) -> TaskContext {
        TaskContext {
            cgroup: id,
            ..TaskContext::default()
        }
    }

    fn cgroup(root: &Path, path: &str) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let path = root.join("sys/fs/cgroup").join(path);
        fs::create_dir_all(&path).unwrap();
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn a_control_group_is_named_by_its_path() {
        let root = host();
        let id = cgroup(root.path(), "system.slice/a.service");
        let names = WorkloadResolver::new(root.path());
        names.walk();
        let found = names.of(&in_cgroup(id)).unwrap();
        assert_eq!(found.unit.as_deref(), Some("a.service"));
    }

    #[test]
    fn control_groups_that_nobody_finds_do_not_hold_up_sessions() {
        let root = host();
        let names = WorkloadResolver::new(root.path());
        names.walk();
        let begun = Instant::now();
        for id in 1 << 40..(1 << 40) + 10_000 {
            assert_eq!(names.of(&in_cgroup(id)), None);
        }
        // The accumulated time, a fifth of the elapsed time, and the wait of the last session.
        let most = (MAX_SAVED_WAIT + MAX_NAME_WAIT) * 2 + begun.elapsed() / 2;
        assert!(begun.elapsed() < most, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_nameless_container_is_not_looked_up_for_every_session() {
        let nameless = Workload {
            cgroup: None,
            unit: None,
            container: Some(ContainerName {
                runtime: "oci".to_owned(),
                id: "a".repeat(64),
                ..ContainerName::default()
            }),
        };
        let now = Instant::now();
        let mut known = Resolved {
            names: None,
            since: now,
            again: None,
            delay: super::FIRST_RETRY_DELAY,
        };
        known.update(Some(nameless.clone().into()));
        assert!(
            known
                .again
                .is_some_and(|at| at >= now + super::FIRST_RETRY_DELAY)
        );
        known.since = now.checked_sub(MAX_RETRY_TIME).unwrap();
        known.update(Some(nameless.into()));
        assert_eq!(known.again, None);
    }
}
