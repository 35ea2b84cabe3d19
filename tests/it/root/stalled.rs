// SPDX-License-Identifier: BSD-2-Clause
//! Output that nobody takes: signals and `--duration` end the run all the same.

use std::io::{PipeReader, Read, pipe};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::harness::{Trace, program, simfail, wait_until_asleep};
use super::sys;

const BPF: &[&str] = &["-e", "*_sys_bpf", "-sn", "-n", "simfail"];

/// Guests are emulated; without a way out it would be for ever.
const SOON: Duration = Duration::from_secs(10);

/// A run whose stdout is full.
fn stalled(options: &[&str]) -> (PipeReader, Trace) {
    let (reader, writer) = pipe().unwrap();
    let mut command = program(&[BPF, options].concat());
    command.stdout(Stdio::from(writer));
    let trace = Trace::spawn(command).ready();
    trace.simfail(&["--repeat", "400", "bpf-cmd"]);
    wait_until_asleep(trace.pid(), 1, "pipe_write");
    (reader, trace)
}

#[test]
fn a_fifo_without_a_reader_does_not_hold_off_ctrl_c() {
    let path = "/tmp/out-fifo";
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    for option in ["-o", "--record-raw"] {
        let trace = Trace::spawn(program(&[BPF, &[option, path]].concat()));
        wait_until_asleep(trace.pid(), 1, "wait_for_partner");
        let asked = Instant::now();
        let ended = trace.interrupt();
        assert!(asked.elapsed() < SOON, "{option}: {:?}", asked.elapsed());
        assert_eq!(ended.status.signal(), Some(sys::SIGINT), "{}", ended.stderr);
    }
}

#[test]
fn a_stdout_that_nobody_reads_does_not_hold_off_ctrl_c() {
    for signal in [sys::SIGINT, sys::SIGTERM] {
        let (_reader, trace) = stalled(&[]);
        let asked = Instant::now();
        trace.signal(signal);
        let ended = trace.wait();
        println!("prompt {:?} after signal {signal}", asked.elapsed());
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
        assert!(
            ended
                .stderr
                .contains("failed to write to stdout: nobody took"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_stdout_that_nobody_reads_does_not_hold_off_the_end_of_duration() {
    let (_reader, trace) = stalled(&["--duration", "20"]);
    let ended = trace.wait();
    assert!(ended.stderr.contains("nobody took"), "{}", ended.stderr);
}

#[test]
fn a_stderr_that_nobody_reads_does_not_hold_off_ctrl_c_either() {
    let (mut reader, writer) = pipe().unwrap();
    let mut command = program(BPF);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    drop(command);
    let (mut said, mut byte) = (String::new(), [0]);
    while !said.contains("Receiving data...\n") {
        reader.read_exact(&mut byte).unwrap();
        said.push(char::from(byte[0]));
    }
    simfail(&["--repeat", "400", "bpf-cmd"]);
    wait_until_asleep(child.id(), 1, "pipe_write");
    let asked = Instant::now();
    sys::kill(child.id(), sys::SIGINT);
    let status = child.wait().unwrap();
    println!("prompt {:?}, {status}", asked.elapsed());
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

#[test]
fn a_sighup_that_opens_the_file_again_does_not_reach_the_command() {
    let script = "trap 'exit 41' HUP; trap 'exit 42' TERM; echo ready >&2; \
                  while :; do sleep 0.05; done";
    let mut command = program(&["-e", "*_sys_bpf", "-sn", "-o", "/tmp/out-command"]);
    command.args(["--", "sh", "-c", script]);
    let trace = Trace::spawn(command).ready();
    trace.wait_until_said("ready");
    trace.signal(libc::SIGHUP);
    trace.signal(sys::SIGTERM);
    let ended = trace.wait();
    assert_eq!(ended.status.code(), Some(42), "{}", ended.stderr);
}
