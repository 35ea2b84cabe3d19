// SPDX-License-Identifier: BSD-2-Clause
//! Who is traced: what was said (users, cgroups, containers, namespaces) → numbers that programs
//! compare. Containers and cgroups that come later are added while tracing.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::unistd::{Group, User};

use super::failure::Failure;
use crate::bpf::{ScopeEntry, ScopeKind, ScopeRule, Tracer};
use crate::cli::{Choice, NamespaceArg};
use crate::config::{Chosen, Config};
use crate::diag::Diag;
use crate::events::CgroupRecord;
use crate::spec::{Pid, nearest};
use crate::target::HostFiles;
use crate::target::cgroups::{Cgroup, Hierarchy, Layout, unit_of};
use crate::target::containers::{Container, Registry, running};
use crate::target::namespaces::{Kind, of_file, of_process};

/// How long files may need to name a container whose cgroup is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often they are asked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Names that are offered in the place of one that is not there.
const OFFERED: usize = 3;

/// Who is traced, apart from processes and names.
#[derive(Debug, Default)]
pub(super) struct Scoping {
    /// Rules that are known before tracing starts.
    pub(super) entries: Vec<ScopeEntry>,
    subtrees: Vec<Choice<String>>,
    containers: Vec<Choice<String>>,
    hierarchy: Option<Hierarchy>,
    registry: Option<Registry>,
    /// Cgroups of containers that no file names yet, and since when they are there.
    nameless: Vec<(Cgroup, Instant)>,
}

impl Scoping {
    /// Finds out what the choices mean here and now.
    ///
    /// # Errors
    /// When something chosen is not there; a container may still come.
    pub(super) fn resolve(config: &Config, diag: &Diag) -> Result<Self> {
        let host = HostFiles::below(&config.scope.host_root);
        let mut scoping = Self::default();
        for Choice { wanted, what } in &config.scope.choices {
            let (kind, id) = match what {
                Chosen::User(user) => (ScopeKind::User, user_id(user)?),
                Chosen::Group(group) => (ScopeKind::Group, group_id(group)?),
                Chosen::MountNamespace(named) => {
                    (ScopeKind::MountNamespace, namespace(named, Kind::Mount)?)
                }
                Chosen::PidNamespace(named) => {
                    (ScopeKind::PidNamespace, namespace(named, Kind::Pid)?)
                }
                Chosen::NetNamespace(named) => {
                    (ScopeKind::NetNamespace, namespace(named, Kind::Net)?)
                }
                Chosen::Cgroup(_) | Chosen::Unit(_) | Chosen::Container(_) => {
                    scoping.choose_cgroups(*wanted, what, &host, diag)?;
                    continue;
                }
            };
            scoping.entries.push(ScopeEntry {
                kind,
                id,
                rule: rule(*wanted),
            });
        }
        Ok(scoping)
    }

    fn choose_cgroups(
        &mut self,
        wanted: bool,
        what: &Chosen,
        host: &HostFiles,
        diag: &Diag,
    ) -> Result<()> {
        let hierarchy = match self.hierarchy.take() {
            Some(hierarchy) => hierarchy,
            None => find_hierarchy(host, diag)?,
        };
        let is_legacy = hierarchy.layout == Layout::Legacy;
        let registry = self
            .registry
            .get_or_insert_with(|| Registry::new(host.clone()));
        let mut subtree = |path| self.subtrees.push(Choice { wanted, what: path });
        match what {
            Chosen::Container(name) if is_legacy => {
                let entries = by_mount_namespace(name, wanted, &hierarchy, registry, host)?;
                self.entries.extend(entries);
            }
            Chosen::Cgroup(_) | Chosen::Unit(_) if is_legacy => {
                return Err(Failure::hinted(
                    "this host has control groups of version 1 only, which programs cannot ask for",
                    "--mntns PID chooses by mount namespace, --container works by that here",
                ));
            }
            Chosen::Cgroup(path) => subtree(named_cgroup(&hierarchy, path)?),
            Chosen::Unit(unit) => cgroups_of_unit(&hierarchy, unit)?
                .into_iter()
                .for_each(subtree),
            Chosen::Container(name) => {
                let containers = running(&hierarchy, registry);
                if !containers.iter().any(|container| container.is_called(name)) {
                    say_awaited(name, &containers, diag);
                }
                self.containers.push(Choice {
                    wanted,
                    what: name.clone(),
                });
            }
            _ => {}
        }
        self.hierarchy = Some(hierarchy);
        Ok(())
    }

    /// Whether cgroups that come and go matter.
    pub(super) fn watches_cgroups(&self) -> bool {
        !self.subtrees.is_empty() || !self.containers.is_empty()
    }

    /// The rules of cgroups, which are told to the programs later, or come later.
    pub(super) fn awaited(&self) -> impl Iterator<Item = ScopeRule> {
        let choices = self.subtrees.iter().chain(&self.containers);
        choices.map(|choice| rule(choice.wanted))
    }

    /// Tells the programs of all cgroups that are there. They follow new ones by themselves from
    /// before this on, so that none is missed.
    pub(super) fn enter(&mut self, tracer: &mut Tracer<'_>) -> Result<()> {
        let (Some(hierarchy), Some(registry)) = (&self.hierarchy, &self.registry) else {
            return Ok(());
        };
        let mut subtrees = self.subtrees.clone();
        if !self.containers.is_empty() {
            for container in running(hierarchy, registry) {
                subtrees.extend(chosen(&self.containers, &container));
            }
        }
        // What is not wanted wins.
        subtrees.sort_by_key(|subtree| !subtree.wanted);
        for subtree in &subtrees {
            add_subtree(tracer, hierarchy, subtree)?;
        }
        Ok(())
    }

    /// A cgroup has come: perhaps a container's that is wanted.
    pub(super) fn made(&mut self, record: &CgroupRecord) {
        if self.containers.is_empty() || !record.is_made {
            return;
        }
        if let Ok(path) = String::from_utf8(record.path.clone()) {
            let cgroup = Cgroup {
                id: record.id,
                path,
            };
            self.nameless.push((cgroup, Instant::now()));
        }
    }

    /// When to [`Self::look`] again, if at all.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = Instant::now().checked_add(LOOK_AGAIN);
        due.filter(|_| !self.nameless.is_empty())
    }

    /// Looks at containers that came; the files that name one may come a moment after its cgroup.
    pub(super) fn look(&mut self, tracer: &mut Tracer<'_>) -> Result<()> {
        if self.nameless.is_empty() {
            return Ok(());
        }
        let (Some(hierarchy), Some(registry)) = (&self.hierarchy, &mut self.registry) else {
            return Ok(());
        };
        registry.refresh();
        let mut waiting = Vec::new();
        for (cgroup, since) in self.nameless.drain(..) {
            let Some(container) = Container::of(&cgroup, registry) else {
                continue;
            };
            match chosen(&self.containers, &container) {
                Some(subtree) => add_subtree(tracer, hierarchy, &subtree)?,
                None if since.elapsed() < PATIENCE => waiting.push((cgroup, since)),
                None => {}
            }
        }
        self.nameless = waiting;
        Ok(())
    }
}

fn rule(wanted: bool) -> ScopeRule {
    if wanted {
        ScopeRule::Allow
    } else {
        ScopeRule::Deny
    }
}

/// The subtree of a container, where it was chosen.
fn chosen(choices: &[Choice<String>], container: &Container) -> Option<Choice<String>> {
    let mut meant = choices
        .iter()
        .filter(|choice| container.is_called(&choice.what));
    let first = meant.next()?;
    Some(Choice {
        wanted: first.wanted && meant.all(|choice| choice.wanted),
        what: container.cgroup.path.clone(),
    })
}

fn add_subtree(
    tracer: &mut Tracer<'_>,
    hierarchy: &Hierarchy,
    subtree: &Choice<String>,
) -> Result<()> {
    let mut done = Ok(());
    hierarchy.walk(&subtree.what, &mut |cgroup| {
        let entry = ScopeEntry {
            kind: ScopeKind::Cgroup,
            id: cgroup.id,
            rule: rule(subtree.wanted),
        };
        if done.is_ok() {
            done = tracer.add_to_scope(entry);
        }
        done.is_ok()
    });
    done
}

fn find_hierarchy(host: &HostFiles, diag: &Diag) -> Result<Hierarchy> {
    let hierarchy = Hierarchy::find(host).map_err(|error| {
        let hint = "`mount -t cgroup2 cgroup2 /sys/fs/cgroup`; --mntns PID does without";
        Failure::hinted(format!("{error:#}"), hint)
    })?;
    match hierarchy.layout {
        Layout::Unified => {}
        Layout::Hybrid => diag.note(
            "control groups of versions 1 and 2 side by side: what is in a version 1 one only is not \
             found; --mntns PID chooses it",
        ),
        Layout::Legacy => diag.note(
            "control groups of version 1 only: containers are told by their mount namespaces, and \
             those that start later are not seen",
        ),
    }
    Ok(hierarchy)
}

fn user_id(named: &str) -> Result<u64> {
    if let Ok(number) = named.parse::<u32>() {
        return Ok(number.into());
    }
    let found = User::from_name(named).context("failed to look up users")?;
    match found {
        Some(user) => Ok(user.uid.as_raw().into()),
        None => Err(unknown("user", named, &accounts("/etc/passwd"))),
    }
}

fn group_id(named: &str) -> Result<u64> {
    if let Ok(number) = named.parse::<u32>() {
        return Ok(number.into());
    }
    let found = Group::from_name(named).context("failed to look up groups")?;
    match found {
        Some(group) => Ok(group.gid.as_raw().into()),
        None => Err(unknown("group", named, &accounts("/etc/group"))),
    }
}

/// The names of `/etc/passwd` or `/etc/group`.
pub(super) fn accounts(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let names = text.lines().filter_map(|line| line.split(':').next());
    names.map(str::to_owned).collect()
}

/// There is no such thing; the nearest names are.
pub(super) fn unknown(what: &str, named: &str, names: &[String]) -> anyhow::Error {
    let near = nearest(named, names.iter().map(String::as_str), OFFERED);
    let hint = match near.as_slice() {
        [] => match what {
            "user" | "group" => "a number does as well".to_owned(),
            _ => "`systemd-cgls` shows control groups with their units".to_owned(),
        },
        near => format!("similar: `{}`", near.join("`, `")),
    };
    Failure::hinted(format!("there is no {what} `{named}`"), hint)
}

fn namespace(named: &NamespaceArg, kind: Kind) -> Result<u64> {
    let found = match named {
        NamespaceArg::Inode(number) => return Ok(*number),
        NamespaceArg::Of(pid) => of_process(&HostFiles::below("/"), *pid, kind),
        NamespaceArg::File(path) => of_file(path, kind),
    };
    found.map_err(|error| {
        let hint = "`lsns` lists namespaces, by number and with a process of each";
        Failure::hinted(format!("{error:#}"), hint)
    })
}

fn named_cgroup(hierarchy: &Hierarchy, named: &Path) -> Result<String> {
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

/// The cgroups that are called as a unit is: one, or one for each user that has such a unit.
fn cgroups_of_unit(hierarchy: &Hierarchy, unit: &str) -> Result<Vec<String>> {
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

fn by_mount_namespace(
    name: &str,
    wanted: bool,
    hierarchy: &Hierarchy,
    registry: &Registry,
    host: &HostFiles,
) -> Result<Vec<ScopeEntry>> {
    let containers = running(hierarchy, registry);
    let meant = containers
        .iter()
        .filter(|container| container.is_called(name));
    let pids = meant.flat_map(|container| hierarchy.processes(&container.cgroup.path));
    let namespaces = pids
        .filter_map(|pid| of_process(host, Pid(pid), Kind::Mount).ok())
        .map(|id| ScopeEntry {
            kind: ScopeKind::MountNamespace,
            id,
            rule: rule(wanted),
        });
    let entries: Vec<ScopeEntry> = namespaces.collect();
    if entries.is_empty() {
        return Err(unknown("container", name, &called(&containers)));
    }
    Ok(entries)
}

fn called(containers: &[Container]) -> Vec<String> {
    let names = containers.iter().flat_map(|container| {
        let names = &container.names;
        [names.name.clone(), names.pod.clone()]
    });
    names.flatten().collect()
}

/// It may be there later: then it is traced, and until then nothing.
fn say_awaited(name: &str, containers: &[Container], diag: &Diag) {
    diag.warning(format!(
        "there is no container `{name}` now: waiting for it to start"
    ));
    let names = called(containers);
    let near = nearest(name, names.iter().map(String::as_str), OFFERED);
    if near.is_empty() {
        diag.hint("`retsnoop-rs list containers` shows those that run");
    } else {
        diag.hint(format!("similar: `{}`", near.join("`, `")));
    }
}
