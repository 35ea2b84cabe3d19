// SPDX-License-Identifier: BSD-2-Clause
//! How a run starts and ends, and that nothing of it stays behind.

use std::fs;
use std::io::{Read, pipe};
use std::process::{self, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{Trace, program, to_file};
use super::sys;

const ONE: &[&str] = &["-e", "*_sys_bpf", "-sn"];

/// While the image is being opened by a thread of its own, too.
#[test]
fn ctrl_c_at_once_still_brings_the_summary() {
    for delay_ms in [0, 0, 20, 60, 150] {
        let trace = Trace::start(&["-e", "*_sys_bpf", "-a", "map_create", "-ss", "--no-cache"]);
        thread::sleep(Duration::from_millis(delay_ms));
        assert_eq!(trace.finish().summary.count("open_at_end"), 0);
    }
}

#[test]
fn what_fails_right_after_receiving_data_is_seen() {
    for _ in 0..5 {
        let trace = Trace::start(&[ONE, &["-p", &process::id().to_string()]].concat());
        sys::fail_bpf();
        let report = trace.finish();
        assert_eq!(report.sessions.len(), 1, "{}", report.stderr);
        assert_eq!(report.summary.count("open_at_end"), 0);
    }
}

#[test]
fn ctrl_c_and_sigterm_end_with_the_summary_and_status_0() {
    for signal in [sys::SIGINT, sys::SIGTERM] {
        let trace = Trace::start(ONE);
        trace.signal(signal);
        let report = trace.wait().report();
        assert!(report.summary.count("functions") > 0);
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let mut command = program(&[ONE, &["-n", "simfail"]].concat());
    let (reader, writer) = pipe().unwrap();
    command.stdout(Stdio::from(writer));
    let trace = Trace::spawn(command);
    let trace = trace.ready();
    drop(reader);
    trace.simfail(&["--repeat", "3", "bpf-cmd"]);
    let ended = trace.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("error"), "{}", ended.stderr);
}

#[test]
fn a_full_disk_is_an_error() {
    let mut command = program(&[ONE, &["-n", "simfail"]].concat());
    to_file(&mut command, "/dev/full");
    let trace = Trace::spawn(command).ready();
    trace.simfail(&["bpf-cmd"]);
    let stderr = trace.wait().failed(1);
    assert!(stderr.contains("No space left on device"), "{stderr}");
}

/// What the kernel holds on behalf of tracers.
fn attached() -> (usize, usize) {
    let functions = fs::read_to_string("/sys/kernel/tracing/enabled_functions").unwrap();
    (sys::count_bpf_programs(), functions.lines().count())
}

/// Waits until nothing is: the kernel frees what earlier tests had in its own time, but it does.
pub(super) fn wait_until_nothing_is_attached() {
    let start = Instant::now();
    while attached() != (0, 0) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            attached()
        );
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn kill_9_leaves_no_program_and_no_probe_behind() {
    wait_until_nothing_is_attached();
    let trace = Trace::start(&["-e", "*_sys_bpf", "-a", "map_create", "-a", "bpf_prog_load"]);
    let during = attached();
    assert!(during.0 > 0 && during.1 > 0, "{during:?}");
    trace.signal(sys::SIGKILL);
    trace.wait();
    wait_until_nothing_is_attached();
}

#[test]
fn an_ordinary_end_leaves_nothing_behind_either() {
    let report = Trace::start(ONE).finish();
    assert!(report.summary.count("functions") > 0);
    wait_until_nothing_is_attached();
}

#[test]
fn two_instances_run_side_by_side() {
    let first = Trace::start(&[ONE, &["-n", "first"]].concat());
    let second = Trace::start(&[ONE, &["-n", "second"]].concat());
    first.simfail(&["--comm", "first", "bpf-cmd"]);
    first.simfail(&["--comm", "second", "bpf-cmd", "bpf-map-type"]);
    let first = first.finish();
    second.simfail(&["--comm", "second", "bpf-cmd"]);
    let second = second.finish();
    assert_eq!(first.of("first").len(), 1);
    assert_eq!(first.sessions.len(), 1);
    assert_eq!(second.of("second").len(), 3);
    assert_eq!(second.sessions.len(), 3);
}

#[test]
fn max_events_ends_it_after_so_many() {
    let trace = Trace::start(&[ONE, &["-n", "simfail", "--max-events", "2"]].concat());
    trace.simfail(&["--repeat", "5", "bpf-cmd"]);
    let report = trace.wait().report();
    assert_eq!(report.sessions.len(), 2);
}

#[test]
fn duration_ends_it_after_so_long() {
    let trace = Trace::start(&[ONE, &["--duration", "1500ms"]].concat());
    let report = trace.wait().report();
    let ran = report.summary.count("run_time_ns");
    assert!((1_500_000_000..6_000_000_000).contains(&ran), "{ran}");
}

#[test]
fn a_reader_gets_each_session_at_once() {
    let mut command = program(&[ONE, &["-n", "simfail", "--json"]].concat());
    let (mut reader, writer) = pipe().unwrap();
    command.stdout(Stdio::from(writer));
    let trace = Trace::spawn(command);
    let trace = trace.ready();
    trace.simfail(&["bpf-cmd"]);
    // Blocks for ever were it kept back until the end.
    let mut byte = [0];
    reader.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"{");
    assert_eq!(trace.interrupt().status.code(), Some(0));
}
