// SPDX-License-Identifier: BSD-2-Clause
//! Hosts whose containers have cgroups of version 1, which programs cannot query. Such containers
//! are identified by their mount namespaces.

use std::collections::BTreeSet;

use anyhow::Result;

use super::named::called;
use super::rule;
use super::unknown::unknown;
use crate::bpf::{ScopeEntry, ScopeKind};
use crate::config::Choice;
use crate::diag::Diag;
use crate::failure::Failure;
use crate::spec::Pid;
use crate::target::HostFiles;
use crate::target::cgroups::{CgroupLayout, Hierarchy};
use crate::target::containers::{Container, Registry, running};
use crate::target::namespaces::{NamespaceKind, of_host, of_process};

/// A container, and the hierarchy that it was found in.
type ContainerInHierarchy<'a> = (&'a Hierarchy, Container);

/// Returns the mount namespaces of the named containers; `None` if cgroups identify them. A run
/// uses the same way for all containers, because rules of different kinds are combined with "and".
pub(crate) fn entries(
    named: &[Choice<String>],
    hierarchy: &Hierarchy,
    registry: &Registry,
    host: &HostFiles,
    diag: &Diag,
) -> Result<Option<Vec<ScopeEntry>>> {
    if hierarchy.layout == CgroupLayout::Unified || named.is_empty() {
        return Ok(None);
    }
    let beside = hierarchy.beside();
    let mut found = containers_in(hierarchy, registry);
    if let Some(beside) = &beside {
        if are_among(named, &found) {
            return Ok(None);
        }
        found.extend(containers_in(beside, registry));
        if !are_among(named, &found) {
            return Ok(None);
        }
    }
    diag.note(
        "these containers have control groups of version 1 only: they are told by their mount \
         namespaces, and those that start later are not seen",
    );
    let mut entries = Vec::new();
    for choice in named {
        entries.extend(namespaces(choice, &found, host)?);
    }
    Ok(Some(entries))
}

fn containers_in<'h>(
    hierarchy: &'h Hierarchy,
    registry: &Registry,
) -> Vec<ContainerInHierarchy<'h>> {
    let containers = running(hierarchy, registry).into_iter();
    containers.map(|container| (hierarchy, container)).collect()
}

fn are_among(named: &[Choice<String>], found: &[ContainerInHierarchy<'_>]) -> bool {
    let is_there = |name: &str| found.iter().any(|(_, it)| it.is_called(name));
    named.iter().all(|choice| is_there(&choice.what))
}

fn namespaces(
    choice: &Choice<String>,
    found: &[ContainerInHierarchy<'_>],
    host: &HostFiles,
) -> Result<Vec<ScopeEntry>> {
    let name = &choice.what;
    let meant: Vec<&ContainerInHierarchy<'_>> = found
        .iter()
        .filter(|(_, container)| container.is_called(name))
        .collect();
    if meant.is_empty() {
        let containers: Vec<Container> = found.iter().map(|(_, it)| it.clone()).collect();
        return Err(unknown("container", name, &called(&containers)));
    }
    let pids = meant
        .iter()
        .flat_map(|(hierarchy, container)| hierarchy.processes(&container.cgroup.path));
    let ids: BTreeSet<u64> = pids
        .filter_map(|pid| of_process(host, Pid(pid), NamespaceKind::Mount).ok())
        .collect();
    // A process that enters a container joins its cgroup before its namespaces, so the host's
    // namespaces are removed.
    let ids: Vec<u64> = ids.difference(&of_host(host)).copied().collect();
    if ids.is_empty() {
        return Err(Failure::hinted(
            format!(
                "container `{name}` has no mount namespace of its own, and nothing else tells it here"
            ),
            "-p PID chooses its processes, --follow those that they start",
        ));
    }
    let entry = |id| ScopeEntry {
        kind: ScopeKind::MountNamespace,
        id,
        rule: rule(choice.wanted),
    };
    Ok(ids.into_iter().map(entry).collect())
}
