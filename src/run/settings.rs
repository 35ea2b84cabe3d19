// SPDX-License-Identifier: BSD-2-Clause
//! Translates the configuration of a run into the settings of the kernel side.

use super::spawned::SpawnedCommand;
use crate::bpf::{
    ErrorSettings, FlightLayout, KernelLayout, ReadMemory, ScopeEntry, ScopeKind, ScopeRule,
    ScopeSettings, Settings,
};
use crate::config::Comm;
use crate::config::{Config, Errors};
use crate::kernel::facts::KernelFiles;
use crate::scope::Scoping;
use crate::spec::{ErrnoSet, Pid};

/// Bounds of the number of sessions that can be open at once. A session takes 14 KB of kernel
/// memory, which the kernel clears at the start.
const FEWEST_SESSIONS: u32 = 512;
const MOST_SESSIONS: u32 = 4096;

/// Minimum number of sessions if there is a command: the number of its threads is not known
/// beforehand.
const SESSIONS_OF_COMMANDS: u32 = 2048;

/// The numbers of what is traced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Functions and other hooks, also those that may be traced later.
    pub(crate) n_functions: usize,
    /// Sources of notes.
    pub(crate) n_notes: usize,
    /// Entry functions with arguments that are texts.
    pub(crate) n_entry_texts: usize,
    /// Places of USDT probes.
    pub(crate) n_usdt_sites: usize,
    /// Functions whose errno is read.
    pub(crate) n_errno_places: usize,
}

/// Builds the settings of a run.
pub(crate) fn settings(
    config: &Config,
    layout: KernelLayout,
    sizes: Sizes,
    command: Option<&SpawnedCommand>,
    scoping: &Scoping,
    files: &KernelFiles,
) -> Settings {
    Settings {
        longer_ns: config.sessions.longer.map_or(0, |longer| {
            u64::try_from(longer.as_nanos()).unwrap_or(u64::MAX)
        }),
        show_success: config.sessions.success,
        errors: errors(&config.sessions.errors),
        read: ReadMemory {
            arguments: config.sessions.arguments,
            errno: sizes.n_errno_places > 0 && layout.task.task_fsbase != 0,
            // Without a command, nobody asks what else failed; and all tasks pay for it.
            failing_calls: command.is_some(),
        },
        scope: scope(config, command.and_then(SpawnedCommand::held), scoping),
        ring_bytes: config.ringbuf_bytes,
        max_sessions: max_sessions(files.n_threads(), command.is_some()),
        max_depth: config.max_depth,
        n_functions: sizes.n_functions as u32,
        n_notes: sizes.n_notes as u32,
        n_entry_texts: sizes.n_entry_texts as u32,
        n_usdt_sites: sizes.n_usdt_sites as u32,
        layout,
        tracefs: files.tracefs_directory(),
        preempts_programs: files.preempts_programs(),
        flight: config.flight.as_ref().map(|flight| {
            // CPUs that are offline record nothing, so they get no part of the memory.
            FlightLayout::within(flight.bytes, files.n_cpus().unwrap_or(1))
        }),
        optimizations: config.optimizations,
    }
}

/// Returns the number of sessions that can be open at once: four times the number of threads,
/// within the bounds. A thread has one open session at a time, and threads may be created later.
fn max_sessions(n_threads: Option<u32>, has_command: bool) -> u32 {
    let fewest = if has_command {
        SESSIONS_OF_COMMANDS
    } else {
        FEWEST_SESSIONS
    };
    let wanted = n_threads.map_or(SESSIONS_OF_COMMANDS, |n_threads| {
        n_threads.saturating_mul(4)
    });
    wanted.clamp(fewest, MOST_SESSIONS)
}

/// Errors that may not be on the chain are also denied as the entry function's result.
fn errors(errors: &Errors) -> ErrorSettings {
    let never = [&errors.deny, &errors.deny_any];
    let never: Vec<u16> = never.into_iter().flatten().flat_map(numbers).collect();
    ErrorSettings {
        any: errors.allow_any.as_ref().map(numbers),
        only: errors.allow.as_ref().map(numbers),
        never: (!never.is_empty()).then_some(never),
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
        n_cgroups: scoping.n_cgroups(),
        watch_cgroups: scoping.watches_cgroups(),
    }
}

#[cfg(test)]
mod tests {
    use super::max_sessions;

    #[test]
    fn there_is_room_for_more_threads_than_there_are_within_bounds() {
        assert_eq!(max_sessions(Some(90), false), 512);
        assert_eq!(max_sessions(Some(90), true), 2048);
        assert_eq!(max_sessions(Some(300), false), 1200);
        assert_eq!(max_sessions(Some(700), true), 2800);
        assert_eq!(max_sessions(Some(u32::MAX), false), 4096);
        assert_eq!(max_sessions(None, false), 2048);
    }
}
