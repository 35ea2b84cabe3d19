// SPDX-License-Identifier: BSD-2-Clause
//! USDT probes as entry probes. Those of this very test are traced (`probed`).

use std::process;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::harness::{Report, Trace, run};
use super::probed::{
    SEMAPHORE, done, iterate, other_request, quiet, request, start, wait_in_a_call, with_values,
};
use super::sys;

/// A glob of probes of this file.
fn ours(names: &str) -> String {
    format!("usdt:{}:it:{names}", process::id())
}

/// Traces probes of this process as entry functions, and failing `close()`.
fn traced(names: &str, workload: impl FnOnce()) -> Report {
    let (glob, pid) = (ours(names), process::id().to_string());
    let arguments = ["-e", &glob, "-a", "*_sys_close", "-sn", "-p", &pid];
    let trace = Trace::start(&arguments);
    workload();
    trace.finish()
}

#[test]
fn a_failing_system_call_after_a_probe_is_its_session_at_all_sites() {
    let report = traced("request", || {
        request(1);
        sys::fail_close();
        other_request(2);
        sys::fail_close();
    });
    assert_eq!(report.sessions.len(), 2, "{:#?}", report.sessions);
    for session in &report.sessions {
        assert_eq!(session.chain(), ["it:request", "__x64_sys_close"]);
        assert_eq!(session.culprit(), "__x64_sys_close");
        assert_eq!(session.0["entry_reason"], "usdt", "{session:#?}");
        session.assert_orderly();
        assert_eq!(session.loss("unreturned"), 0);
    }
    // What failed after the functions had returned belongs to no session.
    assert_eq!(report.summary.count("started"), 2);
}

#[test]
fn a_session_without_failure_ends_with_its_function() {
    let report = traced("quiet", || {
        for number in 0..3 {
            quiet(number);
            sys::fail_close();
        }
    });
    assert_eq!(report.sessions.len(), 0, "{:#?}", report.sessions);
    assert_eq!(report.summary.count("succeeded"), 3);
}

#[test]
fn each_iteration_of_a_loop_is_a_session() {
    let report = traced("iteration", || iterate(5));
    assert_eq!(report.sessions.len(), 2, "{:#?}", report.sessions);
    for session in &report.sessions {
        assert_eq!(session.chain(), ["it:iteration", "__x64_sys_close"]);
    }
    assert_eq!(report.summary.count("succeeded"), 3);
    assert_eq!(report.summary.count("dropped.abandoned"), 0);
}

#[test]
fn another_probe_ends_the_session() {
    let report = traced("start=>done", || {
        start(1);
        sys::fail_close();
        done(1);
        // Behind the end.
        sys::fail_close();
        start(2);
        done(2);
        // An end without a start, and starts without an end.
        done(3);
        start(4);
        start(5);
        sys::fail_close();
        start(6);
        done(6);
    });
    assert_eq!(report.sessions.len(), 2, "{:#?}", report.sessions);
    for session in &report.sessions {
        assert_eq!(session.chain(), ["it:start", "__x64_sys_close"]);
        assert_eq!(session.loss("unreturned"), 0);
    }
    assert_eq!(report.summary.count("started"), 5);
    assert_eq!(report.summary.count("succeeded"), 3);
}

/// Constants, registers, memory with base, index and scale, sizes and signs.
#[test]
fn hits_are_shown_with_the_values_of_their_arguments() {
    let (entry, inner, pid) = (ours("outer"), ours("values"), process::id().to_string());
    let arguments = [
        "-e",
        &entry,
        "-a",
        &inner,
        "-a",
        "*_sys_close",
        "-sn",
        "-p",
        &pid,
    ];
    let trace = Trace::start(&arguments);
    with_values(-7);
    let report = trace.finish();
    assert_eq!(report.sessions.len(), 1, "{:#?}", report.sessions);
    let notes = report.sessions[0].0["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 2, "{notes:#?}");
    assert_eq!(notes[0]["source"], "it:outer");
    assert_eq!(notes[0]["kind"], "usdt");
    assert_eq!(notes[0]["inside"], "it:outer");
    assert_eq!(notes[0]["values"], json!({"arg1": -7}));
    assert_eq!(notes[1]["source"], "it:values");
    let expected = json!({
        "arg1": -70_000, "arg2": 0xffff_fffe_0000_0001_u64.to_string(), "arg3": -3, "arg4": 5, "arg5": 200,
        "arg6": null, "arg7": -(1_i64 << 40),
    });
    assert_eq!(notes[1]["values"], expected);
    assert_eq!(notes[1]["after_calls"], 1);
    assert_eq!(report.sessions[0].chain(), ["it:outer", "__x64_sys_close"]);
}

/// The call began before its return was traced: its session would not end.
#[test]
fn a_function_that_ran_already_opens_no_session() {
    let (glob, pid) = (ours("waiting"), process::id().to_string());
    let arguments = ["-e", &glob, "-a", "*_sys_close", "-sn", "-p", &pid];
    let mut trace = None;
    let n_hits = std::cell::Cell::new(0);
    let cell = std::cell::RefCell::new(&mut trace);
    wait_in_a_call(|| {
        if n_hits.get() == 0 {
            **cell.borrow_mut() = Some(Trace::start(&arguments));
        }
        n_hits.set(n_hits.get() + 1);
        n_hits.get() < 4
    });
    n_hits.set(1);
    wait_in_a_call(|| {
        n_hits.set(n_hits.get() + 1);
        n_hits.get() < 3
    });
    let report = trace.unwrap().finish();
    assert_eq!(report.sessions.len(), 1, "{:#?}", report.sessions);
    let warning = "warning: 3 hits of USDT probes opened no session";
    assert!(report.stderr.contains(warning), "{}", report.stderr);
}

/// The kernel holds the semaphores, and lets them go.
#[test]
fn semaphores_are_held_as_long_as_probes_are_traced() {
    assert_eq!(SEMAPHORE.load(Ordering::Relaxed), 0);
    let glob = ours("request");
    for signal in [sys::SIGINT, sys::SIGKILL] {
        let trace = Trace::start(&["-e", &glob, "-sn"]);
        assert!(SEMAPHORE.load(Ordering::Relaxed) > 0);
        trace.signal(signal);
        trace.wait();
        // The kernel closes the descriptors of a killed process after its parent knows of its end.
        let begun = Instant::now();
        while SEMAPHORE.load(Ordering::Relaxed) > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{signal}");
        }
        request(1);
    }
}

#[test]
fn what_is_not_there_is_told_with_similar_names() {
    let pid = process::id();
    let globs = [
        (ours("reqest"), "has no probe `reqest`; similar: request"),
        (format!("usdt:{pid}:itt:*"), "has no provider `itt`"),
        (ours("start=>doen"), "has no probe `doen`; similar: done"),
        ("usdt:libnosuch:a:b".to_owned(), "no library or program"),
        ("usdt:/etc/passwd:a:b".to_owned(), "no ELF file"),
        ("usdt:2:a:b".to_owned(), "kernel thread"),
    ];
    let arguments: Vec<&str> = globs.iter().flat_map(|(glob, _)| ["-e", glob]).collect();
    let said = run(&arguments).failed(1);
    for (glob, why) in &globs {
        assert!(said.contains(why), "{glob}: {said}");
    }
}

#[test]
fn probes_of_a_process_are_listed() {
    let ended = run(&["list", "usdt", &process::id().to_string()]);
    let line = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("it:request("));
    let line = line.unwrap_or_else(|| panic!("{}", ended.stdout));
    assert!(line.starts_with("it:request(i32) ["), "{line}");
    assert!(line.ends_with("]: 2 sites, semaphore"), "{line}");
}
