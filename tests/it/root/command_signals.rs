// SPDX-License-Identifier: BSD-2-Clause
//! `-- CMD` and signals: what is meant for the command reaches it, and held it never runs.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::harness::{Trace, program};
use super::lifecycle::wait_until_nothing_is_attached;
use super::sys;
use crate::noise::Noise;

const BPF: &[&str] = &["-e", "*_sys_bpf", "-sn"];

fn start(options: &[&str], script: &str) -> Trace {
    let mut command = program(&[BPF, options].concat());
    command.args(["--", "sh", "-c", script]);
    Trace::spawn(command)
}

#[test]
fn sigterm_sighup_and_a_sent_sigint_are_passed_on() {
    for (signal, number) in [(sys::SIGTERM, 15), (libc::SIGHUP, 1), (sys::SIGINT, 2)] {
        let expected = 40 + number;
        let script = format!(
            "trap 'exit {expected}' {number}; echo ready >&2; while :; do sleep 0.05; done"
        );
        let trace = start(&[], &script).ready();
        trace.wait_until_said("ready");
        trace.signal(signal);
        let ended = trace.wait();
        assert_eq!(ended.status.code(), Some(expected), "{}", ended.stderr);
        assert!(ended.stderr.contains("sessions shown"), "{}", ended.stderr);
    }
}

#[test]
fn the_timeout_asks_and_then_kills() {
    let ended = start(&["--timeout", "1"], "exec sleep 100").wait();
    assert_eq!(ended.status.code(), Some(143), "{}", ended.stderr);
    assert!(ended.stderr.contains("SIGTERM sent"), "{}", ended.stderr);
    let script = "trap '' TERM; while :; do sleep 0.2; done";
    let ended = start(&["--timeout", "500ms"], script).wait();
    assert_eq!(ended.status.code(), Some(137), "{}", ended.stderr);
    assert!(ended.stderr.contains("SIGKILL sent"), "{}", ended.stderr);
}

/// Waits until no process has this on its command line.
fn wait_until_gone(mark: &str) {
    let is_there = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines.any(|line| String::from_utf8_lossy(&line).contains(mark))
    };
    let begun = Instant::now();
    while is_there() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it runs on");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn interrupted_while_it_is_held_it_never_runs() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut noise = Noise(now.as_nanos() as u64 | 1);
    for round in 0..10 {
        let mark = format!("/tmp/ran-{round}");
        let trace = start(&[], &format!("touch {mark}; sleep 1"));
        // From the first instructions to well behind the start.
        let moment = Duration::from_millis(noise.below(600) as u64);
        thread::sleep(moment);
        let signal = if round % 3 == 2 {
            sys::SIGKILL
        } else {
            sys::SIGINT
        };
        trace.signal(signal);
        let ended = trace.wait();
        let has_begun = ended.stderr.contains("Receiving data");
        if !has_begun {
            wait_until_gone(&mark);
            assert!(
                !fs::exists(&mark).unwrap(),
                "round {round}, {moment:?}: {}",
                ended.stderr
            );
        }
        if signal == sys::SIGINT && !has_begun && ended.status.code().is_some() {
            assert_eq!(
                ended.status.code(),
                Some(125),
                "round {round}, {moment:?}: {}",
                ended.stderr
            );
        }
    }
    wait_until_nothing_is_attached();
}

#[test]
fn a_signal_at_the_very_start_ends_it() {
    for round in 0..12 {
        let trace = start(&[], "exec sleep 100");
        trace.wait_until_said("Receiving data");
        thread::sleep(Duration::from_micros(500 * round * round));
        trace.signal(sys::SIGTERM);
        let begun = Instant::now();
        let ended = trace.wait();
        // It was not started any more, or it was ended by it: it never runs on alone.
        assert!(
            matches!(ended.status.code(), Some(125 | 143)),
            "round {round}: {} {}",
            ended.status,
            ended.stderr
        );
        assert!(begun.elapsed() < Duration::from_secs(60), "round {round}");
    }
}

#[test]
fn enough_sessions_end_the_tracing_and_not_the_command() {
    let ended = start(&["--duration", "1"], "sleep 3; echo still; exit 9").wait();
    assert_eq!(ended.status.code(), Some(9), "{}", ended.stderr);
    assert_eq!(ended.stdout, "still\n");
    assert!(
        ended.stderr.contains("0 sessions shown"),
        "{}",
        ended.stderr
    );
}
