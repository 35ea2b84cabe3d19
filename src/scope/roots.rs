// SPDX-License-Identifier: BSD-2-Clause
//! The root directories of containers, below which files of user functions are looked for.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use super::named::{Named, chosen};
use crate::config::{Chosen, Scope};
use crate::target::HostFiles;
use crate::target::cgroups::Hierarchy;
use crate::target::containers::{Container, Registry, running};

/// Maximum number of root directories that are looked at in a container.
const MAX_ROOTS: usize = 8;

/// Maximum number of processes of a container that are asked for theirs.
const MAX_PROCESSES: usize = 64;

/// A container that is traced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TracedContainer {
    /// Id of its cgroup.
    pub(crate) cgroup: u64,
    /// Path of its cgroup.
    pub(crate) path: String,
    /// Its name, for messages.
    pub(crate) name: String,
}

impl TracedContainer {
    pub(super) fn of(container: &Container) -> Self {
        let Container {
            id, names, cgroup, ..
        } = container;
        Self {
            cgroup: cgroup.id,
            path: cgroup.path.clone(),
            name: names.name.clone().unwrap_or_else(|| id.clone()),
        }
    }
}

/// The root directories that the processes of containers have.
#[derive(Debug)]
pub(crate) struct Roots {
    host: HostFiles,
    hierarchy: Hierarchy,
    /// Device and inode of our own root directory.
    ours: Option<(u64, u64)>,
}

impl Roots {
    /// Returns `None` if there are no control groups.
    pub(crate) fn new(scope: &Scope) -> Option<Self> {
        let host = HostFiles::below(&scope.host_root);
        let hierarchy = Hierarchy::find(&host).ok()?;
        let ours = fs::metadata("/").ok();
        Some(Self {
            host,
            hierarchy,
            ours: ours.map(|found| (found.dev(), found.ino())),
        })
    }

    /// Returns the containers that run now and that the scope chooses. Which of several containers
    /// with the same name is meant has been said elsewhere.
    pub(crate) fn running(&self, scope: &Scope) -> Vec<TracedContainer> {
        let names = scope
            .choices
            .iter()
            .filter_map(|choice| match &choice.what {
                Chosen::Container(name) => Some((choice.wanted, name.clone())),
                _ => None,
            });
        let registry = Registry::new(self.host.clone());
        let running = running(&self.hierarchy, &registry);
        let named = Named::of_host_first(names, &running, &registry);
        let chosen = running.into_iter().filter(|container| {
            !container.is_sandbox() && chosen(&named, container).is_some_and(|it| it.wanted)
        });
        chosen.map(|it| TracedContainer::of(&it)).collect()
    }

    /// Opens the root directories of the processes of a container, each once, except those in `seen`.
    /// That of a process that has not left ours is left out if `has_begun` is false: it may be about
    /// to do so.
    pub(crate) fn open(
        &self,
        container: &TracedContainer,
        has_begun: bool,
        seen: &mut HashSet<(u64, u64)>,
    ) -> Vec<File> {
        let mut roots = Vec::new();
        let processes = self.hierarchy.processes(&container.path);
        for pid in processes.into_iter().take(MAX_PROCESSES) {
            if roots.len() >= MAX_ROOTS || seen.len() >= MAX_ROOTS {
                break;
            }
            // A process that has ended meanwhile has none.
            let path = self.host.path(format!("proc/{pid}/root"));
            let Ok(root) = File::open(path) else { continue };
            let Ok(found) = root.metadata() else { continue };
            let identity = (found.dev(), found.ino());
            let is_ours = Some(identity) == self.ours;
            if (has_begun || !is_ours) && seen.insert(identity) {
                roots.push(root);
            }
        }
        roots
    }
}
