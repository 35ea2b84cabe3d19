// SPDX-License-Identifier: BSD-2-Clause
//! `list containers`: the containers that have a cgroup now.

use anyhow::Result;

use crate::config::ContainersConfig;
use crate::failure::Failure;
use crate::output::print;
use crate::render::{ListedContainer, write_containers_json, write_containers_text};
use crate::target::HostFiles;
use crate::target::cgroups::Hierarchy;
use crate::target::containers::{Container, Names, Registry, running};

/// Writes the list to stdout, without the sandboxes of pods.
pub(super) fn list(config: &ContainersConfig) -> Result<()> {
    let host = HostFiles::below(&config.host_root);
    let hierarchy = Hierarchy::find(&host).map_err(|error| {
        let hint =
            "containers are recognized by their control groups: mount them at /sys/fs/cgroup";
        Failure::hinted(format!("{error:#}"), hint)
    })?;
    let containers = running(&hierarchy, &Registry::new(host));
    let shown = containers
        .into_iter()
        .filter(|container| !container.is_sandbox());
    let mut listed: Vec<ListedContainer> = shown
        .map(|container| listed(container, &hierarchy))
        .collect();
    listed.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let mut out = Vec::new();
    if config.json {
        write_containers_json(&listed, &mut out)?;
    } else {
        write_containers_text(&listed, &mut out)?;
    }
    print(&out)
}

fn listed(container: Container, hierarchy: &Hierarchy) -> ListedContainer {
    let Container {
        runtime,
        id,
        names,
        cgroup,
    } = container;
    let Names {
        name,
        image,
        pod,
        namespace,
        is_sandbox: _,
    } = names;
    ListedContainer {
        n_processes: hierarchy.processes(&cgroup.path).len(),
        runtime: runtime.to_string(),
        id,
        name,
        image,
        pod,
        namespace,
        user: cgroup.maker.user(),
        cgroup: cgroup.path,
    }
}
