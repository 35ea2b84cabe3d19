// SPDX-License-Identifier: BSD-2-Clause
//! The main job: which function made a system call fail, and how the error travelled up.

use super::harness::{Trace, attaches_slowly, kernel};
use super::view::Session;

/// Few enough to be attached one by one in seconds.
const FEW: &[&str] = &[
    "-e",
    "*_sys_bpf",
    "-a",
    "map_create",
    "-a",
    "array_map_alloc*",
    "-a",
    "htab_map_alloc*",
    "-a",
    "*check_uarg*",
    "-a",
    "bpf_prog_load",
    "-a",
    "__bpf_prog_get",
];

fn selection() -> &'static [&'static str] {
    if attaches_slowly() {
        FEW
    } else {
        &["-c", "bpf"]
    }
}

#[test]
fn a_failing_bpf_call_is_shown_with_its_chain_and_culprit() {
    let trace = Trace::start(&[selection(), &["-sn", "-n", "simfail"]].concat());
    trace.simfail(&["bpf-map-value-size"]);
    let report = trace.finish();
    let session = report.only("simfail");
    assert_eq!(session.entry(), "__x64_sys_bpf");
    assert_eq!(session.result(), "-E2BIG");
    assert_eq!(session.culprit(), "array_map_alloc_check");
    assert_eq!(session.culprit_object()["errno"], 7);
    assert_eq!(session.culprit_object()["certain"], true);
    let chain = session.chain();
    assert_eq!(chain.first(), Some(&"__x64_sys_bpf"));
    assert_eq!(chain.last(), Some(&"array_map_alloc_check"));
    assert_names_only(session);
}

fn assert_names_only(session: &Session) {
    assert!(session.stack().iter().all(|row| row["file"].is_null()));
}

#[test]
fn source_lines_and_inlined_functions_are_shown_where_dwarf_is_found() {
    let trace = Trace::start(&[selection(), &["-ss", "-n", "simfail"]].concat());
    trace.simfail(&["bpf-map-key-size"]);
    let report = trace.finish();
    let session = report.only("simfail");
    assert_eq!(session.culprit(), "htab_map_alloc_check");
    let culprit = session.culprit_object();
    assert_eq!(culprit["file"], "kernel/bpf/hashtab.c", "{culprit}");
    assert!(culprit["line"].as_u64() > Some(0));
    let syscall = session
        .links()
        .iter()
        .find(|link| link["function"] == "__x64_sys_bpf")
        .unwrap();
    assert_eq!(syscall["file"], "kernel/bpf/syscall.c", "{syscall}");
    let inlined = |row: &serde_json::Value| !row["inlined"].as_array().unwrap().is_empty();
    assert!(session.stack().iter().any(inlined), "{session:#?}");
}

#[test]
fn the_text_says_who_did_it_and_sums_up() {
    let trace = Trace::start_text(&[selection(), &["-n", "simfail"]].concat());
    trace.simfail(&["bpf-map-value-size"]);
    let ended = trace.interrupt();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let text = &ended.stdout;
    assert!(
        text.contains("culprit (certain): array_map_alloc_check"),
        "{text}"
    );
    assert!(text.contains("E2BIG: Argument list too long"), "{text}");
    assert!(text.contains("entry_SYSCALL_64"), "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    assert!(
        ended.stderr.contains("1 session shown"),
        "on {}: {}",
        kernel(),
        ended.stderr
    );
}
