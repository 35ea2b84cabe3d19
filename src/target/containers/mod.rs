// SPDX-License-Identifier: BSD-2-Clause
//! Finds containers by the paths of cgroups and the files of container runtimes. A missing or
//! malformed file only means that a name is unknown.

mod names;
mod path;
#[cfg(test)]
mod path_tests;
#[cfg(test)]
mod tests;

pub use names::{Names, Registry};
pub use path::{InPath, Runtime, container_of};

use super::cgroups::{Cgroup, Hierarchy};

/// A container and its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its container runtime.
    pub runtime: Runtime,
    /// The runtime's id; the name for runtimes that identify containers by name.
    pub id: String,
    /// Its names, from the files of the runtime.
    pub names: Names,
    /// Its own cgroup, with the creator of it.
    pub cgroup: Cgroup,
}

/// Minimum length of the beginning of an id that selects a container.
const SHORTEST_ID: usize = 4;

impl Container {
    /// Whether a cgroup is the own cgroup of a container, according to its path.
    #[must_use]
    pub fn is_one(cgroup: &Cgroup) -> bool {
        container_of(&cgroup.path).is_some_and(|found| found.cgroup == cgroup.path)
    }

    /// The container whose own cgroup this is; `None` if it is not one.
    #[must_use]
    pub fn of(cgroup: &Cgroup, registry: &Registry) -> Option<Self> {
        let found = container_of(&cgroup.path)?;
        (found.cgroup == cgroup.path).then(|| Self {
            names: registry.names(&found, cgroup.maker),
            runtime: found.runtime,
            id: found.id,
            cgroup: cgroup.clone(),
        })
    }

    /// Whether `wanted` selects this container: by name, by id or its beginning, by pod, or by
    /// `NAMESPACE/POD`.
    #[must_use]
    pub fn is_called(&self, wanted: &str) -> bool {
        let Names {
            name,
            pod,
            namespace,
            ..
        } = &self.names;
        let is = |text: &Option<String>| text.as_deref() == Some(wanted);
        let in_namespace = wanted.split_once('/').is_some_and(|(of, wanted)| {
            namespace.as_deref() == Some(of) && pod.as_deref() == Some(wanted)
        });
        let may_be_short = wanted.len() >= SHORTEST_ID && !self.runtime.goes_by_names();
        let by_id = may_be_short && self.id.starts_with(wanted);
        is(name) || is(pod) || in_namespace || by_id || self.id == wanted
    }

    /// Whether its name is known. A pod of which only the id is known counts as unknown.
    #[must_use]
    pub fn is_named(&self) -> bool {
        let has_pod = self.names.pod.is_none() || self.names.namespace.is_some();
        self.names.name.is_some() && has_pod
    }

    /// Whether it only holds the namespaces of a pod and runs no workload.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        self.names.is_sandbox
    }
}

/// All containers that have a cgroup now.
#[must_use]
pub fn running(hierarchy: &Hierarchy, registry: &Registry) -> Vec<Container> {
    let mut found = Vec::new();
    hierarchy.walk("/", &mut |cgroup| {
        found.extend(Container::of(cgroup, registry));
        true
    });
    found
}
