// SPDX-License-Identifier: BSD-2-Clause
//! The thread that resolves the names of cgroups. It walks the hierarchy and reads the files of
//! container runtimes. Untrusted users can make these numerous and large, or place them on a file
//! system that does not respond. So the thread that reads sessions only waits for a limited time.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::session::{ContainerName, Workload};
use crate::spec::Pid;
use crate::target::HostFiles;
use crate::target::cgroups::{CgroupLayout, Hierarchy, unit_of};
use crate::target::containers::{Names, Registry, container_of, running};
use crate::target::namespaces::{NamespaceKind, of_host, of_process};

/// Maximum number of cgroups that are remembered. A long run can create more than ever exist at
/// once.
const MAX_KNOWN: usize = 1 << 16;

/// After a walk that took *t*, the next one waits for `WALK_PAUSE_FACTOR` times *t*, at least
/// [`MIN_WALK_PAUSE`].
const WALK_PAUSE_FACTOR: u32 = 4;
const MIN_WALK_PAUSE: Duration = Duration::from_millis(50);

/// Maximum number of pending requests; further ones are rejected.
const MAX_ASKED: usize = 4096;

/// A request to the thread.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Stores id and path of a new cgroup, which may be removed before its name is needed.
    Made(u64, String),
    /// Requests the names for an id.
    Name(u64),
    /// Walks the hierarchy to find all cgroups.
    Walk,
}

/// An answer of the thread.
#[derive(Debug)]
pub(crate) enum NamingAnswer {
    /// The answer to [`Ask::Name`]; `None` if the id is unknown.
    Named(u64, Option<Box<Workload>>),
    /// The answer to [`Ask::Walk`].
    Walked,
}

/// A map of limited size; the oldest entry is removed first.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    known: HashMap<u64, V>,
    order: VecDeque<u64>,
    most: usize,
}

impl<V> Recent<V> {
    pub(crate) fn of_most(most: usize) -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
            most,
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<&V> {
        self.known.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut V> {
        self.known.get_mut(&id)
    }

    pub(crate) fn insert(&mut self, id: u64, value: V) {
        if self.known.insert(id, value).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self::of_most(MAX_KNOWN)
    }
}

/// The state of the thread.
struct Namer {
    host: HostFiles,
    hierarchy: Hierarchy,
    registry: Registry,
    /// Path by id. The id is that of the cgroup or, if programs cannot get it, of the mount
    /// namespace.
    paths: Recent<String>,
    /// When the last walk ended, and how long it took; `None` before the first.
    walked: Option<(Instant, Duration)>,
}

/// Starts the thread; `None` if it cannot be started.
pub(crate) fn start(
    host: HostFiles,
    hierarchy: Hierarchy,
) -> Option<(SyncSender<Ask>, Receiver<NamingAnswer>)> {
    let (ask, asked) = sync_channel(MAX_ASKED);
    let (answer, answers) = channel();
    let namer = Namer {
        registry: Registry::new(host.clone()),
        host,
        hierarchy,
        paths: Recent::default(),
        walked: None,
    };
    thread::Builder::new()
        .name("names".to_owned())
        .spawn(move || namer.run(&asked, &answer))
        .ok()?;
    Some((ask, answers))
}

impl Namer {
    fn run(mut self, asked: &Receiver<Ask>, answer: &Sender<NamingAnswer>) {
        while let Ok(ask) = asked.recv() {
            let said = match ask {
                Ask::Made(id, path) => {
                    self.paths.insert(id, path);
                    continue;
                }
                Ask::Walk => {
                    self.walk(None);
                    NamingAnswer::Walked
                }
                Ask::Name(id) => NamingAnswer::Named(id, self.name(id).map(Box::new)),
            };
            if answer.send(said).is_err() {
                return;
            }
        }
    }

    fn name(&mut self, id: u64) -> Option<Workload> {
        let known = self.paths.get(id).cloned();
        let path = match known {
            Some(path) => path,
            None if self.may_walk() => self.walk(Some(id))?,
            None => return None,
        };
        // There may be new files. `refresh` limits by itself how often it reads.
        self.registry.refresh();
        Some(self.describe(&path))
    }

    fn may_walk(&self) -> bool {
        let pause = |took: Duration| (took * WALK_PAUSE_FACTOR).max(MIN_WALK_PAUSE);
        self.walked
            .is_none_or(|(ended, took)| ended.elapsed() >= pause(took))
    }

    /// Walks the hierarchy and stores the paths of all cgroups. Returns the path of `wanted`, if it
    /// was found.
    fn walk(&mut self, wanted: Option<u64>) -> Option<String> {
        let begun = Instant::now();
        let mut found = None;
        let Self {
            hierarchy, paths, ..
        } = self;
        if hierarchy.layout == CgroupLayout::Legacy {
            found = self.walk_namespaces(wanted);
        } else {
            hierarchy.walk("/", &mut |cgroup| {
                if Some(cgroup.id) == wanted {
                    found = Some(cgroup.path.clone());
                }
                if paths.get(cgroup.id).is_none() {
                    paths.insert(cgroup.id, cgroup.path.clone());
                }
                true
            });
        }
        self.walked = Some((Instant::now(), begun.elapsed()));
        found
    }

    /// Stores the paths of containers by their mount namespaces, if these are not the host's.
    fn walk_namespaces(&mut self, wanted: Option<u64>) -> Option<String> {
        self.registry.refresh();
        let of_host = of_host(&self.host);
        for container in running(&self.hierarchy, &self.registry) {
            let path = &container.cgroup.path;
            for pid in self.hierarchy.processes(path) {
                let namespace = of_process(&self.host, Pid(pid), NamespaceKind::Mount).ok();
                if let Some(id) = namespace.filter(|id| !of_host.contains(id))
                    && self.paths.get(id).is_none()
                {
                    self.paths.insert(id, path.clone());
                }
            }
        }
        self.paths.get(wanted?).cloned()
    }

    fn describe(&self, path: &str) -> Workload {
        let container = container_of(path).map(|found| {
            let maker = self.hierarchy.maker(found.cgroup);
            let Names {
                name,
                image,
                pod,
                namespace,
                is_sandbox: _,
            } = self.registry.names(&found, maker);
            ContainerName {
                user: maker.user(),
                runtime: found.runtime.to_string(),
                id: found.id,
                name,
                image,
                pod,
                namespace,
            }
        });
        Workload {
            cgroup: Some(path.to_owned()),
            unit: unit_of(path).map(str::to_owned),
            container,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn more_control_groups_than_are_remembered_do_not_make_all_forgotten() {
        let mut recent = Recent::of_most(3);
        for id in 0..5 {
            recent.insert(id, id * 10);
        }
        assert_eq!(recent.get(1), None);
        assert_eq!(recent.get(2), Some(&20));
        assert_eq!(recent.get(4), Some(&40));
        recent.insert(4, 41);
        assert_eq!((recent.get(2), recent.get(4)), (Some(&20), Some(&41)));
    }
}
