// SPDX-License-Identifier: BSD-2-Clause
//! Which functions a command line asks for.

use std::path::PathBuf;

use super::super::Targeting;
use crate::config::{
    DEFAULT_CASE, GlobArg, GlobUse, Globs, OnLoadModules, Role, Scope, UsageError, UseCases,
};
use crate::spec::ErrnoSet;

/// Targeting apart: which functions, which threads.
pub(super) struct Targets {
    pub(super) cases: Vec<String>,
    entry: Vec<GlobArg>,
    allow: Vec<GlobArg>,
    deny: Vec<GlobArg>,
    only_entries: bool,
    /// Whether functions of modules are armed that are not loaded yet.
    has_absent: bool,
}

impl Targets {
    /// Whether neither entry functions nor a use case are named.
    pub(super) fn names_nothing(&self) -> bool {
        self.cases.is_empty() && self.entry.is_empty()
    }

    /// Whether they are about every system call, and nothing else.
    pub(super) fn is_default(&self) -> bool {
        self.entry.is_empty() && !self.cases.is_empty() && self.cases.iter().all(is_default)
    }

    /// Chooses every failing system call.
    ///
    /// # Errors
    /// If the scope is the whole machine: tracing that must be asked for.
    pub(super) fn take_default(&mut self, has_scope: bool) -> Result<(), UsageError> {
        if !has_scope {
            return Err(UsageError::new(
                "neither a command or processes to trace, nor functions: nothing to do",
            )
            .hint(
                "try `retsnoop-rs -- COMMAND`, or `-p PID`; to trace the whole machine, name a use \
                 case: `-c bpf` (`-c help` lists them, `-c any` is about every system call)",
            ));
        }
        self.cases.push(DEFAULT_CASE.to_owned());
        Ok(())
    }
}

fn is_default(case: &String) -> bool {
    case == DEFAULT_CASE
}

/// What `--on-load` alone means.
const ON_LOAD_CASE: &str = "module";

pub(super) fn split(targeting: Targeting) -> (Targets, OnLoadModules, Scope) {
    let Targeting {
        mut cases,
        entry,
        allow,
        deny,
        only_entries,
        on_load,
        pids,
        no_pids,
        comms,
        no_comms,
    } = targeting;
    let on_load = OnLoadModules {
        is_whole_job: !on_load.is_empty() && cases.is_empty() && entry.is_empty(),
        modules: on_load,
    };
    if on_load.is_whole_job {
        cases.push(ON_LOAD_CASE.to_owned());
    }
    (
        Targets {
            cases,
            entry,
            allow,
            deny,
            only_entries,
            has_absent: !on_load.modules.is_empty(),
        },
        on_load,
        Scope {
            pids,
            no_pids,
            comms,
            no_comms,
            follow_forks: false,
            choices: Vec::new(),
            await_containers: false,
            host_root: PathBuf::new(),
        },
    )
}

/// `--force` is for functions that are named, not for whatever a glob happens to match.
pub(super) fn forced(mut globs: Globs, force: bool) -> Result<Globs, UsageError> {
    let mut all = globs.entry.iter().chain(&globs.allow);
    if force && !all.any(GlobUse::names_a_function) {
        return Err(UsageError::new(
            "--force is for functions that -e or -a name in full, not for globs",
        )
        .hint("name the function, such as `-a migrate_disable --force`"));
    }
    globs.force = force;
    Ok(globs)
}

/// What the use cases and the globs of a command line stand for.
pub(super) struct ChosenTargets {
    pub(super) globs: Globs,
    /// The errors that all use cases ask for; `None` if one of them has no such choice.
    pub(super) errors: Option<ErrnoSet>,
    pub(super) refusals: bool,
}

pub(super) fn chosen(targets: Targets, cases: &UseCases) -> Result<ChosenTargets, UsageError> {
    let Targets {
        cases: names,
        entry,
        allow,
        deny,
        only_entries,
        has_absent,
    } = targets;
    let is_broad = names.is_empty() && allow.is_empty() && !only_entries && !has_absent;
    let names = if names.iter().any(|name| name == "all") {
        cases.names()
    } else {
        names
    };
    let mut errors = (!names.is_empty()).then(ErrnoSet::default);
    let mut refusals = false;
    let mut globs = Globs::default();
    globs.add_arguments(Role::Entry, entry)?;
    globs.add_arguments(Role::Allow, allow)?;
    globs.add_arguments(Role::Deny, deny)?;
    for name in &names {
        let case = cases.find(name)?;
        refusals |= case.refusals;
        errors = errors.zip(case.errors).map(|(all, more)| all.with(&more));
        let Globs {
            entry,
            allow,
            deny,
            force: _,
        } = case.globs;
        globs.entry.extend(entry);
        // What is noted is no function. The functions of modules that `lsm:HOOK` stands for are part
        // of what -e says, and stay.
        let is_kept = |glob: &GlobUse| !only_entries || glob.event().is_some();
        globs.allow.extend(allow.into_iter().filter(is_kept));
        globs.deny.extend(deny);
    }
    if is_broad {
        // The inner functions of every system call are those of any entry function.
        let Globs { allow, deny, .. } = cases.find(DEFAULT_CASE)?.globs;
        globs.allow.extend(allow);
        globs.deny.extend(deny);
    }
    Ok(ChosenTargets {
        globs,
        errors,
        refusals,
    })
}
