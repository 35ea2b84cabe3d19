// SPDX-License-Identifier: BSD-2-Clause
//! Who is traced: what was said (users, cgroups, containers, namespaces) → numbers that programs
//! compare. Containers and cgroups that come later are added while tracing.

mod awaited;
mod groups;
mod legacy;
mod named;
mod numbers;
mod unknown;
mod watching;

use std::time::Instant;

use anyhow::Result;

use self::groups::Groups;
use self::numbers::{group_id, namespace, user_id};
pub(crate) use self::unknown::{accounts, unknown};
use crate::bpf::{ScopeEntry, ScopeKind, ScopeRule, Tracer};
use crate::cli::Choice;
use crate::config::{Chosen, Config};
use crate::diag::Diag;
use crate::events::CgroupRecord;
use crate::target::namespaces::Kind;

/// Who is traced, apart from processes and names.
#[derive(Debug, Default)]
pub(crate) struct Scoping {
    /// Rules that are known before tracing starts.
    pub(crate) entries: Vec<ScopeEntry>,
    groups: Option<Groups>,
}

impl Scoping {
    /// Finds out what the choices mean here and now.
    ///
    /// # Errors
    /// When something chosen is not there; a container may still come.
    pub(crate) fn resolve(config: &Config, diag: &Diag) -> Result<Self> {
        let mut entries = Vec::new();
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
                Chosen::Cgroup(_) | Chosen::Unit(_) | Chosen::Container(_) => continue,
            };
            let rule = rule(*wanted);
            entries.push(ScopeEntry { kind, id, rule });
        }
        let groups = Groups::resolve(&config.scope, &mut entries, diag)?;
        Ok(Self { entries, groups })
    }

    /// Whether cgroups that come and go matter.
    pub(crate) fn watches_cgroups(&self) -> bool {
        self.awaited().next().is_some()
    }

    /// How many cgroups the choices are about now.
    pub(crate) fn n_cgroups(&self) -> u32 {
        self.groups.as_ref().map_or(0, Groups::n_chosen)
    }

    /// The rules of cgroups, which are told to the programs later, or come later.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = ScopeRule> {
        self.groups.iter().flat_map(Groups::rules)
    }

    /// Tells the programs of all cgroups that are there. They follow new ones by themselves from
    /// before this on, so that none is missed.
    pub(crate) fn enter(&mut self, tracer: &mut Tracer<'_>) -> Result<()> {
        match &mut self.groups {
            Some(groups) => groups.enter(tracer),
            None => Ok(()),
        }
    }

    /// A cgroup has come: perhaps a container's that is wanted.
    pub(crate) fn made(&mut self, record: &CgroupRecord) {
        if let Some(groups) = &mut self.groups {
            groups.made(record);
        }
    }

    /// When to [`Self::look`] again, if at all.
    pub(crate) fn due(&self, tracer: &Tracer<'_>) -> Option<Instant> {
        self.groups.as_ref()?.due(tracer.unreported_cgroups())
    }

    /// How many new cgroups the kernel could not tell of that need no [`Self::look`] any more.
    pub(crate) fn caught_up(&self) -> u64 {
        self.groups.as_ref().map_or(u64::MAX, Groups::caught_up)
    }

    /// Looks at containers that came; the files that name one may come a moment after its cgroup.
    pub(crate) fn look(&mut self, tracer: &mut Tracer<'_>, diag: &Diag) {
        if let Some(groups) = &mut self.groups {
            groups.look(tracer, diag);
        }
    }

    /// New cgroups that were noticed late, or not at all, where any may be of a container that is
    /// wanted.
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
