// SPDX-License-Identifier: BSD-2-Clause
//! The thread that examines containers which start while we trace. The files that name a container
//! may appear a moment after its cgroup, and if the kernel could not report a cgroup, the thread
//! must search for it. Walking the hierarchy and reading files takes too long for the thread that
//! reads sessions.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::named::{Named, chosen};
use crate::config::Choice;
use crate::target::cgroups::{Cgroup, Hierarchy};
use crate::target::containers::{Container, Registry};

/// Maximum time to wait for files that name the container of a cgroup.
const MAX_FILE_WAIT: Duration = Duration::from_secs(2);

/// How often the files are checked during that time.
const FILE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// After a scan that took *t*, the next one waits for `RESCAN_PAUSE_FACTOR` times *t*. Whoever
/// creates cgroups and files all the time thus costs at most a fifth of a processor.
const RESCAN_PAUSE_FACTOR: u32 = 4;

/// A message to the thread.
#[derive(Debug)]
pub(crate) enum News {
    /// A cgroup was created: its id and path.
    Made(u64, String),
    /// A cgroup was removed: its id.
    Removed(u64),
    /// Cgroups were created that the kernel could not report.
    Search,
    /// The cgroups of this container are in the scope. Cgroups that were created inside it before
    /// that are still missing.
    Entered(Arrival),
}

/// A container that a choice traces or leaves out.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Its subtree, and whether it is traced.
    pub(crate) subtree: Choice<String>,
    /// Ids of the cgroups to add to the scope.
    pub(crate) ids: Vec<u64>,
    /// Ids of the cgroups of the subtree that were found so far.
    seen: HashSet<u64>,
    /// Its name; `None` once it was printed.
    pub(crate) name: Option<String>,
    /// Whether it was found by a search: the kernel did not report its start.
    pub(crate) is_late: bool,
}

/// State that both threads read.
#[derive(Debug, Default)]
pub(crate) struct WatchProgress {
    /// Number of messages that were handled.
    pub(crate) handled: AtomicUsize,
    /// Whether the thread has something left to examine.
    pub(crate) is_waiting: AtomicBool,
    /// Number of cgroups that were ignored because too many were waiting.
    pub(crate) overlooked: AtomicUsize,
}

/// The state of the thread.
pub(crate) struct Watching {
    hierarchy: Hierarchy,
    registry: Registry,
    containers: Vec<Named>,
    /// New cgroups with the time of their arrival. After the first scan only those are left whose
    /// container has no name yet.
    waiting: HashMap<u64, (Cgroup, Instant)>,
    /// Whether some of them were not scanned yet.
    is_fresh: bool,
    has_to_search: bool,
    /// Containers that are in the scope, by the ids of their cgroups.
    entered: HashSet<u64>,
    last: Option<Instant>,
    took: Duration,
    progress: Arc<WatchProgress>,
}

/// Maximum number of cgroups that wait for a scan; a host may start several containers at once.
const MAX_WAITING: usize = 4096;

impl Watching {
    pub(crate) fn new(
        hierarchy: Hierarchy,
        registry: Registry,
        containers: Vec<Named>,
        entered: HashSet<u64>,
        progress: Arc<WatchProgress>,
    ) -> Self {
        Self {
            hierarchy,
            registry,
            containers,
            waiting: HashMap::new(),
            is_fresh: false,
            has_to_search: false,
            entered,
            last: None,
            took: Duration::ZERO,
            progress,
        }
    }

    /// Handles messages until the other side is gone.
    pub(crate) fn run(mut self, news: &Receiver<News>, found: &Sender<Arrival>) {
        loop {
            let first = match self.due() {
                None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => news.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let mut handled = 0;
            match first {
                Ok(first) => {
                    for told in [first].into_iter().chain(news.try_iter()) {
                        handled += 1;
                        self.hear(told, found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.due().is_some_and(|at| at <= Instant::now()) {
                self.look(found);
            }
            let is_waiting = self.due().is_some();
            self.progress
                .is_waiting
                .store(is_waiting, Ordering::Release);
            self.progress.handled.fetch_add(handled, Ordering::AcqRel);
        }
    }

    fn hear(&mut self, told: News, found: &Sender<Arrival>) {
        match told {
            News::Made(id, path) => {
                let maker = self.hierarchy.maker(&path);
                self.add(Cgroup { id, path, maker });
            }
            News::Removed(id) => {
                self.entered.remove(&id);
                self.waiting.remove(&id);
            }
            News::Search => self.has_to_search = true,
            News::Entered(arrival) => {
                let ids = self.missing(&arrival.subtree.what, &arrival.seen);
                send(arrival.with(ids), found);
            }
        }
    }

    fn add(&mut self, cgroup: Cgroup) {
        if self.waiting.len() >= MAX_WAITING {
            self.progress.overlooked.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.is_fresh = true;
        self.waiting
            .entry(cgroup.id)
            .or_insert((cgroup, Instant::now()));
    }

    /// Returns when to scan again; `None` if there is nothing to scan.
    fn due(&self) -> Option<Instant> {
        if self.waiting.is_empty() && !self.has_to_search {
            return None;
        }
        let pause = self.took * RESCAN_PAUSE_FACTOR;
        let pause = if self.is_fresh || self.has_to_search {
            pause
        } else {
            pause.max(FILE_CHECK_INTERVAL)
        };
        let now = Instant::now();
        self.last.map_or(Some(now), |last| last.checked_add(pause))
    }

    fn look(&mut self, found: &Sender<Arrival>) {
        let begun = Instant::now();
        self.registry.refresh();
        let is_search = mem::take(&mut self.has_to_search);
        if is_search {
            self.search();
        }
        self.is_fresh = false;
        for (id, (cgroup, since)) in mem::take(&mut self.waiting) {
            let Some(container) = Container::of(&cgroup, &self.registry) else {
                continue;
            };
            match chosen(&self.containers, &container) {
                Some(subtree) => {
                    self.entered.insert(id);
                    let mut ids = vec![id];
                    ids.extend(self.missing(&subtree.what, &HashSet::from([id])));
                    let name = container.names.name.unwrap_or(container.id);
                    let arrival = Arrival {
                        subtree,
                        ids: Vec::new(),
                        seen: HashSet::new(),
                        name: Some(name),
                        is_late: is_search,
                    };
                    send(arrival.with(ids), found);
                }
                None if !container.is_named() && since.elapsed() < MAX_FILE_WAIT => {
                    self.waiting.insert(id, (cgroup, since));
                }
                None => {}
            }
        }
        self.last = Some(Instant::now());
        self.took = begun.elapsed();
    }

    /// Returns the ids of the cgroups of a subtree that are not in `seen`.
    fn missing(&self, subtree: &str, seen: &HashSet<u64>) -> Vec<u64> {
        let mut ids = Vec::new();
        self.hierarchy.walk(subtree, &mut |cgroup| {
            if !seen.contains(&cgroup.id) {
                ids.push(cgroup.id);
            }
            true
        });
        ids
    }

    /// Adds all containers that exist and are not in the scope; each of them may have just started.
    fn search(&mut self) {
        let mut found = Vec::new();
        let entered = &self.entered;
        self.hierarchy.walk("/", &mut |cgroup| {
            if !entered.contains(&cgroup.id) {
                found.push(cgroup.clone());
            }
            true
        });
        // Only cgroups of containers may occupy the limited room.
        found.retain(Container::is_one);
        for cgroup in found {
            self.add(cgroup);
        }
    }
}

impl Arrival {
    fn with(mut self, ids: Vec<u64>) -> Self {
        self.seen.extend(&ids);
        self.ids = ids;
        self
    }
}

/// Sends a container, unless it has no new cgroups.
fn send(arrival: Arrival, found: &Sender<Arrival>) {
    if !arrival.ids.is_empty() {
        // The receiver may be gone; this thread then ends soon.
        let _ = found.send(arrival);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::{Named, News, Watching};
    use crate::target::cgroups::{Cgroup, Hierarchy};
    use crate::target::containers::Registry;
    use crate::target::{HostFiles, Owner};

    const SOON: Duration = Duration::from_secs(30);

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn cgroup(root: &Path, path: &str) -> Cgroup {
        put(root, &format!("sys/fs/cgroup{path}/cgroup.procs"), "");
        let directory = fs::metadata(root.join(format!("sys/fs/cgroup{path}")));
        Cgroup {
            id: directory.unwrap().ino(),
            path: path.to_owned(),
            maker: Owner::Host,
        }
    }

    #[test]
    fn a_container_is_found_with_all_that_is_made_in_it_meanwhile() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mounts = "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        put(root, "proc/self/mountinfo", mounts);
        let id = "a".repeat(64);
        let path = format!("/docker/{id}");
        let container = cgroup(root, &path);
        let host = HostFiles::below(root);
        let watching = Watching::new(
            Hierarchy::find(&host).unwrap(),
            Registry::new(host),
            vec![Named {
                wanted: true,
                name: "web".to_owned(),
                of_host_only: false,
            }],
            HashSet::new(),
            Arc::default(),
        );
        let (tell, news) = channel();
        let (found, arrivals) = channel();
        let thread = thread::spawn(move || watching.run(&news, &found));
        tell.send(News::Made(container.id, container.path)).unwrap();
        // The name appears later than the cgroup.
        let config = format!("var/lib/docker/containers/{id}/config.v2.json");
        put(root, &config, r#"{"Name": "/web"}"#);
        let arrival = arrivals.recv_timeout(SOON).unwrap();
        assert_eq!(arrival.ids, [container.id]);
        assert_eq!(arrival.name.as_deref(), Some("web"));
        assert!(!arrival.is_late);
        let inner = cgroup(root, &format!("{path}/inner"));
        tell.send(News::Entered(arrival)).unwrap();
        assert_eq!(arrivals.recv_timeout(SOON).unwrap().ids, [inner.id]);
        // A container that was not reported.
        let id = "b".repeat(64);
        let config = format!("var/lib/docker/containers/{id}/config.v2.json");
        put(root, &config, r#"{"Name": "/web"}"#);
        let late = cgroup(root, &format!("/docker/{id}"));
        tell.send(News::Search).unwrap();
        let arrival = arrivals.recv_timeout(SOON).unwrap();
        assert_eq!(arrival.ids, [late.id]);
        assert_eq!(arrival.name.as_deref(), Some("web"));
        assert!(arrival.is_late);
        drop(tell);
        thread.join().unwrap();
    }
}
