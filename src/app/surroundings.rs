// SPDX-License-Identifier: BSD-2-Clause
//! The numbers that come with a session → names: its cgroup's path, unit, container and pod. Read
//! when there is a session to show, and kept: the process may be gone by then, and its cgroup.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::bpf::wire::MAX_CGROUP_PATH;
use crate::events::CgroupRecord;
use crate::session::{ContainerName, Surroundings, TaskContext};
use crate::spec::Pid;
use crate::target::HostFiles;
use crate::target::cgroups::{Hierarchy, Layout, unit_of};
use crate::target::containers::{Names, Registry, container_of, running};
use crate::target::namespaces::{Kind, of_host, of_process};

/// Going through all cgroups takes some milliseconds: not for every one that is not known.
const PAUSE: Duration = Duration::from_millis(200);

/// Cgroups that are remembered: more are made in a long run than there ever are at once.
const MAX_KNOWN: usize = 1 << 16;

/// Names by numbers.
#[derive(Debug)]
pub(super) struct Neighbourhood {
    host: HostFiles,
    hierarchy: Option<Hierarchy>,
    registry: RefCell<Registry>,
    /// By cgroup; where those that programs can ask for tell nothing, by mount namespace.
    known: RefCell<HashMap<u64, Known>>,
    walked_at: Cell<Option<Instant>>,
}

/// A cgroup: its path, and what that means once somebody has asked.
#[derive(Debug)]
struct Known {
    path: String,
    names: Option<Rc<Surroundings>>,
}

impl Neighbourhood {
    pub(super) fn new(host_root: &Path) -> Self {
        let host = HostFiles::below(host_root);
        Self {
            hierarchy: Hierarchy::find(&host).ok(),
            registry: RefCell::new(Registry::new(host.clone())),
            host,
            known: RefCell::default(),
            walked_at: Cell::new(None),
        }
    }

    /// What a task with these numbers is a part of.
    pub(super) fn of(&self, context: &TaskContext) -> Option<Rc<Surroundings>> {
        let key = if self.goes_by_namespaces() {
            context.mntns.into()
        } else {
            context.cgroup
        };
        let is_known = self.known.borrow().contains_key(&key);
        if !is_known && self.walked_at.get().is_none_or(|at| at.elapsed() >= PAUSE) {
            self.walk();
        }
        let mut known = self.known.borrow_mut();
        let Known { path, names } = known.get_mut(&key)?;
        if let Some(names) = names {
            return Some(Rc::clone(names));
        }
        let found = Rc::new(self.describe(path));
        // A container's files may come a moment after its cgroup.
        let is_nameless = |container: &ContainerName| container.name.is_none();
        if !found.container.as_ref().is_some_and(is_nameless) {
            *names = Some(Rc::clone(&found));
        }
        Some(found)
    }

    /// A cgroup was made: it may be gone before anybody asks.
    pub(super) fn made(&self, record: &CgroupRecord) {
        // One byte of the longest is the NUL's: such a path may have been cut.
        let is_whole = record.path.len() + 1 < MAX_CGROUP_PATH as usize;
        if self.goes_by_namespaces() || !is_whole {
            return;
        }
        if let (true, Ok(path)) = (record.is_made, String::from_utf8(record.path.clone())) {
            self.add(record.id, path);
        }
    }

    /// Learns which cgroups there are.
    pub(super) fn walk(&self) {
        self.walked_at.set(Some(Instant::now()));
        let Some(hierarchy) = &self.hierarchy else {
            return;
        };
        self.registry.borrow_mut().refresh();
        if self.goes_by_namespaces() {
            self.walk_namespaces(hierarchy);
            return;
        }
        hierarchy.walk("/", &mut |cgroup| {
            self.add_new(cgroup.id, &cgroup.path);
            true
        });
    }

    fn goes_by_namespaces(&self) -> bool {
        let hierarchy = self.hierarchy.as_ref();
        hierarchy.is_some_and(|hierarchy| hierarchy.layout == Layout::Legacy)
    }

    /// Containers that have a mount namespace of their own.
    fn walk_namespaces(&self, hierarchy: &Hierarchy) {
        let of_host = of_host(&self.host);
        for container in running(hierarchy, &self.registry.borrow()) {
            let path = &container.cgroup.path;
            for pid in hierarchy.processes(path) {
                let namespace = of_process(&self.host, Pid(pid), Kind::Mount).ok();
                if let Some(id) = namespace.filter(|id| !of_host.contains(id)) {
                    self.add_new(id, path);
                }
            }
        }
    }

    fn add_new(&self, id: u64, path: &str) {
        if !self.known.borrow().contains_key(&id) {
            self.add(id, path.to_owned());
        }
    }

    fn add(&self, id: u64, path: String) {
        let mut known = self.known.borrow_mut();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(id, Known { path, names: None });
    }

    fn describe(&self, path: &str) -> Surroundings {
        let registry = self.registry.borrow();
        let container = container_of(path).map(|found| {
            let Names {
                name,
                image,
                pod,
                namespace,
                is_sandbox: _,
            } = registry.names(&found);
            ContainerName {
                runtime: found.runtime.to_string(),
                id: found.id,
                name,
                image,
                pod,
                namespace,
            }
        });
        Surroundings {
            cgroup: Some(path.to_owned()),
            unit: unit_of(path).map(str::to_owned),
            container,
        }
    }
}
