// SPDX-License-Identifier: BSD-2-Clause
//! The scope: resolves users, groups, cgroups, containers and namespaces to the numbers that
//! programs compare. Cgroups of containers that start later are added while tracing.

mod awaited;
mod groups;
mod legacy;
mod named;
mod numbers;
mod roots;
mod unknown;
mod watching;

use std::mem;
use std::time::Instant;

use anyhow::Result;

use self::groups::Groups;
use self::numbers::{group_id, namespace, user_id};
pub(crate) use self::roots::{Roots, TracedContainer};
pub(crate) use self::unknown::{accounts, unknown};
use crate::bpf::{ScopeEntry, ScopeKind, ScopeRule, Tracer};
use crate::config::Choice;
use crate::config::{Chosen, Config};
use crate::diag::Diag;
use crate::events::CgroupRecord;
use crate::target::namespaces::NamespaceKind;

/// The scope of a run, except for processes and thread names.
#[derive(Debug, Default)]
pub(crate) struct Scoping {
    /// Rules that are known before tracing starts.
    pub(crate) entries: Vec<ScopeEntry>,
    groups: Option<Groups>,
}

impl Scoping {
    /// Resolves the choices of the configuration.
    ///
    /// # Errors
    /// Fails if a chosen object does not exist, except for a container that may start later.
    pub(crate) fn resolve(config: &Config, diag: &Diag) -> Result<Self> {
        let mut entries = Vec::new();
        for Choice { wanted, what } in &config.scope.choices {
            let (kind, id) = match what {
                Chosen::User(user) => (ScopeKind::User, user_id(user)?),
                Chosen::Group(group) => (ScopeKind::Group, group_id(group)?),
                Chosen::MountNamespace(named) => (
                    ScopeKind::MountNamespace,
                    namespace(named, NamespaceKind::Mount)?,
                ),
                Chosen::PidNamespace(named) => (
                    ScopeKind::PidNamespace,
                    namespace(named, NamespaceKind::Pid)?,
                ),
                Chosen::NetNamespace(named) => (
                    ScopeKind::NetNamespace,
                    namespace(named, NamespaceKind::Net)?,
                ),
                Chosen::Cgroup(_) | Chosen::Unit(_) | Chosen::Container(_) => continue,
            };
            let rule = rule(*wanted);
            entries.push(ScopeEntry { kind, id, rule });
        }
        let groups = Groups::resolve(&config.scope, &mut entries, diag)?;
        Ok(Self { entries, groups })
    }

    /// Returns true if created and removed cgroups must be reported.
    pub(crate) fn watches_cgroups(&self) -> bool {
        self.awaited().next().is_some()
    }

    /// Returns the number of cgroups that the choices cover now.
    pub(crate) fn n_cgroups(&self) -> u32 {
        self.groups.as_ref().map_or(0, Groups::n_chosen)
    }

    /// Returns the rules for cgroups, which are added to the programs' maps later.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = ScopeRule> {
        self.groups.iter().flat_map(Groups::rules)
    }

    /// Adds all existing cgroups of the choices to the scope. The programs already watch for new
    /// cgroups at this point, so that none is missed.
    pub(crate) fn enter(&mut self, tracer: &mut Tracer<'_>) -> Result<()> {
        match &mut self.groups {
            Some(groups) => groups.enter(tracer),
            None => Ok(()),
        }
    }

    /// Handles the report of a new cgroup, which may belong to a wanted container.
    pub(crate) fn made(&mut self, record: &CgroupRecord) {
        if let Some(groups) = &mut self.groups {
            groups.made(record);
        }
    }

    /// Returns when to call [`Self::look`] again; `None` if there is no need to.
    pub(crate) fn due(&self, tracer: &Tracer<'_>) -> Option<Instant> {
        self.groups.as_ref()?.due(tracer.unreported_cgroups())
    }

    /// Returns how many unreported cgroups are handled and need no [`Self::look`].
    pub(crate) fn caught_up(&self) -> u64 {
        self.groups.as_ref().map_or(u64::MAX, Groups::caught_up)
    }

    /// Adds containers that have started to the scope. The files that name a container may appear a
    /// moment after its cgroup.
    pub(crate) fn look(&mut self, tracer: &mut Tracer<'_>, diag: &Diag) {
        if let Some(groups) = &mut self.groups {
            groups.look(tracer, diag);
        }
    }

    /// Takes the wanted containers that were added to the scope since the last call.
    pub(crate) fn take_arrived(&mut self) -> Vec<TracedContainer> {
        let groups = self.groups.as_mut();
        groups.map_or_else(Vec::new, |groups| mem::take(&mut groups.arrived))
    }

    /// Returns the number of new cgroups that were noticed late or not at all, and that may belong
    /// to a wanted container; 0 if no containers are awaited.
    pub(crate) fn n_unnoticed(&self, tracer: &Tracer<'_>) -> u64 {
        let groups = self.groups.as_ref();
        groups.map_or(0, |groups| groups.n_unnoticed(tracer.unreported_cgroups()))
    }
}

fn rule(wanted: bool) -> ScopeRule {
    if wanted {
        ScopeRule::Allow
    } else {
        ScopeRule::Deny
    }
}
