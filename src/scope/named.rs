// SPDX-License-Identifier: BSD-2-Clause
//! Containers that the user chose by name. A user who owns a part of the hierarchy can give a
//! cgroup the name of another container, so the owner of a cgroup counts too.

use std::collections::BTreeMap;

use crate::config::Choice;
use crate::diag::Diag;
use crate::target::Owner;
use crate::target::cgroups::Hierarchy;
use crate::target::containers::{Container, Registry, running};

/// A container that the user chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// True to trace it, false to leave it out.
    pub(crate) wanted: bool,
    /// Its name, its id or a prefix of the id, or its pod.
    pub(crate) name: String,
    /// Whether containers of unprivileged users are ignored.
    pub(crate) of_host_only: bool,
}

impl Named {
    /// Resolves the choices. A choice that leaves out a container never matches a user's container,
    /// so that nobody can leave the trace by choosing a name. A choice that traces a container
    /// means the host's, if there is one.
    pub(crate) fn resolve(
        choices: Vec<Choice<String>>,
        hierarchy: &Hierarchy,
        registry: &Registry,
        diag: &Diag,
    ) -> Vec<Self> {
        if choices.is_empty() {
            return Vec::new();
        }
        let running = running(hierarchy, registry);
        say_twice(&running, diag);
        let choices = choices.into_iter();
        let choices = choices.map(|Choice { wanted, what }| (wanted, what));
        let named = Self::of_host_first(choices, &running, registry);
        for choice in &named {
            choice.say_others(&running, diag);
        }
        named
    }

    /// As [`Self::resolve`], without a message. `choices` are names, and whether they are traced.
    pub(super) fn of_host_first(
        choices: impl Iterator<Item = (bool, String)>,
        running: &[Container],
        registry: &Registry,
    ) -> Vec<Self> {
        let known = registry.known();
        let is_hosts = |name: &str| {
            let is_it = |it: &Container| it.cgroup.maker == Owner::Host && it.is_called(name);
            known.contains(name) || running.iter().any(is_it)
        };
        let named = choices.map(|(wanted, name)| Self {
            wanted,
            of_host_only: !wanted || is_hosts(&name),
            name,
        });
        named.collect()
    }

    fn means(&self, container: &Container) -> bool {
        let is_right = !self.of_host_only || container.cgroup.maker == Owner::Host;
        is_right && container.is_called(&self.name)
    }

    /// Warns about containers of users with this name, which the choice does not mean.
    fn say_others(&self, running: &[Container], diag: &Diag) {
        let (name, verb) = (&self.name, if self.wanted { "traced" } else { "left out" });
        for container in running {
            if container.is_called(name)
                && !self.means(container)
                && let Owner::User(uid) = container.cgroup.maker
            {
                let path = &container.cgroup.path;
                diag.warning(format!(
                    "user {uid} has a container `{name}`, too, which is not {verb}: control group \
                     `{path}`"
                ));
                diag.hint("--cgroup PATH chooses it, --cgroup '!PATH' leaves it out");
            }
        }
    }
}

/// Warns about ids that occur more than once. Ids are unique unless somebody gave a cgroup the name
/// of another container's.
fn say_twice(running: &[Container], diag: &Diag) {
    let mut by_id: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
    let with_ids = running.iter().filter(|it| !it.runtime.goes_by_names());
    for container in with_ids {
        by_id.entry(&container.id).or_default().push(container);
    }
    for (id, containers) in by_id.iter().filter(|(_, containers)| containers.len() > 1) {
        let paths = containers.iter().map(|it| format!("`{}`", it.cgroup.path));
        let paths: Vec<String> = paths.collect();
        diag.warning(format!(
            "container id `{id}` occurs more than once: {}",
            paths.join(", ")
        ));
    }
}

/// Returns the subtree of a container if a choice means it, else `None`. A choice that leaves it
/// out wins.
pub(crate) fn chosen(choices: &[Named], container: &Container) -> Option<Choice<String>> {
    let mut meant = choices.iter().filter(|choice| choice.means(container));
    let first = meant.next()?;
    Some(Choice {
        wanted: first.wanted && meant.all(|choice| choice.wanted),
        what: container.cgroup.path.clone(),
    })
}

/// Returns the names and pods of containers.
pub(crate) fn called(containers: &[Container]) -> Vec<String> {
    let names = containers.iter().flat_map(|container| {
        let names = &container.names;
        [names.name.clone(), names.pod.clone()]
    });
    names.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::{Named, chosen};
    use crate::target::Owner;
    use crate::target::cgroups::Cgroup;
    use crate::target::containers::{Container, Names, Runtime};

    fn web(maker: Owner) -> Container {
        Container {
            runtime: Runtime::Docker,
            id: "a".repeat(64),
            names: Names {
                name: Some("web".to_owned()),
                ..Names::default()
            },
            cgroup: Cgroup {
                id: 1,
                path: "/x".to_owned(),
                maker,
            },
        }
    }

    fn named(wanted: bool, of_host_only: bool) -> Named {
        Named {
            wanted,
            name: "web".to_owned(),
            of_host_only,
        }
    }

    #[test]
    fn a_user_does_not_get_out_of_a_trace_by_the_name_of_a_container() {
        let choices = [named(false, true)];
        assert!(chosen(&choices, &web(Owner::User(1000))).is_none());
        let denied = chosen(&choices, &web(Owner::Host)).unwrap();
        assert!(!denied.wanted);
    }

    #[test]
    fn a_user_does_not_get_into_a_trace_by_the_name_of_a_container() {
        let choices = [named(true, true)];
        assert!(chosen(&choices, &web(Owner::User(1000))).is_none());
        assert!(chosen(&choices, &web(Owner::Host)).is_some());
        // A user's container is meant if the host has none of that name.
        assert!(chosen(&[named(true, false)], &web(Owner::User(1000))).is_some());
    }
}
