// SPDX-License-Identifier: BSD-2-Clause
//! Where the trail ends: a culprit that may only have passed an error on says from whom.

use super::harness::Trace;
use super::view::Session;

const OPEN: &[&str] = &[
    "-e",
    "__x64_sys_openat",
    "-a",
    "path_openat",
    "-sn",
    "-n",
    "simfail",
];

fn untraced(session: &Session) -> Vec<&str> {
    let callees = &session.culprit_object()["untraced"]["callees"];
    let callees = callees.as_array().unwrap_or_else(|| panic!("{session:#?}"));
    callees
        .iter()
        .map(|callee| callee["function"].as_str().unwrap())
        .collect()
}

fn opened(more: &[&str]) -> Session {
    let trace = Trace::start(&[OPEN, more].concat());
    trace.simfail(&["open-dir-write"]);
    let report = trace.finish();
    let failed = |session: &&&Session| session.result() == "-EISDIR";
    let found = report.sessions.iter().collect::<Vec<_>>();
    let session = found.iter().find(failed);
    (*session.unwrap_or_else(|| panic!("{:#?}", report.sessions))).clone()
}

#[test]
fn an_untraced_callee_that_may_have_failed_is_named_until_it_is_traced() {
    let session = opened(&[]);
    assert_eq!(session.culprit(), "path_openat");
    assert_eq!(session.culprit_object()["certain"], false);
    assert!(untraced(&session).contains(&"may_open"), "{session:#?}");
    let session = opened(&["-a", "may_open"]);
    assert_eq!(session.culprit(), "may_open");
    assert_eq!(session.culprit_object()["untraced"]["made_here"], true);
    assert!(!untraced(&session).contains(&"may_open"), "{session:#?}");
}

#[test]
fn what_is_called_through_a_pointer_leaves_a_doubt_and_a_leaf_does_not() {
    let trace = Trace::start(&[
        "-e",
        "__x64_sys_bpf",
        "-e",
        "__sys_bpf",
        "-a",
        "map_create",
        "-sn",
        "-n",
        "simfail",
    ]);
    // `map->ops->map_alloc_check`
    trace.simfail(&["bpf-map-value-size"]);
    let report = trace.finish();
    let session = report.only("simfail");
    let culprit = session.culprit_object();
    assert_eq!(culprit["certain"], false, "{culprit}");
    assert_eq!(culprit["untraced"]["through_pointers"], true, "{culprit}");
    let trace = Trace::start(&[
        "-e",
        "__x64_sys_bpf",
        "-a",
        "array_map_alloc_check",
        "-sn",
        "-n",
        "simfail",
    ]);
    trace.simfail(&["bpf-map-value-size"]);
    let report = trace.finish();
    let culprit = report.only("simfail").culprit_object();
    assert_eq!(culprit["certain"], true, "{culprit}");
    assert_eq!(culprit["untraced"]["made_here"], true, "{culprit}");
}
