// SPDX-License-Identifier: BSD-2-Clause
//! Missed calls and returns are reported, exactly as the kernel counts them.

use std::fs::File;
use std::process;
use std::thread;

use super::harness::{Trace, kernel, program, wait_until_asleep};
use super::lifecycle::wait_until_nothing_is_attached;
use super::sys;

/// Kernels that count what their kprobes miss: 6.7 and later.
fn counts_misses() -> bool {
    !matches!(kernel().as_str(), "5.10" | "6.1")
}

/// A kretprobe has ten slots for calls that have not returned (two a processor, where that is
/// more; 5.10 one a processor, where it is not preemptible): of thirty calls that wait at the same
/// time the others have none.
#[test]
fn returns_without_a_slot_are_counted_one_by_one() {
    const CALLS: u64 = 30;
    let slots = match kernel().as_str() {
        "5.10" => thread::available_parallelism().unwrap().get() as u64,
        _ => 10,
    };
    let path = "/tmp/retsnoop-misses";
    let held = File::create(path).unwrap();
    held.lock().unwrap();
    // A system call that nobody else makes: misses are everybody's.
    let trace = Trace::start(&["-e", "__x64_sys_flock", "-K", "-S", "-sn", "-n", "locker"]);
    let mut threads = Vec::new();
    for _ in 0..CALLS {
        let thread = thread::Builder::new().name("locker".to_owned());
        let lock = move || File::open(path).unwrap().lock().unwrap();
        threads.push(thread.spawn(lock).unwrap());
    }
    wait_until_asleep(process::id(), threads.len(), "lock_inode_wait");
    drop(held);
    for thread in threads {
        thread.join().unwrap();
    }
    let report = trace.finish();
    let summary = &report.summary;
    assert_eq!(report.of("locker").len() as u64, slots, "{summary:?}");
    let lost = CALLS - slots;
    let died = summary.count("dropped.task_exited") + summary.count("dropped.abandoned");
    assert_eq!(died, lost, "{summary:?}");
    let missed = if counts_misses() { lost } else { 0 };
    assert_eq!(summary.count("missed.probes"), missed, "{summary:?}");
    let said = format!("{lost} probes had no free slot");
    let said = report.stderr.contains(&said);
    assert_eq!(said, counts_misses(), "{}", report.stderr);
}

/// While a task reads or updates a map by `bpf()`, no kprobe program runs on its CPU, not even for
/// tasks that preempt it. One of a thousand children was missed when the governor read how often
/// functions are called.
#[test]
fn a_running_trace_makes_no_bpf_calls() {
    let trace = Trace::start(&["-e", "*_sys_bpf", "-sn"]);
    let pid = trace.pid().to_string();
    let watched = ["-e", "__x64_sys_bpf", "-S", "-sn", "-p", &pid];
    // The governor looks every second.
    let looks = program(&[&watched[..], &["--duration", "4s", "--json"]].concat());
    let ended = Trace::spawn(looks).wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let calls = ended.stdout.matches(r#""kind":"session""#).count();
    assert_eq!(calls, 0, "{}", ended.stdout);
    // At the end it makes some: what the test looks for can be seen.
    let watcher = Trace::start(&watched);
    let report = trace.interrupt();
    assert_eq!(report.status.code(), Some(0), "{}", report.stderr);
    assert!(!watcher.finish().of("retsnoop-rs").is_empty());
}

/// A helper that our own programs call, forced: each such call is one that none of our programs is
/// told of. What the kernel counts for our programs and probes is what the summary says.
#[test]
fn calls_from_within_our_own_programs_are_counted_as_the_kernel_does() {
    let mut arguments = vec![
        "-e",
        "*_sys_bpf",
        "-a",
        "bpf_ktime_get_ns",
        "--force",
        "-sn",
        "-n",
        "simfail",
    ];
    if !counts_misses() {
        // Trampolines would run for it there, and nothing is counted for kprobes.
        arguments.push("-K");
    }
    // Programs of an earlier test would be counted, too.
    wait_until_nothing_is_attached();
    let trace = Trace::start(&arguments);
    trace.simfail(&["--repeat", "5", "bpf-cmd"]);
    let counted = sys::recursion_misses();
    let report = trace.finish();
    assert_eq!(report.of("simfail").len(), 5);
    let said = "tracing `bpf_ktime_get_ns` by force";
    assert!(report.stderr.contains(said), "{}", report.stderr);
    let told = report.summary.count("missed.recursion");
    assert_eq!(told, counted, "{:?}", report.summary);
    let all = told + report.summary.count("missed.probes");
    // As many for each session as for any other.
    assert_eq!(all > 0, counts_misses(), "{:?}", report.summary);
    assert_eq!(all % 5, 0, "{:?}", report.summary);
}
