// SPDX-License-Identifier: BSD-2-Clause
//! What a run asks for → what the kernel side is told.

use std::path::PathBuf;

use super::commanded::Commanded;
use super::scope::Scoping;
use crate::bpf::{
    ErrorSettings, Layout, ScopeEntry, ScopeKind, ScopeRule, ScopeSettings, Settings,
};
use crate::cli::Comm;
use crate::config::Config;
use crate::spec::{ErrnoSet, Pid};

/// Sessions that can be open at once. One takes 11 KB of the kernel's memory.
const MAX_SESSIONS: u32 = 2048;

/// The settings of a run.
pub(super) fn settings(
    config: &Config,
    layout: Layout,
    n_functions: usize,
    command: Option<&Commanded>,
    scoping: &Scoping,
    tracefs: Option<PathBuf>,
) -> Settings {
    Settings {
        longer_ns: config.sessions.longer.map_or(0, |longer| {
            u64::try_from(longer.as_nanos()).unwrap_or(u64::MAX)
        }),
        show_success: config.sessions.success,
        errors: ErrorSettings {
            only: config.sessions.errors.allow.as_ref().map(numbers),
            never: config.sessions.errors.deny.as_ref().map(numbers),
        },
        scope: scope(config, command.and_then(Commanded::held), scoping),
        ring_bytes: config.ringbuf_bytes,
        max_sessions: MAX_SESSIONS,
        max_depth: config.max_depth,
        n_functions: n_functions as u32,
        layout,
        tracefs,
    }
}

fn numbers(errors: &ErrnoSet) -> Vec<u16> {
    let null = errors.has_null().then_some(0);
    null.into_iter()
        .chain(errors.errnos().map(|errno| errno.0))
        .collect()
}

fn scope(config: &Config, held: Option<Pid>, scoping: &Scoping) -> ScopeSettings {
    let scope = &config.scope;
    let trace_exec = config
        .command
        .as_ref()
        .is_some_and(|command| command.trace_exec);
    let command_rule = if trace_exec {
        ScopeRule::Allow
    } else {
        ScopeRule::HeldUntilExec
    };
    let pids = [
        (held.as_slice(), command_rule),
        (&scope.pids, ScopeRule::Allow),
        (&scope.no_pids, ScopeRule::Deny),
    ];
    let entries = pids.into_iter().flat_map(|(pids, rule)| {
        pids.iter().map(move |pid| ScopeEntry {
            kind: ScopeKind::Process,
            id: u64::from(pid.0),
            rule,
        })
    });
    let names = |comms: &[Comm]| comms.iter().map(|comm| comm.as_str().to_owned()).collect();
    ScopeSettings {
        entries: entries.chain(scoping.entries.iter().copied()).collect(),
        awaited: scoping
            .awaited()
            .map(|rule| (ScopeKind::Cgroup, rule))
            .collect(),
        comms_allowed: names(&scope.comms),
        comms_denied: names(&scope.no_comms),
        follow_forks: scope.follow_forks,
        watch_cgroups: scoping.watches_cgroups(),
    }
}
