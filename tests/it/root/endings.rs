// SPDX-License-Identifier: BSD-2-Clause
//! How a trace ends: patiently, at once by a second Ctrl-C, or by `kill -9`; and that nothing stays
//! attached after any of these.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{Trace, attaches_slowly, program, simfail_program};
use super::sys;

/// Functions whose links take seconds to close on every kernel.
const SLOW: &[&str] = &[
    "-e",
    "*_sys_bpf",
    "-a",
    "vfs_[g-l]*",
    "--all-matching",
    "--backend",
    "fentry",
    "-sn",
    "-n",
    "simfail",
];

/// What the kernel holds on behalf of tracers: programs, patched functions, armed probes.
fn held() -> (usize, usize, usize) {
    let lines = |path: &str| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().count()
    };
    (
        sys::count_bpf_programs(),
        lines("/sys/kernel/tracing/enabled_functions"),
        lines("/sys/kernel/debug/kprobes/list"),
    )
}

fn is_left_as(before: (usize, usize, usize)) -> bool {
    let now = held();
    now.0 <= before.0 && now.1 <= before.1 && now.2 <= before.2
}

fn assert_left_as(before: (usize, usize, usize)) {
    let start = Instant::now();
    while !is_left_as(before) {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "left: {:?}, before: {before:?}",
            held()
        );
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_second_ctrl_c_gives_the_prompt_back_at_once_and_nothing_stays_attached() {
    let before = held();
    let trace = Trace::start_text(SLOW);
    trace.simfail(&["bpf-cmd"]);
    trace.signal(sys::SIGINT);
    // What was recorded is said before anything is detached.
    trace.wait_until_said("1 session shown");
    assert!(
        !is_left_as(before),
        "it was detached before it was asked twice"
    );
    let asked = Instant::now();
    trace.signal(sys::SIGINT);
    let ended = trace.wait();
    let waited = asked.elapsed();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("in the background"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("_sys_bpf"), "{}", ended.stdout);
    // That it is said proves it; a busy machine takes some seconds for the rest.
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    assert!(!is_left_as(before), "nothing was left to the background");
    assert_left_as(before);
}

#[test]
fn the_first_ctrl_c_waits_until_nothing_is_attached() {
    let before = held();
    let trace = Trace::start(SLOW);
    trace.simfail(&["bpf-cmd"]);
    let report = trace.finish();
    assert_eq!(report.of("simfail").len(), 1);
    // Programs go a grace period after their last link; functions and probes are free at once.
    assert!(held().1 <= before.1, "{:?}, before: {before:?}", held());
    assert_left_as(before);
}

#[test]
fn who_runs_a_command_does_not_wait_for_the_kernel() {
    let uptime = |path: &str| {
        let text = fs::read_to_string(path).unwrap();
        let seconds = text.split(' ').next().and_then(|word| word.parse().ok());
        Duration::from_secs_f64(seconds.unwrap())
    };
    let before = held();
    let script = "\"$0\" bpf-cmd; exec cp /proc/uptime \"$1\"";
    let waited = || {
        let file = format!("/tmp/ended-{}", sys::unique());
        let command = ["-v", "--", "sh", "-c", script, &simfail_program(), &file];
        let ended = Trace::spawn(program(&[SLOW, &command].concat())).wait();
        let waited = uptime("/proc/uptime").saturating_sub(uptime(&file));
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        let said = ["1 session shown", "in the background"].map(|said| ended.stderr.find(said));
        assert!(
            said[0].is_some() && said[0] < said[1],
            "{said:?}: {}",
            ended.stderr
        );
        assert_left_as(before);
        waited
    };
    // A busy machine may stand still for a second, but not each time.
    let all: Vec<Duration> = (0..3)
        .map(|_| waited())
        .take_while(|waited| *waited >= Duration::from_secs(1))
        .collect();
    assert!(all.len() < 3, "{all:?}");
}

#[test]
fn ctrl_c_while_attaching_leaves_nothing_behind() {
    let before = held();
    let trace = Trace::spawn(program(SLOW));
    let start = Instant::now();
    while held().1 < before.1 + 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", held());
        thread::sleep(Duration::from_millis(5));
    }
    let stderr = trace.interrupt().failed(1);
    assert!(stderr.contains("interrupted"), "{stderr}");
    assert_left_as(before);
}

#[test]
fn kill_9_leaves_no_single_kprobe_behind() {
    let before = held();
    let many: &[&str] = if attaches_slowly() {
        &["-a", "vfs_{read,write,open,statx}"]
    } else {
        &["-a", "vfs_[g-l]*"]
    };
    let trace = Trace::start(&[&["-e", "*_sys_bpf", "-K", "-sn", "-n", "simfail"], many].concat());
    let during = held();
    assert!(during.2 >= before.2 + 8, "{during:?}, before: {before:?}");
    let events = fs::read_to_string("/sys/kernel/tracing/kprobe_events").unwrap();
    assert_eq!(events, "", "single kprobes have no names");
    trace.signal(sys::SIGKILL);
    trace.wait();
    assert_left_as(before);
}

#[test]
fn single_kprobes_are_closed_side_by_side() {
    let before = held();
    let trace = Trace::start(&[
        "-e",
        "*_sys_bpf",
        "-a",
        "vfs_[g-l]*",
        "-K",
        "--all-matching",
        "-n",
        "simfail",
    ]);
    trace.simfail(&["bpf-cmd"]);
    let report = trace.finish();
    assert_eq!(report.of("simfail").len(), 1);
    assert!(held().2 <= before.2, "{:?}, before: {before:?}", held());
    assert_left_as(before);
}
