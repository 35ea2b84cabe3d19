// SPDX-License-Identifier: BSD-2-Clause
//! What entry functions alone get: the inner functions that can fail, or none with --only-entries.

use super::harness::{Report, Trace, bare_program};

const MOUNT: &[&str] = &["mount", "-t", "tmpfs", "-o", "mode=999", "none", "/mnt"];

/// Traces a mount that fails for a bad option.
fn mounted(options: &[&str]) -> Report {
    let entries = ["-e", "*_sys_{mount,fsconfig}", "-x", "EINVAL", "--json"];
    let arguments = [options, &entries, &["--"], MOUNT].concat();
    Trace::spawn(bare_program(&arguments)).wait().report()
}

#[test]
fn entry_functions_alone_come_with_the_functions_that_can_fail() {
    let report = mounted(&[]);
    let culprits: Vec<&str> = report.sessions.iter().map(|it| it.culprit()).collect();
    assert!(culprits.contains(&"fs_param_is_u32"), "{culprits:?}");
    let n_functions = report.summary.count("functions");
    assert!(n_functions > 10_000, "{n_functions}");
}

#[test]
fn only_entries_are_traced_where_that_is_asked_for() {
    let report = mounted(&["--only-entries"]);
    let culprits: Vec<&str> = report.sessions.iter().map(|it| it.culprit()).collect();
    let is_entry = |culprit: &&str| culprit.starts_with("__x64_sys_");
    assert!(
        !culprits.is_empty() && culprits.iter().all(is_entry),
        "{culprits:?}"
    );
    let n_functions = report.summary.count("functions");
    assert!((1..=4).contains(&n_functions), "{n_functions}");
}
