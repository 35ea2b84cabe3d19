// SPDX-License-Identifier: BSD-2-Clause
//! Runs the program under test: starts it, waits until it traces, ends it, reads what it said.

use std::env;
use std::fs::{self, DirEntry, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::sys;
use super::view::{Session, Summary};

/// Attaching takes up to 0.3 s a function on old kernels, and more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// After so long without an answer a cause is tried again.
const SOON: Duration = Duration::from_secs(1);

/// What is said on stderr once everything is attached.
const READY: &str = "Receiving data";

/// A traced run that is going on.
pub(super) struct Trace {
    child: Child,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    stdout: Arc<Mutex<String>>,
    stdout_reader: Option<JoinHandle<()>>,
    what: String,
}

/// A run that is over.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A traced run that is over, with what it reported in JSON.
pub(super) struct Report {
    pub(super) sessions: Vec<Session>,
    pub(super) summary: Summary,
    pub(super) stderr: String,
}

impl Trace {
    /// Traces with `--json`, and returns when everything is attached.
    pub(super) fn start(arguments: &[&str]) -> Self {
        let mut command = program(arguments);
        command.arg("--json");
        Self::spawn(command).ready()
    }

    /// Traces with text output, and returns when everything is attached.
    pub(super) fn start_text(arguments: &[&str]) -> Self {
        Self::spawn(program(arguments)).ready()
    }

    /// Starts a command whose stdout is read unless it has been redirected.
    pub(super) fn spawn(mut command: Command) -> Self {
        let what = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {what}: {error}"));
        let stderr = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&stderr);
        let pipe = child.stderr.take().unwrap();
        let reader = thread::spawn(move || collect(pipe, &collected));
        let stdout = Arc::new(Mutex::new(String::new()));
        let stdout_reader = child.stdout.take().map(|pipe| {
            let collected = Arc::clone(&stdout);
            thread::spawn(move || collect(pipe, &collected))
        });
        Self {
            child,
            stderr,
            reader: Some(reader),
            stdout,
            stdout_reader,
            what,
        }
    }

    /// Waits until everything is attached.
    pub(super) fn ready(mut self) -> Self {
        let start = Instant::now();
        while !self.said(READY) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < PATIENCE,
                "not ready after {:?} ({ended:?}): {}\n{}",
                start.elapsed(),
                self.what,
                self.stderr.lock().unwrap()
            );
            thread::sleep(Duration::from_millis(10));
        }
        self
    }

    /// Waits until it has said this on stderr.
    pub(super) fn wait_until_said(&self, text: &str) {
        let start = Instant::now();
        while !self.said(text) {
            assert!(
                start.elapsed() < PATIENCE,
                "`{text}` was not said: {}\n{}",
                self.what,
                self.stderr.lock().unwrap()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(super) fn said(&self, text: &str) -> bool {
        self.stderr.lock().unwrap().contains(text)
    }

    /// Does this again until stdout is as it should be; returns how often it was done.
    pub(super) fn wait_until_shown(
        &self,
        is_so: impl Fn(&str) -> bool,
        mut cause: impl FnMut(),
    ) -> usize {
        let begun = Instant::now();
        let is_shown = || is_so(&self.stdout.lock().unwrap());
        for n_times in 1.. {
            cause();
            let done = Instant::now();
            while done.elapsed() < SOON {
                if is_shown() {
                    return n_times;
                }
                thread::sleep(Duration::from_millis(5));
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "it was not shown: {}\n{}",
                self.what,
                self.stderr.lock().unwrap()
            );
        }
        unreachable!()
    }

    /// Makes the kernel fail in a known way, while tracing.
    pub(super) fn simfail(&self, arguments: &[&str]) -> &Self {
        simfail(arguments);
        self
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&self, signal: i32) {
        sys::kill(self.child.id(), signal);
    }

    /// Ends it as Ctrl-C does.
    pub(super) fn interrupt(self) -> Ended {
        self.signal(sys::SIGINT);
        self.wait()
    }

    /// Waits for its end.
    pub(super) fn wait(mut self) -> Ended {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "no end: {}\n{}",
                self.what,
                self.stderr.lock().unwrap()
            );
            thread::sleep(Duration::from_millis(5));
        };
        self.reader.take().unwrap().join().unwrap();
        if let Some(reader) = self.stdout_reader.take() {
            reader.join().unwrap();
        }
        Ended {
            status,
            stdout: self.stdout.lock().unwrap().clone(),
            stderr: self.stderr.lock().unwrap().clone(),
        }
    }

    /// Ends it as Ctrl-C does; it must have gone well, and every session must be accounted for.
    pub(super) fn finish(self) -> Report {
        self.interrupt().report()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// What was reported in JSON. The sums of the summary must be right in every run.
    pub(super) fn report(self) -> Report {
        let status = self.status;
        assert_eq!(status.code(), Some(0), "{status}: {}", self.stderr);
        let mut objects: Vec<Value> = self
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let summary = objects
            .pop()
            .unwrap_or_else(|| panic!("no summary: {}", self.stderr));
        assert_eq!(summary["kind"], "summary", "{summary}");
        let report = Report {
            sessions: objects.into_iter().map(Session).collect(),
            summary: Summary(summary),
            stderr: self.stderr,
        };
        report.summary.assert_sum();
        assert_eq!(report.summary.count("shown"), report.sessions.len() as u64);
        report
    }

    /// It must have failed with this exit status, an error and a hint; returns stderr.
    pub(super) fn failed(self, status: i32) -> String {
        assert_eq!(self.status.code(), Some(status), "{}", self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        self.stderr
    }
}

impl Report {
    /// The only session of the thread with this name.
    pub(super) fn only(&self, comm: &str) -> &Session {
        let found = self.of(comm);
        assert_eq!(found.len(), 1, "sessions of {comm}: {:#?}", self.sessions);
        found[0]
    }

    /// The sessions of threads with this name.
    pub(super) fn of(&self, comm: &str) -> Vec<&Session> {
        let is_it = |session: &&Session| session.comm() == comm;
        self.sessions.iter().filter(is_it).collect()
    }
}

/// The program under test with these arguments. With -e alone it chooses thousands of inner
/// functions, which take seconds to attach to in a guest. Tests that are not about that trace the
/// entry functions alone: --only-entries is added for them. Its stdout is to be read.
pub(super) fn program(arguments: &[&str]) -> Command {
    let chooses = ["-a", "-c", "--on-load", "--only-entries"];
    // Behind `--` are the command's own options, such as `sh -c`.
    let mut options = arguments.split(|argument| *argument == "--");
    let options = options.next().unwrap_or_default();
    let names_entries = options.contains(&"-e");
    let mut all = arguments.to_vec();
    if names_entries && !options.iter().any(|argument| chooses.contains(argument)) {
        all.insert(0, "--only-entries");
    }
    bare_program(&all)
}

/// The program under test, with these arguments and no others.
pub(super) fn bare_program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var("RETSNOOP_BIN").expect("RETSNOOP_BIN is not set"));
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped());
    command
}

/// Runs the program under test to its end.
pub(super) fn run(arguments: &[&str]) -> Ended {
    Trace::spawn(program(arguments)).wait()
}

pub(super) fn simfail_program() -> String {
    env::var("SIMFAIL_BIN").expect("SIMFAIL_BIN is not set")
}

/// Makes the kernel fail in a known way.
pub(super) fn simfail(arguments: &[&str]) {
    let output = Command::new(simfail_program())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "simfail {arguments:?}: {said}");
}

/// The kernel of the matrix that this is.
pub(super) fn kernel() -> String {
    env::var("RETSNOOP_KERNEL").expect("RETSNOOP_KERNEL is not set")
}

/// Whether functions are attached to one by one here, which takes its time.
pub(super) fn attaches_slowly() -> bool {
    matches!(kernel().as_str(), "5.10" | "6.1")
}

/// Redirects stdout to a file that is there.
pub(super) fn to_file(command: &mut Command, path: &str) {
    let file = File::options().write(true).open(path).unwrap();
    command.stdout(file);
}

fn collect(pipe: impl Read, into: &Mutex<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        into.lock()
            .unwrap()
            .push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
}

/// Waits until so many threads of a process sleep in a function of the kernel that has this in its
/// name. (Before 5.16 `wchan` does not tell.)
pub(super) fn wait_until_asleep(pid: u32, n_threads: usize, function: &str) {
    let begun = Instant::now();
    let n_asleep = || {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let is_there = |thread: &DirEntry| {
            let stack = fs::read_to_string(thread.path().join("stack"));
            stack.is_ok_and(|stack| stack.contains(function))
        };
        Some(threads.flatten().filter(is_there).count())
    };
    while n_asleep().unwrap_or(0) < n_threads {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "{:?} of {n_threads} in {function}",
            n_asleep()
        );
        thread::sleep(Duration::from_millis(10));
    }
}
