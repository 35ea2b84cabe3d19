// SPDX-License-Identifier: BSD-2-Clause
//! Containers that were chosen by name. A user who was given a part of the hierarchy can call a
//! control group as somebody else's container is called: who made it counts, too.

use std::collections::BTreeMap;

use crate::cli::Choice;
use crate::diag::Diag;
use crate::target::Owner;
use crate::target::cgroups::Hierarchy;
use crate::target::containers::{Container, Registry, running};

/// A container that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Or one that is not wanted.
    pub(crate) wanted: bool,
    /// Its name, its id or the beginning of it, or its pod.
    pub(crate) name: String,
    /// Those that users made are not meant.
    pub(crate) of_host_only: bool,
}

impl Named {
    /// Nobody gets out of a trace by the name of a container that is not wanted. Of those that are,
    /// the host's is meant, where there is one.
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
        let known = registry.known();
        let is_hosts = |name: &str| {
            let is_it = |it: &Container| it.cgroup.maker == Owner::Host && it.is_called(name);
            known.contains(name) || running.iter().any(is_it)
        };
        let named = choices.into_iter().map(|Choice { wanted, what }| Self {
            wanted,
            of_host_only: !wanted || is_hosts(&what),
            name: what,
        });
        let named: Vec<Self> = named.collect();
        for choice in &named {
            choice.say_others(&running, diag);
        }
        named
    }

    fn means(&self, container: &Container) -> bool {
        let is_right = !self.of_host_only || container.cgroup.maker == Owner::Host;
        is_right && container.is_called(&self.name)
    }

    /// Containers of users that are called so, and are not meant.
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

/// Ids are unique, unless somebody has made a control group by the name of another's.
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

/// The subtree of a container, where it was chosen.
pub(crate) fn chosen(choices: &[Named], container: &Container) -> Option<Choice<String>> {
    let mut meant = choices.iter().filter(|choice| choice.means(container));
    let first = meant.next()?;
    Some(Choice {
        wanted: first.wanted && meant.all(|choice| choice.wanted),
        what: container.cgroup.path.clone(),
    })
}

/// What containers can be called.
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
        // Unless only users have one.
        assert!(chosen(&[named(true, false)], &web(Owner::User(1000))).is_some());
    }
}
