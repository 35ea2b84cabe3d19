// SPDX-License-Identifier: BSD-2-Clause
//! Faults of the reference (B1 and on in its notes) that must not be ours: what its users saw, and
//! what ours see.

use std::io::{Write, pipe};
use std::thread;

use super::harness::{Report, Trace, kernel, run};
use super::sys;

/// A chain of five calls at least, on every kernel, down to `may_open`.
const OPEN: &[&str] = &[
    "-e",
    "__x64_sys_openat",
    "-a",
    "do_sys_openat2",
    "-a",
    "do_filp_open",
    "-a",
    "path_openat",
    "-a",
    "may_open",
    "-sn",
    "-n",
    "deep",
];

fn opened(arguments: &[&str]) -> Report {
    let trace = Trace::start(&[OPEN, arguments].concat());
    trace.simfail(&["--comm", "deep", "open-dir-write"]);
    trace.finish()
}

/// The calls of the failing open; others of that thread succeed.
fn chain(report: &Report) -> Vec<String> {
    let session = report.only("deep");
    assert_eq!(session.result(), "-EISDIR");
    session.chain().iter().map(|&f| f.to_owned()).collect()
}

#[test]
fn b1_calls_beyond_the_depth_limit_do_not_cost_the_session() {
    let report = opened(&["--max-depth", "3"]);
    assert_eq!(chain(&report).len(), 3);
    assert!(report.only("deep").loss("beyond_depth") > 0);
    assert_eq!(report.summary.count("dropped.abandoned"), 0);
    assert_eq!(report.summary.count("open_at_end"), 0);
}

#[test]
fn b2_a_chain_exactly_as_deep_as_the_limit_is_complete() {
    let full = chain(&opened(&[]));
    assert!(full.len() >= 4, "{full:?}");
    assert_eq!(full.last().map(String::as_str), Some("may_open"));
    let report = opened(&["--max-depth", &full.len().to_string()]);
    assert_eq!(chain(&report), full);
    assert_eq!(report.only("deep").loss("beyond_depth"), 0);
    let report = opened(&["--max-depth", &(full.len() - 1).to_string()]);
    assert_eq!(chain(&report), full[..full.len() - 1]);
}

fn in_thread(name: &str, work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn_scoped(scope, work).unwrap();
        thread.join().unwrap();
    });
}

/// Writes 22 bytes, which succeeds, and 4 to an eventfd, which is -EINVAL.
fn write_22_bytes_and_fail() {
    let (_reader, mut writer) = pipe().unwrap();
    assert_eq!(writer.write(&[0; 22]).unwrap(), 22);
    assert!(sys::eventfd().write(&[0; 4]).is_err());
}

#[test]
fn b5_a_positive_22_is_no_einval() {
    let arguments = ["-e", "__x64_sys_write", "-sn", "-n", "writer"];
    let trace = Trace::start(&[&arguments[..], &["-S"]].concat());
    in_thread("writer", write_22_bytes_and_fail);
    let report = trace.finish();
    let results: Vec<&str> = report
        .sessions
        .iter()
        .map(super::view::Session::result)
        .collect();
    assert_eq!(results, ["22", "-EINVAL"]);

    for (option, shown) in [("-x", "-EINVAL"), ("-X", "22")] {
        let trace = Trace::start(&[&arguments[..], &["-S", option, "EINVAL"]].concat());
        in_thread("writer", write_22_bytes_and_fail);
        let report = trace.finish();
        let results: Vec<&str> = report
            .sessions
            .iter()
            .map(super::view::Session::result)
            .collect();
        assert_eq!(results, [shown], "{option}");
        assert_eq!(report.summary.count("filtered"), 1);
    }
}

#[test]
fn b6_a_success_after_a_handled_failure_shows_nothing() {
    let trace = Trace::start(&[
        "-e",
        "__x64_sys_openat",
        "-e",
        "__x64_sys_ioctl",
        "-a",
        "path_openat",
        "-a",
        "lookup_fast",
        "-a",
        "sock_do_ioctl",
        "-a",
        "inet_ioctl",
        "-a",
        "udp_ioctl",
        "-sn",
        "-n",
        "handled",
    ]);
    trace.simfail(&["--comm", "handled", "handled-create", "handled-ioctl"]);
    let report = trace.finish();
    assert!(report.sessions.is_empty(), "{:#?}", report.sessions);
    assert!(report.summary.count("succeeded") >= 2);
}

#[test]
fn b6_a_failure_that_may_have_been_handled_is_never_called_certain() {
    let trace = Trace::start(&[
        "-e",
        "__x64_sys_ioctl",
        "-a",
        "sock_do_ioctl",
        "-a",
        "inet_ioctl",
        "-a",
        "udp_ioctl",
        "-sn",
        "-n",
        "handled",
    ]);
    trace.simfail(&["--comm", "handled", "ioctl-socket"]);
    let report = trace.finish();
    let session = report.only("handled");
    assert_eq!(session.result(), "-ENOTTY");
    // The protocol's -ENOIOCTLCMD became sock_do_ioctl's own -ENOTTY: a guess, and marked so.
    if session.culprit() != "sock_do_ioctl" {
        assert_eq!(session.culprit_object()["certain"], false, "{session:#?}");
        let translates = |link: &&serde_json::Value| link["link"] == "translated";
        let translator = session.links().iter().find(translates).unwrap();
        assert_eq!(translator["function"], "sock_do_ioctl");
    }
}

#[test]
fn b17_what_a_softirq_does_is_not_in_the_chain_of_the_task_it_interrupts() {
    let trace = Trace::start(&[
        "-e",
        "*_sys_connect",
        "-e",
        "tcp_v4_rcv",
        "-a",
        "__inet_stream_connect",
        "-a",
        "tcp_v4_connect",
        "-a",
        "tcp_v4_do_rcv",
        "-a",
        "tcp_rcv_state_process",
        "-S",
        "-sn",
    ]);
    trace.simfail(&["--comm", "connecter", "connect-refused"]);
    let report = trace.finish();
    let in_softirq = |context: &str| context == "softirq";
    let foreign: Vec<_> = report
        .sessions
        .iter()
        .filter(|session| session.entry() == "tcp_v4_rcv")
        .collect();
    assert!(!foreign.is_empty(), "{:#?}", report.sessions);
    assert!(
        foreign
            .iter()
            .all(|session| in_softirq(session.execution_context()))
    );
    let connecting = |session: &&&super::view::Session| session.entry().ends_with("_sys_connect");
    let own = report.of("connecter");
    let session = own.iter().find(connecting).unwrap();
    assert_eq!(session.execution_context(), "task");
    assert_eq!(session.result(), "-ECONNREFUSED");
    assert!(!session.chain().contains(&"tcp_v4_rcv"), "{session:#?}");
    assert!(!session.handled().contains(&"tcp_v4_rcv"), "{session:#?}");
}

/// 7.3 moved the bits of `preempt_count` that say so: calls in interrupts were the task's.
#[test]
fn calls_in_a_hard_interrupt_are_not_of_the_task_that_it_interrupts() {
    let timer = "{tick_sched_timer,tick_nohz_handler}";
    let trace = Trace::start(&["-e", timer, "-S", "-sn"]);
    trace.wait_until_shown(|shown| !shown.is_empty(), busy);
    let report = trace.finish();
    assert!(!report.sessions.is_empty(), "{}", report.stderr);
    for session in &report.sessions {
        assert_eq!(session.execution_context(), "hardirq", "{session:#?}");
    }
}

/// Keeps a processor from being idle for a while.
fn busy() {
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(50) {}
}

#[test]
fn b22_copies_of_functions_that_the_compiler_made_are_no_false_culprits() {
    let slow = super::harness::attaches_slowly();
    let globs: &[&str] = if slow {
        &["-a", "map_create", "-a", "bpf_check*.constprop.*"]
    } else {
        &["-c", "bpf", "-a", "*.constprop.*", "-a", "*.isra.*"]
    };
    let base = ["-e", "*_sys_bpf", "-sn", "-n", "simfail"];
    let trace = Trace::start(&[&base[..], globs].concat());
    trace.simfail(&["bpf-map-type", "bpf-map-fd", "bpf-cmd"]);
    let report = trace.finish();
    assert_eq!(report.sessions.len(), 3);
    for session in &report.sessions {
        let culprit = session.culprit();
        assert!(!culprit.contains('.'), "on {}: {culprit}", kernel());
    }
}

#[test]
fn b4_functions_that_never_return_are_left_out_with_a_reason() {
    let arguments = ["-e", "*_sys_bpf", "-a", "do_exit", "-a", "do_group_exit"];
    let dry = run(&[&arguments[..], &["--dry-run", "-v"]].concat());
    assert_eq!(dry.status.code(), Some(0), "{}", dry.stderr);
    for name in ["do_exit", "do_group_exit"] {
        let said = format!("{name}: never returns");
        assert!(dry.stdout.contains(&said), "{}", dry.stdout);
    }
}
