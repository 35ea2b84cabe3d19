// SPDX-License-Identifier: BSD-2-Clause
//! Which sessions are shown: by process, by name, by error, by time; and that the sums are right.

use std::process::{self, Command, Stdio};

use super::harness::{Report, Trace, kernel, program, simfail_program};
use super::sys;

const BPF: &[&str] = &["-e", "*_sys_bpf", "-sn"];

fn traced(arguments: &[&str], workload: impl FnOnce()) -> Report {
    let trace = Trace::start(&[BPF, arguments].concat());
    workload();
    trace.finish()
}

fn simfail(arguments: &[&str]) {
    super::harness::simfail(arguments);
}

fn own_pid() -> String {
    process::id().to_string()
}

fn both() {
    sys::fail_bpf();
    simfail(&["bpf-cmd"]);
}

#[test]
fn p_shows_only_that_process() {
    let report = traced(&["-p", &own_pid()], both);
    assert_eq!(report.sessions.len(), 1);
    assert_eq!(report.sessions[0].tgid(), u64::from(process::id()));
    // What is out of scope does not even start a session.
    assert_eq!(report.summary.count("started"), 1);
}

/// There we have another number than the kernel has for us, and mostly 1: the first process of all.
#[test]
fn in_a_pid_namespace_of_our_own_we_do_not_trace_ourselves() {
    let traced = program(&["-e", "*_sys_openat", "-S", "-n", "retsnoop-rs", "--json"]);
    let mut command = Command::new("unshare");
    command.args(["-pf", "--mount-proc", "--kill-child"]);
    command.arg(traced.get_program()).args(traced.get_args());
    command
        .args(["--no-cache", "--duration", "2"])
        .stdout(Stdio::piped());
    let report = Trace::spawn(command).wait().report();
    assert_eq!(report.summary.count("started"), 0, "{}", report.stderr);
}

#[test]
fn capital_p_leaves_that_process_out() {
    let report = traced(&["-P", &own_pid()], both);
    assert_eq!(report.of("simfail").len(), 1);
    let own = u64::from(process::id());
    assert!(report.sessions.iter().all(|session| session.tgid() != own));
}

#[test]
fn n_shows_only_threads_of_that_name() {
    let report = traced(&["-n", "wanted"], || {
        simfail(&["--comm", "wanted", "bpf-cmd"]);
        simfail(&["--comm", "other", "bpf-cmd"]);
    });
    assert_eq!(report.sessions.len(), 1);
    assert_eq!(report.sessions[0].comm(), "wanted");
}

#[test]
fn capital_n_leaves_threads_of_that_name_out() {
    let report = traced(&["-N", "unwanted"], || {
        simfail(&["--comm", "unwanted", "bpf-cmd"]);
        simfail(&["--comm", "other", "bpf-cmd"]);
    });
    assert_eq!(report.of("other").len(), 1);
    assert!(report.of("unwanted").is_empty());
}

/// -EINVAL, -E2BIG, -EBADF.
const THREE_ERRORS: &[&str] = &["bpf-cmd", "bpf-attr-size", "bpf-map-fd"];

#[test]
fn x_shows_only_these_errors() {
    for errno in ["E2BIG", "-E2BIG", "7", "-7"] {
        let report = traced(&["-n", "simfail", "-x", errno], || simfail(THREE_ERRORS));
        let results: Vec<&str> = report
            .sessions
            .iter()
            .map(super::view::Session::result)
            .collect();
        assert_eq!(results, ["-E2BIG"], "-x {errno}");
        assert!(report.summary.count("filtered") >= 2);
    }
}

#[test]
fn capital_x_leaves_these_errors_out() {
    let arguments = ["-n", "simfail", "-X", "E2BIG,EINVAL"];
    let report = traced(&arguments, || simfail(THREE_ERRORS));
    let results: Vec<&str> = report
        .sessions
        .iter()
        .map(super::view::Session::result)
        .collect();
    assert_eq!(results, ["-EBADF"]);
    assert_eq!(report.summary.count("filtered"), 2);
}

/// They are told apart in the kernel: while we do not read, they take no room from what is wanted.
#[test]
fn errors_that_are_left_out_take_no_room_in_the_buffer() {
    for filter in [["-x", "E2BIG"], ["-X", "EBADF"]] {
        let arguments = [
            "-e",
            "*_sys_bpf",
            "-sn",
            "-n",
            "simfail",
            "--ringbuf-size",
            "1",
        ];
        let trace = Trace::start(&[&arguments[..], &filter].concat());
        trace.signal(sys::SIGSTOP);
        trace.simfail(&["--repeat", "3000", "bpf-map-fd"]);
        trace.simfail(&["bpf-attr-size"]);
        trace.signal(sys::SIGCONT);
        let report = trace.finish();
        assert_eq!(report.only("simfail").result(), "-E2BIG", "{filter:?}");
        assert_eq!(report.summary.count("filtered"), 3000, "{filter:?}");
        assert_eq!(report.summary.dropped(), 0, "{filter:?}");
    }
}

/// The call succeeds, and no result of its is `NULL`: what failed is in the answer.
#[test]
fn what_failed_in_an_answer_is_not_left_out_as_null() {
    for filter in [&[][..], &["-X", "NULL"], &["-x", "ENODEV"]] {
        let functions = ["-e", "*_sys_sendto", "-e", "rtnetlink_rcv_msg"];
        let arguments = [&functions[..], &["-sn", "-n", "simfail"], filter].concat();
        let trace = Trace::start(&arguments);
        trace.simfail(&["netlink-link-missing"]);
        let report = trace.finish();
        let n_shown = report.of("simfail").len();
        assert_eq!(n_shown, 1, "{filter:?}: {:?}", report.summary);
    }
}

/// Of a process that there is not, the look-up says `NULL` and the call `ESRCH`.
#[test]
fn x_means_the_result_and_any_error_the_chain() {
    let shown = |filter: &[&str]| {
        let arguments = ["-e", "*_sys_process_vm_readv", "-sn", "-n", "simfail"];
        let look_up = ["-a", "find_get_task_by_vpid"];
        let trace = Trace::start(&[&arguments[..], &look_up, filter].concat());
        trace.simfail(&["vm-read-missing"]);
        trace.finish().of("simfail").len()
    };
    assert_eq!(shown(&["-x", "ESRCH"]), 1);
    assert_eq!(shown(&["-x", "NULL"]), 0);
    assert_eq!(shown(&["-X", "NULL,ENOENT"]), 1);
    assert_eq!(shown(&["-X", "ESRCH,ENOENT"]), 0);
    assert_eq!(shown(&["--any-error", "NULL"]), 1);
    assert_eq!(shown(&["--any-error", "ESRCH,!NULL"]), 0);
    assert_eq!(shown(&["--any-error", "ESRCH", "-X", "ENOENT"]), 1);
}

#[test]
fn l_shows_only_what_took_that_long() {
    let trace = Trace::start(&["-e", "*_sys_futex", "-sn", "-n", "slow", "-L", "10ms"]);
    trace.simfail(&["--comm", "slow", "futex-timeout", "futex-changed"]);
    let report = trace.finish();
    let session = report.only("slow");
    assert_eq!(session.result(), "-ETIMEDOUT");
    assert!(session.duration_ns() >= 10_000_000);
    assert!(
        report.summary.count("filtered") >= 1,
        "{:?}",
        report.summary
    );
}

#[test]
fn s_shows_successful_calls_too() {
    // Until 5.11 our own maps count against what all of root's may lock in memory.
    let script = "ulimit -l unlimited; exec \"$@\" ok-bpf-map bpf-cmd";
    let workload = || {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", &simfail_program()]);
        assert!(command.status().unwrap().success());
    };
    let failures = traced(&["-n", "simfail"], workload);
    assert_eq!(failures.sessions.len(), 1);
    assert_eq!(failures.summary.count("succeeded"), 1);
    let all = traced(&["-n", "simfail", "-S"], workload);
    assert_eq!(all.sessions.len(), 2);
    let success = &all.sessions[0];
    assert_eq!(success.culprit(), "");
    assert!(success.result().parse::<u32>().unwrap() > 0, "{success:?}");
}

#[test]
fn three_thousand_failures_in_a_row_are_all_shown() {
    let report = traced(&["-n", "simfail"], || {
        simfail(&["--repeat", "3000", "bpf-cmd"]);
    });
    assert_eq!(report.summary.count("started"), 3000);
    assert_eq!(report.sessions.len(), 3000);
    assert_eq!(report.summary.dropped(), 0, "on {}", kernel());
}

#[test]
fn what_a_full_buffer_loses_is_counted_exactly() {
    let trace = Trace::start(&[BPF, &["-n", "simfail", "--ringbuf-size", "1"]].concat());
    // A reader that does not come along.
    trace.signal(sys::SIGSTOP);
    trace.simfail(&["--repeat", "20000", "bpf-cmd"]);
    trace.signal(sys::SIGCONT);
    let report = trace.finish();
    let summary = &report.summary;
    assert_eq!(summary.count("started"), 20_000);
    let lost = summary.count("dropped.ring_full");
    assert!(lost > 10_000, "{summary:?}");
    assert_eq!(summary.count("shown") + lost, 20_000, "{summary:?}");
    assert!(
        report.stderr.contains("--ringbuf-size"),
        "{}",
        report.stderr
    );
}
