// SPDX-License-Identifier: BSD-2-Clause
//! Checks of what this process may do: capabilities, lockdown, sysctls, limits.

use std::fs;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::kernel::Symbols;
use crate::kernel::facts::KernelFiles;
use crate::kernel::host_settings::HostSettings;
use crate::kernel::privileges::{Capabilities, Lockdown};
use crate::render::{Check, CheckSection, CheckState};

/// Number of descriptors that fentry/fexit needs per function.
const DESCRIPTORS_PER_FUNCTION: u64 = 4;

/// Below this many descriptors the limit restricts what can be traced.
const MIN_DESCRIPTORS: u64 = 4096;

pub(crate) fn capabilities(files: &KernelFiles) -> Capabilities {
    let status = fs::read_to_string(files.path("proc/self/status")).unwrap_or_default();
    Capabilities::parse(&status)
}

pub(crate) fn checks(
    files: &KernelFiles,
    host_settings: &HostSettings,
    symbols: &Symbols,
) -> Vec<Check> {
    vec![
        granted(capabilities(files)),
        lockdown(files),
        kptr_restrict(host_settings.kptr_restrict, symbols.needs_text()),
        paranoid(host_settings.perf_event_paranoid),
        unprivileged(host_settings.unprivileged_bpf_disabled),
    ]
}

fn check(id: &str, title: &str, state: CheckState, found: impl Into<String>) -> Check {
    Check::new(CheckSection::Permissions, id, title, state, found)
}

fn granted(capabilities: Capabilities) -> Check {
    let relevant = capabilities.relevant();
    let names = |there: bool| {
        let names = relevant.iter().filter(|(_, has)| *has == there);
        let names: Vec<_> = names.map(|(name, _)| *name).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" ")
        }
    };
    let missing = capabilities.missing();
    let found = format!("have: {}; lack: {}", names(true), names(false));
    let state = if missing.is_empty() {
        CheckState::Ok
    } else {
        CheckState::Missing
    };
    check("capabilities", "capabilities", state, found)
        .essential()
        .cost(&format!("tracing needs {}", missing.join(", ")))
        .hint("run it as root (sudo), or grant these capabilities and read access to tracefs")
}

fn lockdown(files: &KernelFiles) -> Check {
    let text = fs::read_to_string(files.path("sys/kernel/security/lockdown"));
    let (state, found) = match text {
        Err(_) => (CheckState::Ok, "the kernel has none, or does not show it"),
        Ok(text) => match Lockdown::parse(&text) {
            Lockdown::None => (CheckState::Ok, "none"),
            Lockdown::Integrity => (CheckState::Ok, "integrity: tracing is allowed"),
            Lockdown::Confidentiality => (CheckState::Missing, "confidentiality"),
        },
    };
    check("lockdown", "lockdown", state, found)
        .essential()
        .cost("programs may not read the kernel's memory: nothing can be traced")
        .hint("boot with `lockdown=integrity` or without lockdown; secure boot may enforce it")
}

fn kptr_restrict(value: Option<i64>, matters: bool) -> Check {
    let (state, found) = match value {
        Some(0) => (CheckState::Ok, "0".to_owned()),
        Some(1) => (CheckState::Ok, "1: shown to CAP_SYSLOG".to_owned()),
        Some(value) if matters => (
            CheckState::Limited,
            format!("{value}: hidden from everyone"),
        ),
        Some(value) => (
            CheckState::Ok,
            format!("{value}: of no matter, symbols are read from the kernel's memory"),
        ),
        None => (CheckState::Unknown, "not shown".to_owned()),
    };
    check("kptr_restrict", "kptr_restrict", state, found)
        .cost("without addresses of symbols nothing can be traced")
        .hint("`sysctl kernel.kptr_restrict=1` shows them to root")
}

fn paranoid(value: Option<i64>) -> Check {
    let (state, found) = match value {
        Some(value) => (
            CheckState::Ok,
            format!("{value}: of no matter with CAP_PERFMON or CAP_SYS_ADMIN"),
        ),
        None => (
            CheckState::Limited,
            "not there: the kernel has no perf events".to_owned(),
        ),
    };
    check("perf_event_paranoid", "perf_event_paranoid", state, found)
        .cost("kernels without perf events have no single kprobes and no last branch records")
}

fn unprivileged(value: Option<i64>) -> Check {
    let (state, found) = match value {
        Some(0) => (
            CheckState::Ok,
            "0: others may load some programs, too".to_owned(),
        ),
        Some(value) => (
            CheckState::Ok,
            format!("{value}: of no matter with CAP_BPF or CAP_SYS_ADMIN"),
        ),
        None => (CheckState::Unknown, "not shown".to_owned()),
    };
    check(
        "unprivileged_bpf_disabled",
        "unprivileged BPF off",
        state,
        found,
    )
}

/// Checks the limits of this process; a run has the same ones.
pub(crate) fn limits() -> Vec<Check> {
    vec![descriptors(), locked_memory()]
}

fn descriptors() -> Check {
    let limit = getrlimit(Resource::RLIMIT_NOFILE);
    let (state, found) = match limit {
        Ok((_, hard)) if hard < MIN_DESCRIPTORS => (
            CheckState::Limited,
            format!(
                "{hard}: enough for {} functions with back end fentry",
                hard / DESCRIPTORS_PER_FUNCTION
            ),
        ),
        Ok((soft, hard)) => (
            CheckState::Ok,
            format!(
                "{}, raised up to {} when needed",
                amount(soft),
                amount(hard)
            ),
        ),
        Err(error) => (CheckState::Unknown, error.to_string()),
    };
    Check::new(
        CheckSection::Limits,
        "descriptors",
        "file descriptors",
        state,
        found,
    )
    .cost("back ends that attach function by function cannot trace more")
    .hint("`ulimit -Hn` shows the hard limit; CAP_SYS_RESOURCE lets us raise it")
}

/// Since 5.11 (d5299b67dd59, "bpf: Memcg-based memory accounting for bpf maps") the memory of BPF
/// maps is charged to the memory cgroup. Before, it counts against this limit, also for root.
fn locked_memory() -> Check {
    let (state, found) = match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((soft, hard)) => (
            CheckState::Ok,
            format!(
                "{} bytes, hard limit {} (counts before 5.11 only, where it is raised)",
                amount(soft),
                amount(hard)
            ),
        ),
        Err(error) => (CheckState::Unknown, error.to_string()),
    };
    Check::new(
        CheckSection::Limits,
        "locked_memory",
        "locked memory",
        state,
        found,
    )
}

fn amount(limit: u64) -> String {
    if limit == RLIM_INFINITY {
        "unlimited".to_owned()
    } else {
        limit.to_string()
    }
}
