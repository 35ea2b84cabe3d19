// SPDX-License-Identifier: BSD-2-Clause
//! Containers, from paths of cgroups and the files that runtimes keep. A file that is missing or
//! makes no sense costs a name, never more.

mod names;
mod path;
#[cfg(test)]
mod path_tests;
#[cfg(test)]
mod tests;

pub use names::{Names, Registry};
pub use path::{InPath, Runtime, container_of};

use super::cgroups::{Cgroup, Hierarchy};

/// A container with its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its runtime.
    pub runtime: Runtime,
    /// Its id.
    pub id: String,
    /// What files say.
    pub names: Names,
    /// Its own cgroup, and with it who made it.
    pub cgroup: Cgroup,
}

/// How much of a container's id is enough to choose it.
const SHORTEST_ID: usize = 4;

impl Container {
    /// Whether a cgroup is a container's own one, as its path says.
    #[must_use]
    pub fn is_one(cgroup: &Cgroup) -> bool {
        container_of(&cgroup.path).is_some_and(|found| found.cgroup == cgroup.path)
    }

    /// The container that a cgroup is the own one of, if it is.
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

    /// Whether somebody who says `wanted` means it: by name, by id or the beginning of it, by pod,
    /// by `NAMESPACE/POD`.
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

    /// Whether files name it; a pod that is known by its id only is not named.
    #[must_use]
    pub fn is_named(&self) -> bool {
        let has_pod = self.names.pod.is_none() || self.names.namespace.is_some();
        self.names.name.is_some() && has_pod
    }

    /// Whether it only holds a pod's namespaces and runs nothing of anybody's.
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
