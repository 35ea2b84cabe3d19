// SPDX-License-Identifier: BSD-2-Clause
//! `-- CMD` on a terminal (`script` of Debian's essential packages makes one): colours, window size,
//! Ctrl-C, Ctrl-Z.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::simfail_program;

/// Runs a line of shell on a terminal of its own, with what it shows collected.
struct Terminal {
    child: Child,
    shown: String,
}

impl Terminal {
    fn run(line: &str) -> Self {
        let child = Command::new("script")
            .args(["-qefc", line, "/dev/null"])
            .env("SHELL", "/bin/bash")
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            shown: String::new(),
        }
    }

    fn wait_until_shown(&mut self, text: &str) {
        let begun = Instant::now();
        let mut byte = [0];
        while !self.shown.contains(text) {
            assert!(begun.elapsed() < Duration::from_secs(120), "{}", self.shown);
            let n = self.child.stdout.as_mut().unwrap().read(&mut byte).unwrap();
            assert_eq!(n, 1, "`{text}` was not shown: {}", self.shown);
            self.shown.push(char::from(byte[0]));
        }
    }

    fn press(&mut self, key: u8) {
        let keyboard = self.child.stdin.as_mut().unwrap();
        keyboard.write_all(&[key]).unwrap();
        keyboard.flush().unwrap();
    }

    /// What was shown until the end, and the exit status.
    fn end(mut self) -> (String, Option<i32>) {
        let mut rest = Vec::new();
        let mut stdout = self.child.stdout.take().unwrap();
        let _ = stdout.read_to_end(&mut rest);
        let status = self.child.wait().unwrap();
        (self.shown + &String::from_utf8_lossy(&rest), status.code())
    }
}

fn traced(command: &str) -> String {
    let program = env::var("RETSNOOP_BIN").unwrap();
    format!("{program} -e '*_sys_bpf' -sn -- {command}")
}

#[test]
fn colours_and_the_window_are_those_of_the_terminal() {
    let simfail = simfail_program();
    let line = traced(&format!("sh -c 'stty size; tty; {simfail} bpf-cmd'"));
    let (shown, status) = Terminal::run(&format!("stty rows 33 cols 77; {line}")).end();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("33 77\r\n"), "{shown}");
    assert!(shown.contains("/dev/pts/"), "{shown}");
    assert!(
        shown.contains("\x1b[") && shown.contains("simfail"),
        "{shown:?}"
    );
}

#[test]
fn ctrl_c_is_for_the_command() {
    let line =
        traced("sh -c 'trap \"echo caught; exit 7\" INT; echo ready; while :; do sleep 0.1; done'");
    let mut terminal = Terminal::run(&line);
    terminal.wait_until_shown("ready");
    terminal.press(3);
    let (shown, status) = terminal.end();
    assert!(
        shown.contains("caught") && shown.contains("sessions shown"),
        "{shown}"
    );
    assert_eq!(status, Some(7), "{shown}");
    // And ends it, where it does nothing against it.
    let mut terminal = Terminal::run(&traced("sh -c 'echo ready; exec sleep 100'"));
    terminal.wait_until_shown("ready");
    terminal.press(3);
    let (shown, status) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
}

#[test]
fn ctrl_z_stops_both_and_fg_goes_on() {
    let command = traced("sh -c 'echo ready; sleep 2; echo finished; exit 5'");
    let line = format!("set -m; {command}; echo stopped $?; fg; echo ended $?");
    let mut terminal = Terminal::run(&line);
    terminal.wait_until_shown("ready");
    terminal.press(26);
    let (shown, _) = terminal.end();
    assert!(shown.contains("stopped 148"), "{shown}");
    assert!(shown.contains("finished"), "{shown}");
    assert!(shown.contains("ended 5"), "{shown}");
}

#[test]
fn a_lost_terminal_ends_a_run_that_writes_a_file() {
    let program = env::var("RETSNOOP_BIN").unwrap();
    let line =
        format!("echo process $$.; exec {program} -e '*_sys_bpf' -sn -o /tmp/out-lost-terminal");
    let mut terminal = Terminal::run(&line);
    terminal.wait_until_shown("Receiving data");
    let (_, after) = terminal.shown.split_once("process ").unwrap();
    let process = format!("/proc/{}", after.split_once('.').unwrap().0);
    assert!(fs::exists(&process).unwrap());
    // It holds the terminal's other end.
    terminal.child.kill().unwrap();
    let begun = Instant::now();
    while fs::exists(&process).unwrap() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it runs on");
        thread::sleep(Duration::from_millis(20));
    }
}
