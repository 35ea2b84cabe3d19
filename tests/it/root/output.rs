// SPDX-License-Identifier: BSD-2-Clause
//! `-o FILE`: opened again on SIGHUP, begun anew by size, and a full disk.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{Trace, program, run, simfail_program};

const BPF: &[&str] = &["-e", "*_sys_bpf", "-sn", "-n", "simfail"];

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_file_that_was_moved_is_left_after_sighup() {
    let path = "/tmp/out-hup";
    let trace = Trace::start_text(&[BPF, &["-o", path]].concat());
    trace.simfail(&["bpf-cmd"]);
    wait_for("the first session", || read(path).contains("culprit"));
    fs::rename(path, "/tmp/out-hup.old").unwrap();
    trace.signal(libc::SIGHUP);
    // The signal may come behind what is written next.
    let n_written = || {
        (read("/tmp/out-hup.old") + &read(path))
            .matches("culprit")
            .count()
    };
    let mut n_failed = 1;
    while !fs::exists(path).unwrap() {
        trace.simfail(&["bpf-map-type"]);
        n_failed += 1;
        wait_for("the next session", || n_written() == n_failed);
    }
    let ended = trace.interrupt();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert_eq!(n_written(), n_failed);
    assert_eq!(read(path).matches("culprit").count(), 1);
}

#[test]
fn files_are_begun_anew_by_size_and_no_session_is_torn() {
    let path = "/tmp/out-size";
    let trace =
        Trace::start_text(&[BPF, &["-o", path, "--max-size", "4096", "--keep", "2"]].concat());
    trace.simfail(&["--repeat", "100", "bpf-cmd"]);
    let ended = trace.interrupt();
    assert!(
        ended.stderr.contains("100 sessions shown"),
        "{}",
        ended.stderr
    );
    for file in [path, "/tmp/out-size.1", "/tmp/out-size.2"] {
        let text = read(file);
        assert!(
            !text.is_empty() && text.len() <= 4096,
            "{file}: {}",
            text.len()
        );
        assert!(text.ends_with("\n\n"), "{file}");
        assert_eq!(
            text.matches("culprit").count(),
            text.matches("TID/PID").count()
        );
    }
    assert!(!fs::exists("/tmp/out-size.3").unwrap());
}

#[test]
fn a_full_disk_ends_the_tracing_and_not_the_command() {
    let trace = Trace::start_text(&[BPF, &["-o", "/dev/full"]].concat());
    trace.simfail(&["bpf-cmd"]);
    let stderr = trace.wait().failed(1);
    assert!(
        stderr.contains("failed to write to `/dev/full`: No space left"),
        "{stderr}"
    );
    let mut command = program(&[BPF, &["-o", "/dev/full"]].concat());
    let script = "\"$0\" bpf-cmd; sleep 1; echo still; exit 9";
    command.args(["--", "sh", "-c", script, &super::harness::simfail_program()]);
    let ended = Trace::spawn(command).wait();
    assert_eq!(ended.status.code(), Some(9), "{}", ended.stderr);
    assert_eq!(ended.stdout, "still\n");
    assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before_anything_is_run() {
    let mut command = program(&[BPF, &["-o", "/no/such/directory/out"]].concat());
    command.args(["--", "touch", "/tmp/ran-without-output"]);
    let ended = Trace::spawn(command).wait();
    assert_eq!(ended.status.code(), Some(125), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("failed to open `/no/such"),
        "{}",
        ended.stderr
    );
    assert!(!fs::exists("/tmp/ran-without-output").unwrap());
}

#[test]
fn the_last_line_of_a_run_is_written() {
    let simfail = simfail_program();
    let options = ["-e", "*_sys_bpf", "--oneline", "--"];
    let ended = run(&[&options[..], &[&*simfail, "bpf-cmd"]].concat());
    // The command has its own output; ours is beside it.
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let is_it = |line: &&&str| line.contains("bpf(") && line.contains("= -EINVAL");
    assert_eq!(lines.iter().filter(is_it).count(), 1, "{lines:?}");
    assert!(ended.stderr.contains("1 session shown"), "{}", ended.stderr);
}
