// SPDX-License-Identifier: BSD-2-Clause
//! What a trace may cost: functions that are called too often go, the others stay; nobody who
//! reads, nothing that is done.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::harness::{Trace, attaches_slowly, program, simfail};
use super::sys;

/// A thread that calls `close(-1)` as fast as it can.
struct Busy {
    stop: Arc<AtomicBool>,
    n_calls: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let n_calls = Arc::new(AtomicU64::new(0));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&n_calls));
        let thread = thread::spawn(move || {
            sys::rename_thread(c"busy");
            while !stopped.load(Ordering::Relaxed) {
                black_box(sys::fail_close());
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            stop,
            n_calls,
            thread: Some(thread),
        }
    }

    fn n_calls(&self) -> u64 {
        self.n_calls.load(Ordering::Relaxed)
    }

    fn wait_until_called(&self, n_times: u64) {
        while self.n_calls() < n_times {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

const BOTH: &[&str] = &[
    "-e",
    "*_sys_bpf",
    "-e",
    "__x64_sys_close",
    "-a",
    "map_create",
    "-a",
    "bpf_prog_load",
    "-sn",
    "-n",
    "simfail",
];

fn detached(summary: &Value) -> Vec<(&str, &str)> {
    let detached = summary["detached"].as_array().unwrap();
    detached
        .iter()
        .map(|one| {
            assert!(one["calls_per_second"].as_u64().unwrap() > 1000, "{one}");
            (
                one["function"].as_str().unwrap(),
                one["option"].as_str().unwrap(),
            )
        })
        .collect()
}

/// Waits until it says that it has detached, which it does when the others are attached to again.
fn wait_for_detached(trace: &Trace) {
    let start = Instant::now();
    while !trace.said("warning: detached from __x64_sys_close: ") {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "nothing was detached"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_function_that_is_called_too_often_is_detached_and_the_others_go_on() {
    let trace = Trace::start(&[BOTH, &["--max-rate", "2000"]].concat());
    trace.simfail(&["bpf-cmd"]);
    let busy = Busy::start();
    wait_for_detached(&trace);
    drop(busy);
    trace.simfail(&["bpf-cmd"]);
    let report = trace.finish();
    assert_eq!(report.of("simfail").len(), 2, "{}", report.stderr);
    assert_eq!(
        detached(&report.summary.0),
        [("__x64_sys_close", "max-rate")]
    );
    assert!(
        report.stderr.contains("exceed --max-rate 2000"),
        "{}",
        report.stderr
    );
    let note = "no session opens at __x64_sys_close any more";
    assert!(report.stderr.contains(note), "{}", report.stderr);
}

/// A thread that has `bpf()` fail about every millisecond.
struct Steady {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Steady {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            sys::rename_thread(c"steady");
            let mut n_calls = 0;
            while !stopped.load(Ordering::Relaxed) {
                sys::fail_bpf();
                n_calls += 1;
                thread::sleep(Duration::from_millis(1));
            }
            n_calls
        });
        Self { stop, thread }
    }

    /// Ends it; how many calls it made.
    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn while_a_function_is_taken_out_no_call_of_the_others_is_missed() {
    let arguments = [
        "-e",
        "*_sys_bpf",
        "-e",
        "__x64_sys_close",
        "-a",
        "map_create",
        "-sn",
        "-n",
        "steady",
        "--max-rate",
        "20000",
    ];
    let trace = Trace::start(&arguments);
    let steady = Steady::start();
    let busy = Busy::start();
    wait_for_detached(&trace);
    drop(busy);
    let n_calls = steady.finish();
    let report = trace.finish();
    let started = report.summary.count("started");
    // One that comes while a program runs on that CPU is not seen either.
    let missed = report.summary.count("missed.recursion");
    assert!(n_calls > 100, "{n_calls} calls");
    assert!(
        (n_calls.saturating_sub(missed)..=n_calls).contains(&started),
        "{started} of {n_calls} calls, {missed} missed: {}",
        report.stderr
    );
}

/// To attach to thousands of functions anew takes seconds, in which output stood still.
#[test]
fn sessions_are_shown_while_thousands_of_functions_are_attached_anew() {
    /// Failing calls in a row, 5 ms or more apart, of which none is shown; and how long that may
    /// take. It was 11.5 s on 6.12, more than a thousand calls.
    const AT_MOST: (u64, Duration) = (150, Duration::from_secs(4));
    // Where functions are attached to one by one, one is taken out without touching the others.
    let functions = if attaches_slowly() {
        "map_create"
    } else {
        "{a,b,c,d,e,f}*"
    };
    let file = format!("/tmp/anew-{}", sys::unique());
    let globs = ["-e", "*_sys_bpf", "-e", "__x64_sys_close", "-a", functions];
    let options = [
        "-sn",
        "-n",
        "steady",
        "--max-rate",
        "20000",
        "--json",
        "-o",
        &file,
    ];
    let trace = Trace::spawn(program(&[&globs[..], &options].concat())).ready();
    let n_bytes = || fs::metadata(&file).unwrap().len();
    // Calls fail all the while: how long none of them is shown. (One that comes while a program of
    // ours runs on that CPU is not seen.)
    let (most, longest) = thread::scope(|scope| {
        let steady = scope.spawn(|| {
            sys::rename_thread(c"steady");
            while n_bytes() == 0 {
                sys::fail_bpf();
                // Thousands of sessions would wait to be shown, if they were not apart.
                thread::sleep(Duration::from_millis(5));
            }
            let _busy = Busy::start();
            let (mut shown, mut at, mut n_calls) = (n_bytes(), Instant::now(), 0);
            let (mut most, mut longest) = (0, Duration::ZERO);
            while !trace.said("detached from __x64_sys_close") {
                sys::fail_bpf();
                thread::sleep(Duration::from_millis(5));
                n_calls += 1;
                let now = n_bytes();
                (most, longest) = (most.max(n_calls), longest.max(at.elapsed()));
                if now > shown {
                    (shown, at, n_calls) = (now, Instant::now(), 0);
                }
            }
            (most, longest)
        });
        steady.join().unwrap()
    });
    let ended = trace.interrupt();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    println!("none of {most} calls shown at most, nothing for {longest:?} at most");
    let is_short = most < AT_MOST.0 && longest < AT_MOST.1;
    assert!(is_short, "{most} {longest:?}: {}", ended.stderr);
}

#[test]
fn the_dearest_function_is_detached_when_all_exceed_the_budget() {
    let trace = Trace::start(&[BOTH, &["--max-rate", "0", "--budget", "0.5%"]].concat());
    let busy = Busy::start();
    wait_for_detached(&trace);
    drop(busy);
    trace.simfail(&["bpf-cmd"]);
    let report = trace.finish();
    assert_eq!(report.of("simfail").len(), 1, "{}", report.stderr);
    assert_eq!(detached(&report.summary.0), [("__x64_sys_close", "budget")]);
    assert!(
        report.stderr.contains("more than --budget 0.5"),
        "{}",
        report.stderr
    );
}

#[test]
fn without_a_limit_nothing_is_detached() {
    let trace = Trace::start(&[BOTH, &["--max-rate", "0"]].concat());
    let busy = Busy::start();
    let begun = Instant::now();
    // For several looks of a governor, if there were one.
    while begun.elapsed() < Duration::from_secs(4) {
        busy.wait_until_called(busy.n_calls() + 1000);
    }
    drop(busy);
    let report = trace.finish();
    assert!(detached(&report.summary.0).is_empty(), "{}", report.stderr);
}

#[test]
fn where_no_entry_function_is_left_it_ends_with_an_error() {
    let arguments = [
        "-e",
        "__x64_sys_close",
        "-n",
        "simfail",
        "--max-rate",
        "2000",
        "-sn",
    ];
    let trace = Trace::start(&arguments);
    let _busy = Busy::start();
    let stderr = trace.wait().failed(1);
    assert!(stderr.contains("no entry function is left"), "{stderr}");
}

#[test]
fn while_nobody_reads_no_session_opens_and_that_is_counted() {
    let trace = Trace::start(&["-e", "__x64_sys_bpf", "-n", "simfail", "-sn"]);
    let fails_once = || simfail(&["bpf-cmd"]);
    // Before its first look at the buffer it may be silent for longer.
    let n_before = trace.wait_until_shown(|shown| !shown.is_empty(), fails_once);
    trace.signal(sys::SIGSTOP);
    // The programs have a point in time, 30 s after its last sign of life: that is over then.
    thread::sleep(Duration::from_secs(30) + Duration::from_millis(1));
    trace.simfail(&["--repeat", "5", "bpf-cmd"]);
    trace.signal(sys::SIGCONT);
    let n_after = trace.wait_until_shown(|shown| shown.lines().count() > n_before, fails_once);
    let report = trace.finish();
    let n_shown = report.of("simfail").len() as u64;
    let n_stalled = report.summary.count("dropped.stalled");
    assert!(n_stalled >= 5, "{}", report.stderr);
    let n_failed = (n_before + 5 + n_after) as u64;
    assert_eq!(n_shown + n_stalled, n_failed, "{}", report.stderr);
}

#[test]
fn a_run_that_is_flooded_ends_when_it_is_asked_to() {
    let arguments = [
        "-e",
        "__x64_sys_close",
        "-sn",
        "-n",
        "busy",
        "--max-rate",
        "0",
        "-o",
        "/dev/null",
        // What is in the buffer is shown still.
        "--ringbuf-size",
        "1",
    ];
    let trace = Trace::start(&arguments);
    // Two threads make calls a hundred times as fast as they are shown.
    let busy = [Busy::start(), Busy::start()];
    for busy in &busy {
        busy.wait_until_called(20_000);
    }
    let asked = Instant::now();
    let ended = trace.interrupt();
    let took = asked.elapsed();
    drop(busy);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(took < Duration::from_secs(15), "{took:?}: {}", ended.stderr);
    // What did not fit was lost.
    assert!(ended.stderr.contains("a larger buffer"), "{}", ended.stderr);
}
