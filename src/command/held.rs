// SPDX-License-Identifier: BSD-2-Clause
//! The states of the command: held, running, ended.

use std::env;
use std::error::Error;
use std::ffi::{CString, OsString};
use std::fmt;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid as UnixPid;

use super::identity::{UserIdentity, environment};
use super::sys::{self, Terminal};
use crate::spec::Pid;

/// A forked process that waits for permission to execute its command. If this value is dropped, or
/// if we are killed, it exits without having executed anything.
#[derive(Debug)]
pub struct Held {
    process: Process,
    go: Option<PipeWriter>,
    report: PipeReader,
}

/// A command that was executed.
#[derive(Debug)]
pub struct Running {
    process: Process,
    ended: Option<CommandEnd>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// It exited with this status.
    Exited(u8),
    /// It was killed by this signal.
    Killed(i32),
}

impl CommandEnd {
    /// The status in the convention of shells: the exit status, or 128 plus the signal.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Exited(status) => status,
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

/// Why a command could not be executed.
#[derive(Debug)]
pub struct NotStarted {
    /// Exit status in the convention of shells: 127 not found, 126 not executable, 125 any other
    /// failure.
    pub status: u8,
    /// The error of the operation that failed.
    pub error: io::Error,
}

/// Sends signals to a command from any thread. It uses a pidfd, so that a process that gets the
/// same id later is never signalled.
#[derive(Clone, Debug)]
pub struct Signaller {
    process: Arc<OwnedFd>,
    terminal: Terminal,
}

#[derive(Debug)]
struct Process {
    pid: UnixPid,
    handle: Signaller,
}

impl Held {
    /// Forks. This process must have only one thread.
    ///
    /// # Errors
    ///
    /// When an argument contains a zero byte, or when the kernel cannot create a process.
    pub fn fork(
        command: &[OsString],
        identity: Option<&UserIdentity>,
        terminal: Terminal,
    ) -> Result<Self> {
        let arguments: Vec<CString> = command
            .iter()
            .map(|argument| CString::new(argument.clone().into_vec()))
            .collect::<Result<_, _>>()
            .context("an argument of the command has a zero byte")?;
        let variables = identity.map_or(&[][..], |identity| &identity.variables);
        let environment = environment(env::vars_os(), variables);
        let (wait, go) = pipe().context("failed to make a pipe")?;
        let (report, failed) = pipe().context("failed to make a pipe")?;
        let plan = sys::Plan {
            arguments: &arguments,
            environment: &environment,
            identity,
            terminal,
            wait: &wait,
            go: &go,
            report: &failed,
        };
        let pid = sys::fork(&plan).context("failed to fork")?;
        let handle = sys::open_process(pid).context("failed to get hold of the forked process")?;
        Ok(Self {
            process: Process {
                pid: UnixPid::from_raw(pid),
                handle: Signaller {
                    process: Arc::new(handle),
                    terminal,
                },
            },
            go: Some(go),
            report,
        })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid(self.process.pid.as_raw().unsigned_abs())
    }

    /// A handle to forward signals. A signal that is sent now ends the process, and the command is
    /// not executed.
    #[must_use]
    pub fn signaller(&self) -> Signaller {
        self.process.handle.clone()
    }

    /// Lets the process execute its command. Returns after the `execve`.
    ///
    /// # Errors
    ///
    /// When the command cannot be executed.
    pub fn release(mut self) -> Result<Running, NotStarted> {
        let lost = |error: io::Error| NotStarted { status: 125, error };
        let mut go = self
            .go
            .take()
            .ok_or_else(|| lost(io::ErrorKind::Other.into()))?;
        // The write fails if the process was killed meanwhile.
        let _ = go.write_all(b"!");
        drop(go);
        let mut report = Vec::new();
        self.report.read_to_end(&mut report).map_err(lost)?;
        let Ok(report) = <[u8; 8]>::try_from(report) else {
            return Ok(Running {
                process: Process {
                    pid: self.process.pid,
                    handle: self.process.handle.clone(),
                },
                ended: None,
            });
        };
        let _ = waitpid(self.process.pid, None);
        let [a, b, c, d, stage @ ..] = report;
        let error = io::Error::from_raw_os_error(i32::from_ne_bytes([a, b, c, d]));
        let status = match (u32::from_ne_bytes(stage), error.kind()) {
            (sys::AT_EXEC, io::ErrorKind::NotFound) => 127,
            (sys::AT_EXEC, _) => 126,
            _ => 125,
        };
        Err(NotStarted { status, error })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // After `release`, either `Running` waits for the process, or it has failed and was
        // waited for.
        if self.go.take().is_some() {
            let _ = waitpid(self.process.pid, None);
        }
    }
}

impl Running {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid(self.process.pid.as_raw().unsigned_abs())
    }

    /// A handle to forward signals.
    #[must_use]
    pub fn signaller(&self) -> Signaller {
        self.process.handle.clone()
    }

    /// How it ended; `None` if it still runs.
    pub fn ended(&mut self) -> Option<CommandEnd> {
        self.wait_with(WaitPidFlag::WNOHANG)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When somebody else has waited for it.
    pub fn wait(&mut self) -> Result<CommandEnd> {
        loop {
            if let Some(ended) = self.wait_with(WaitPidFlag::empty()) {
                return Ok(ended);
            }
            if waitpid(self.process.pid, Some(WaitPidFlag::WNOHANG)) == Err(Errno::ECHILD) {
                return Err(anyhow!("the command's exit status is lost"));
            }
        }
    }

    fn wait_with(&mut self, flags: WaitPidFlag) -> Option<CommandEnd> {
        if self.ended.is_none() {
            self.ended = match waitpid(self.process.pid, Some(flags)) {
                Ok(WaitStatus::Exited(_, status)) => Some(CommandEnd::Exited(status as u8)),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(CommandEnd::Killed(signal as i32)),
                _ => None,
            };
        }
        self.ended
    }
}

/// The descriptor is readable after the command has ended.
impl AsFd for Signaller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl Signaller {
    /// Sends a signal. If the command has ended, nothing happens.
    pub fn send(&self, signal: i32) {
        let _ = sys::signal_process(&self.process, signal);
    }

    /// Whether the command is detached from our terminal, so that keys such as Ctrl-C do not reach
    /// it.
    #[must_use]
    pub fn has_left_terminal(&self) -> bool {
        self.terminal == Terminal::Left
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for NotStarted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
