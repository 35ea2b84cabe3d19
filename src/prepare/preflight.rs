// SPDX-License-Identifier: BSD-2-Clause
//! Checks before the run for what would make it fail or wait for nothing: processes that do not
//! exist, missing privileges, lockdown.

use std::fs;
use std::os::unix::fs::FileTypeExt;

use anyhow::Result;

use crate::config::Choice;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::kernel::privileges::{Capabilities, Lockdown};
use crate::spec::{Pid, nearest};
use crate::syscalls::{Abi, names};

/// Processes with their start times, because a process id may be reused.
#[derive(Debug)]
pub(crate) struct RunningProcesses(Vec<(Pid, Option<String>)>);

impl RunningProcesses {
    /// Checks that none has ended since. Call it once ends of processes are noticed: before that,
    /// an id may have been given to another process.
    pub(crate) fn check_again(&self, files: &KernelFiles) -> Result<()> {
        for (pid, started) in &self.0 {
            if start_of(*pid, files) != *started {
                return Err(Failure::hinted(
                    format!("process {pid} (-p) ended before tracing began"),
                    "-n NAME traces threads by name, future ones too",
                ));
            }
        }
        Ok(())
    }
}

/// Returns when a process started: field 22 of its `stat`. Field 2 may contain blanks and
/// parentheses.
fn start_of(pid: Pid, files: &KernelFiles) -> Option<String> {
    let stat = fs::read_to_string(files.path(format!("proc/{pid}/stat"))).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

/// Checks that each id of `-p` is an existing process. Other ids can never open a session.
pub(crate) fn check_processes(pids: &[Pid], files: &KernelFiles) -> Result<RunningProcesses> {
    // The start time is read first, so that a process which takes the id later has another one.
    let started = pids.iter().map(|&pid| (pid, start_of(pid, files)));
    let started = RunningProcesses(started.collect());
    for &pid in pids {
        if !files.process_exists(pid) {
            return Err(Failure::hinted(
                format!("there is no process {pid} (-p)"),
                "`pgrep NAME` finds processes; -n NAME traces threads by name, future ones too",
            ));
        }
        let status = fs::read_to_string(files.path(format!("proc/{pid}/status")));
        match status.as_deref().ok().and_then(thread_group) {
            Some(leader) if leader != pid => {
                return Err(Failure::hinted(
                    format!("{pid} is a thread of process {leader}, and -p takes processes"),
                    format!("-p {leader} traces all of its threads; -n NAME chooses by name"),
                ));
            }
            _ => {}
        }
    }
    Ok(started)
}

/// Checks that a command that reads stdin can read the same again.
pub(crate) fn check_stdin() -> Result<()> {
    let kind = fs::metadata("/proc/self/fd/0").map(|stdin| stdin.file_type());
    match kind {
        Ok(kind) if !kind.is_char_device() => Err(Failure::hinted(
            "--again runs the command several times, and stdin is a pipe or a file, which only the \
             first run would read",
            "give it `</dev/null`, or have the command itself read the file",
        )),
        _ => Ok(()),
    }
}

/// Checks that the names of `--only` are those of system calls.
pub(crate) fn check_calls(calls: &[Choice<String>]) -> Result<()> {
    let known = || [Abi::Native, Abi::Compat].into_iter().flat_map(names);
    for choice in calls {
        let name = choice.what.as_str();
        if known().any(|(_, known)| known == name) {
            continue;
        }
        let similar = nearest(name, known().map(|(_, name)| name), 1);
        let hint = match similar.first() {
            Some(similar) => format!("a similar one is `{similar}`"),
            None => "names are those that strace prints".to_owned(),
        };
        return Err(Failure::hinted(
            format!("there is no system call `{name}` (--only)"),
            hint,
        ));
    }
    Ok(())
}

/// `PROC_PID_INIT_INO` of `linux/proc_ns.h`: the initial PID namespace, whose ids the kernel uses.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Checks that our process ids are those of the kernel. Needed if processes are chosen by id.
pub(crate) fn check_pid_namespace(files: &KernelFiles) -> Result<()> {
    match fs::read_link(files.path("proc/self/ns/pid")) {
        Ok(namespace) if namespace.as_os_str() != FIRST_PID_NAMESPACE => Err(Failure::hinted(
            "we are in a PID namespace of our own: the kernel has other numbers for processes",
            "run it outside, or in a container that has the host's (`docker run --pid=host`); -n \
             chooses by name",
        )),
        _ => Ok(()),
    }
}

/// Returns the thread group id in a `/proc/PID/status`.
fn thread_group(status: &str) -> Option<Pid> {
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok().map(Pid)
}

/// Checks that this process may trace this kernel.
pub(crate) fn check(files: &KernelFiles) -> Result<()> {
    let text = |path: &str| fs::read_to_string(files.path(path)).unwrap_or_default();
    let missing = Capabilities::parse(&text("proc/self/status")).missing();
    if !missing.is_empty() {
        return Err(Failure::hinted(
            format!("tracing the kernel needs {}", missing.join(", ")),
            "run it as root (sudo), or grant these capabilities and read access to tracefs",
        ));
    }
    if Lockdown::parse(&text("sys/kernel/security/lockdown")) == Lockdown::Confidentiality {
        return Err(Failure::hinted(
            "the kernel is locked down (confidentiality): programs may not read its memory",
            "boot with `lockdown=integrity` or without lockdown; secure boot may enforce it",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process;

    use super::check_processes;
    use crate::failure::Failure;
    use crate::kernel::facts::KernelFiles;
    use crate::spec::Pid;

    #[test]
    fn a_process_that_is_not_there_is_an_error_with_a_hint() {
        let files = KernelFiles::default();
        let this = Pid(process::id());
        let found = check_processes(&[this], &files).unwrap();
        found.check_again(&files).unwrap();
        // `PID_MAX_LIMIT`: the kernel never assigns this id.
        let error = check_processes(&[this, Pid(4_194_304)], &files).unwrap_err();
        assert_eq!(error.to_string(), "there is no process 4194304 (-p)");
        assert!(Failure::hint_of(&error).is_some());
    }

    #[test]
    fn a_process_whose_number_was_given_to_another_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let process = root.path().join("proc/1234");
        fs::create_dir_all(&process).unwrap();
        let files = KernelFiles::below(root.path());
        let starts_at = |time: u32| {
            let before = "0 ".repeat(18);
            let stat = format!("1234 (a) b) S {before}{time} 0\n");
            fs::write(process.join("stat"), stat).unwrap();
        };
        starts_at(77);
        let found = check_processes(&[Pid(1234)], &files).unwrap();
        found.check_again(&files).unwrap();
        starts_at(78);
        let error = found.check_again(&files).unwrap_err().to_string();
        assert_eq!(error, "process 1234 (-p) ended before tracing began");
    }

    #[test]
    fn a_thread_is_not_taken_for_a_process() {
        let root = tempfile::tempdir().unwrap();
        let thread = root.path().join("proc/1235");
        fs::create_dir_all(&thread).unwrap();
        fs::write(thread.join("status"), "Name:\tx\nTgid:\t1234\nPid:\t1235\n").unwrap();
        let files = KernelFiles::below(root.path());
        assert_eq!(
            check_processes(&[Pid(1235)], &files)
                .unwrap_err()
                .to_string(),
            "1235 is a thread of process 1234, and -p takes processes"
        );
    }
}
