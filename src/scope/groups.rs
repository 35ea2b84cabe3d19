// SPDX-License-Identifier: BSD-2-Clause
//! Cgroups, units and containers that the user chose: resolves them to cgroups, at the start and
//! while we trace.

use std::path::Path;

use anyhow::Result;

use super::awaited::Arrivals;
use super::named::{Named, called, chosen};
use super::roots::TracedContainer;
use super::unknown::{similar, unknown};
use super::{legacy, rule};
use crate::bpf::{ScopeEntry, ScopeKind, ScopeRule, Tracer};
use crate::config::Choice;
use crate::config::{Chosen, Scope};
use crate::diag::Diag;
use crate::failure::Failure;
use crate::target::HostFiles;
use crate::target::cgroups::{Cgroup, CgroupLayout, Hierarchy, unit_of};
use crate::target::containers::{Registry, running};

/// The cgroups of a run.
#[derive(Debug)]
pub(crate) struct Groups {
    pub(crate) host: HostFiles,
    pub(crate) hierarchy: Hierarchy,
    registry: Registry,
    subtrees: Vec<Choice<String>>,
    pub(crate) containers: Vec<Named>,
    pub(crate) arrivals: Arrivals,
    /// Wanted containers that have started, for whoever looks for their files.
    pub(crate) arrived: Vec<TracedContainer>,
}

impl Groups {
    /// Resolves the choices; returns `None` if none is about cgroups. If the containers have
    /// cgroups of version 1 only, they are added to `entries` by mount namespace instead.
    pub(crate) fn resolve(
        scope: &Scope,
        entries: &mut Vec<ScopeEntry>,
        diag: &Diag,
    ) -> Result<Option<Self>> {
        let is_one = |what: &Chosen| {
            matches!(
                what,
                Chosen::Cgroup(_) | Chosen::Unit(_) | Chosen::Container(_)
            )
        };
        if !scope.choices.iter().any(|choice| is_one(&choice.what)) {
            return Ok(None);
        }
        let host = HostFiles::below(&scope.host_root);
        let hierarchy = find_hierarchy(&host)?;
        let (mut subtrees, mut named) = (Vec::new(), Vec::new());
        for Choice { wanted, what } in &scope.choices {
            let chosen = |what| Choice {
                wanted: *wanted,
                what,
            };
            match what {
                Chosen::Container(name) => named.push(chosen(name.clone())),
                Chosen::Cgroup(path) => subtrees.push(chosen(named_cgroup(&hierarchy, path)?)),
                Chosen::Unit(unit) => {
                    let found = cgroups_of_unit(&hierarchy, unit)?;
                    subtrees.extend(found.into_iter().map(chosen));
                }
                _ => {}
            }
        }
        let registry = Registry::new(host.clone());
        let by_namespace = legacy::entries(&named, &hierarchy, &registry, &host, diag)?;
        let containers = match by_namespace {
            Some(found) => {
                entries.extend(found);
                Vec::new()
            }
            None => {
                say_layout(&hierarchy, diag);
                named
            }
        };
        let containers = Named::resolve(containers, &hierarchy, &registry, diag);
        let groups = Self {
            host,
            hierarchy,
            registry,
            subtrees,
            containers,
            arrivals: Arrivals::default(),
            arrived: Vec::new(),
        };
        groups.check_names(scope.await_containers, diag)?;
        Ok(Some(groups))
    }

    /// Checks the names of containers. If no container has a name, it may be that of a container
    /// that starts later, or it may be mistyped.
    fn check_names(&self, may_come: bool, diag: &Diag) -> Result<()> {
        if self.containers.is_empty() {
            return Ok(());
        }
        let running = running(&self.hierarchy, &self.registry);
        for Named { name, .. } in &self.containers {
            if running.iter().any(|container| container.is_called(name)) {
                continue;
            }
            let known = self.registry.known();
            if known.contains(name) {
                diag.note(format!(
                    "container `{name}` does not run now: waiting for it to start"
                ));
                continue;
            }
            let names: Vec<String> = known.into_iter().chain(called(&running)).collect();
            if let Some(similar) = similar(name, &names)
                && !may_come
            {
                return Err(Failure::hinted(
                    format!("there is no container `{name}`"),
                    format!("{similar}; --await waits for one that is to come"),
                ));
            }
            diag.warning(format!(
                "there is no container `{name}` now: waiting for it to start"
            ));
            diag.hint("`retsnoop-rs list containers` shows those that run");
        }
        Ok(())
    }

    /// Returns the rules that [`Self::enter`] and [`Self::look`] add.
    pub(crate) fn rules(&self) -> impl Iterator<Item = ScopeRule> {
        let of_subtrees = self.subtrees.iter().map(|choice| choice.wanted);
        let of_containers = self.containers.iter().map(|named| named.wanted);
        of_subtrees.chain(of_containers).map(rule)
    }

    pub(crate) fn awaits_containers(&self) -> bool {
        !self.containers.is_empty()
    }

    /// Adds all existing cgroups of the choices to the scope, and starts to watch for containers.
    pub(crate) fn enter(&mut self, tracer: &mut Tracer<'_>) -> Result<()> {
        let mut subtrees: Vec<(Option<Cgroup>, Choice<String>)> = self
            .subtrees
            .iter()
            .map(|subtree| (None, subtree.clone()))
            .collect();
        if self.awaits_containers() {
            for container in running(&self.hierarchy, &self.registry) {
                if let Some(subtree) = chosen(&self.containers, &container) {
                    self.arrivals.entered(&container.cgroup);
                    if subtree.wanted {
                        // It may have started after the files of containers were looked for.
                        self.arrived.push(TracedContainer::of(&container));
                    }
                    subtrees.push((Some(container.cgroup), subtree));
                }
            }
        }
        // A deny rule wins, so it is added last.
        subtrees.sort_by_key(|(_, subtree)| !subtree.wanted);
        for (cgroup, subtree) in &subtrees {
            self.add_subtree(tracer, cgroup.as_ref(), subtree);
        }
        if self.awaits_containers() {
            self.watch()?;
        }
        Ok(())
    }

    /// Adds a cgroup and all cgroups below it. `top` is the id of the topmost one, if known. It is
    /// more reliable than the path: the kernel reports paths from the root of the hierarchy, and
    /// our mount may start elsewhere.
    fn add_subtree(&self, tracer: &mut Tracer<'_>, top: Option<&Cgroup>, subtree: &Choice<String>) {
        let mut add = |id| {
            tracer.add_to_scope(ScopeEntry {
                kind: ScopeKind::Cgroup,
                id,
                rule: rule(subtree.wanted),
            });
        };
        if let Some(cgroup) = top {
            add(cgroup.id);
        }
        self.hierarchy.walk(&subtree.what, &mut |cgroup| {
            add(cgroup.id);
            true
        });
    }

    /// Returns the number of cgroups that the choices cover now.
    pub(crate) fn n_chosen(&self) -> u32 {
        let mut paths: Vec<String> = self.subtrees.iter().map(|it| it.what.clone()).collect();
        if self.awaits_containers() {
            let running = running(&self.hierarchy, &self.registry).into_iter();
            let chosen = running.filter(|it| chosen(&self.containers, it).is_some());
            paths.extend(chosen.map(|container| container.cgroup.path));
        }
        let mut count = 0_u32;
        for path in paths {
            self.hierarchy.walk(&path, &mut |_| {
                count = count.saturating_add(1);
                true
            });
        }
        count
    }
}

fn find_hierarchy(host: &HostFiles) -> Result<Hierarchy> {
    Hierarchy::find(host).map_err(|error| {
        let hint = "`mount -t cgroup2 cgroup2 /sys/fs/cgroup`; --mntns PID does without";
        Failure::hinted(format!("{error:#}"), hint)
    })
}

fn say_layout(hierarchy: &Hierarchy, diag: &Diag) {
    if hierarchy.layout == CgroupLayout::Hybrid {
        diag.note(
            "control groups of versions 1 and 2 side by side: what is in one of version 1 only is \
             not seen; --mntns PID chooses it",
        );
    }
}

fn check_version(hierarchy: &Hierarchy) -> Result<()> {
    if hierarchy.layout == CgroupLayout::Legacy {
        return Err(Failure::hinted(
            "this host has control groups of version 1 only, which programs cannot ask for",
            "--mntns PID chooses by mount namespace, --container works by that here",
        ));
    }
    Ok(())
}

fn named_cgroup(hierarchy: &Hierarchy, named: &Path) -> Result<String> {
    check_version(hierarchy)?;
    hierarchy.named(named).map_err(|_| {
        let text = named.display().to_string();
        unknown("control group", &text, &paths(hierarchy))
    })
}

fn paths(hierarchy: &Hierarchy) -> Vec<String> {
    let mut paths = Vec::new();
    hierarchy.walk("/", &mut |cgroup| {
        paths.push(cgroup.path.clone());
        true
    });
    paths
}

/// Returns the cgroups with the name of a unit: one, or one for each user that runs such a unit.
fn cgroups_of_unit(hierarchy: &Hierarchy, unit: &str) -> Result<Vec<String>> {
    check_version(hierarchy)?;
    let paths = paths(hierarchy);
    let service = format!("{unit}.service");
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_it = |path: &&String| last(path) == unit || last(path) == service;
    let found: Vec<String> = paths.iter().filter(is_it).cloned().collect();
    if found.is_empty() {
        let units = paths.iter().filter_map(|path| unit_of(path));
        let units: Vec<String> = units.map(str::to_owned).collect();
        return Err(unknown("unit with a control group", unit, &units));
    }
    Ok(found)
}
