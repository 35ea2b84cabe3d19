// SPDX-License-Identifier: BSD-2-Clause
//! What entry functions alone get: the inner functions that can fail, or none with --only-entries.

use std::process::Command;

use super::harness::{Report, Trace, bare_program};

/// Traces a command that fails.
fn traced(options: &[&str], command: &[&str]) -> Report {
    let scope = ["-n", command[0], "-x", "EINVAL", "--json"];
    let trace = Trace::spawn(bare_program(&[options, &scope].concat())).ready();
    let output = Command::new(command[0]).args(&command[1..]).output();
    assert!(!output.unwrap().status.success(), "{command:?}");
    trace.finish()
}

fn mounted(options: &[&str]) -> Report {
    let entries = ["-e", "*_sys_{mount,fsconfig}"];
    let mount = ["mount", "-t", "tmpfs", "-o", "mode=999", "none", "/mnt"];
    traced(&[options, &entries].concat(), &mount)
}

fn culprits(report: &Report) -> Vec<&str> {
    report.sessions.iter().map(|it| it.culprit()).collect()
}

#[test]
fn entry_functions_alone_come_with_the_functions_that_can_fail() {
    let report = mounted(&[]);
    let culprits = culprits(&report);
    assert!(culprits.contains(&"fs_param_is_u32"), "{culprits:?}");
    let n_functions = report.summary.count("functions");
    assert!(n_functions > 10_000, "{n_functions}");
}

#[test]
fn only_entries_are_traced_where_that_is_asked_for() {
    let report = mounted(&["--only-entries"]);
    let culprits = culprits(&report);
    let is_entry = |culprit: &&str| culprit.starts_with("__x64_sys_");
    assert!(!culprits.is_empty(), "{:?}", report.summary);
    assert!(culprits.iter().all(is_entry), "{culprits:?}");
    let n_functions = report.summary.count("functions");
    assert!((1..=4).contains(&n_functions), "{n_functions}");
}

#[test]
fn a_session_with_thousands_of_calls_before_its_failure_is_shown() {
    let _ = Command::new("modprobe").args(["-r", "null_blk"]).output();
    let module = ["modprobe", "null_blk", "zoned=1", "zone_size=3"];
    let report = traced(&["-e", "*_sys_{init,finit}_module"], &module);
    assert_eq!(report.sessions.len(), 1, "{:?}", report.summary);
    let session = &report.sessions[0];
    assert_eq!(session.result(), "-EINVAL");
    // What the module itself has was not there yet when the functions were chosen.
    assert_eq!(session.culprit(), "do_one_initcall");
}
