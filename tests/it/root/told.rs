// SPDX-License-Identifier: BSD-2-Clause
//! What a command writes to its standard error, and how its processes end, as it is recorded, and as it
//! is answered.

use retsnoop_rs::capture::Recording;
use retsnoop_rs::events::{Event, ExitRecord, OutputRecord, decode};

use super::harness::{Trace, run};

/// What was told, in order.
struct Told {
    events: Vec<Event>,
}

impl Told {
    fn outputs(&self) -> impl Iterator<Item = &OutputRecord> {
        self.events.iter().filter_map(|event| match event {
            Event::Output(output) => Some(output),
            _ => None,
        })
    }

    fn exits(&self) -> impl Iterator<Item = &ExitRecord> {
        self.events.iter().filter_map(|event| match event {
            Event::Exit(exit) => Some(exit),
            _ => None,
        })
    }

    fn texts(&self) -> Vec<String> {
        let text = |output: &OutputRecord| String::from_utf8_lossy(&output.text).into_owned();
        self.outputs().map(text).collect()
    }
}

/// Traces a command that ends with this status.
fn traced(command: &[&str], status: i32) -> Told {
    let file = format!("/tmp/told-{}", super::sys::unique());
    let options = ["-e", "*_sys_openat", "-sn", "--record-raw", &file, "--"];
    let ended = run(&[&options[..], command].concat());
    assert_eq!(ended.status.code(), Some(status), "{}", ended.stderr);
    let recording = Recording::from_json(&std::fs::read(&file).unwrap()).unwrap();
    let events = recording.records().unwrap();
    let events = events.iter().map(|bytes| decode(bytes).unwrap()).collect();
    Told { events }
}

const SAYS: &str = r#"
import os, subprocess, sys
os.writev(2, [b"", b"loader: ", b"\x1b[31mno\n"])
os.write(1, b"not this\n")
subprocess.run(["sh", "-c", "kill -9 $$"])
os.open("/", os.O_RDONLY)
sys.stderr.write("boom: Operation not permitted\n")
sys.exit(3)
"#;

#[test]
fn what_a_command_writes_to_stderr_and_how_it_ends_is_recorded() {
    let told = traced(&["python3", "-c", SAYS], 3);
    let texts = told.texts();
    assert_eq!(
        texts,
        ["loader: \u{1b}[31mno\n", "boom: Operation not permitted\n"]
    );
    let codes: Vec<u32> = told.exits().map(|exit| exit.code).collect();
    assert_eq!(codes, [9, 0x300], "{:?}", told.events.last());
    let [first, last] = [0, 1].map(|n| told.outputs().nth(n).unwrap());
    let end = told.exits().last().unwrap();
    assert!(first.at_ns < last.at_ns && last.at_ns < end.at_ns);
    assert_eq!((last.tgid, last.tid), (end.tgid, end.tid));
    assert_eq!((last.comm.as_slice(), last.size), (&b"python3"[..], 30));
    assert_eq!(end.comm, b"python3");
}

/// Its first thread ends before the other one, which ends the process.
const THREADS: &str = r#"
import ctypes, os, threading, time
def last():
    time.sleep(0.3)
    os.write(2, b"last\n")
    os._exit(7)
threading.Thread(target=last).start()
ctypes.CDLL(None).pthread_exit(None)
"#;

#[test]
fn a_process_ends_with_its_last_thread() {
    let told = traced(&["python3", "-c", THREADS], 7);
    let codes: Vec<u32> = told.exits().map(|exit| exit.code).collect();
    assert_eq!(codes, [0x700]);
    assert_eq!(told.texts(), ["last\n"]);
}

/// Writes much, in pieces of 64 KB, and its reason at the end.
const FLOOD: &str = r#"
import os, sys
os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
piece = b"x" * 65536
for _ in range(16384): os.write(2, piece)
os.write(2, b"disk full\n")
os._exit(1)
"#;

#[test]
fn of_a_flood_little_is_sent_and_the_last_words_always_are() {
    let told = traced(&["python3", "-c", FLOOD], 1);
    let texts = told.texts();
    assert!((1..2000).contains(&texts.len()), "{}", texts.len());
    assert!(texts[0].len() == 255 && texts[0].starts_with("xxx"));
    assert_eq!(told.outputs().next().unwrap().size, 65536);
    assert_eq!(texts.last().unwrap(), "disk full\n");
    assert_eq!(told.exits().last().unwrap().code, 0x100);
}

#[test]
fn a_complaint_is_answered_while_the_command_goes_on() {
    let script = "mkdir /proc/no-such; mkdir /proc/no-such; sleep 60; mkdir /proc/later";
    let trace = Trace::start_text(&["--only", "mkdir", "-sn", "--", "sh", "-c", script]);
    trace.wait_until_said("/proc/no-such\", 0777) = -ENOENT");
    assert!(!trace.said("shown above"));
    let ended = trace.interrupt();
    // Once, and its kind again with all that failed.
    let times = |text: &str| ended.stderr.matches(text).count();
    assert_eq!(
        times("decided by") + times("probably by"),
        1,
        "{}",
        ended.stderr
    );
    assert_eq!(
        times("shown above: mkdir ENOENT 2 times\n"),
        1,
        "{}",
        ended.stderr
    );
    assert_eq!(
        times("2 system calls of 2 processes failed"),
        1,
        "{}",
        ended.stderr
    );
}

#[test]
fn the_complaint_of_a_command_that_ends_is_part_of_the_verdict() {
    let script = "mkdir /proc/no-such";
    let ended = run(&["--only", "mkdir", "-sn", "--", "sh", "-c", script]);
    let times = |text: &str| ended.stderr.matches(text).count();
    assert_eq!(
        times("/proc/no-such\", 0777) = -ENOENT"),
        1,
        "{}",
        ended.stderr
    );
    assert_eq!(times("shown above"), 0, "{}", ended.stderr);
}
