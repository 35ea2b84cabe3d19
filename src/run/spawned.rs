// SPDX-License-Identifier: BSD-2-Clause
//! The command of a run: forks and holds it, releases it and waits for it. Its exit status becomes
//! ours.
//!
//! A failure of ours before the command starts gives status 125, as with env(1), timeout(1) and
//! nice(1). A failure of ours while it runs ends the tracing and is reported, but the status is
//! still the command's.

use std::env;
use std::ffi::OsString;
use std::mem;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::not_started;
use crate::command::{
    CommandEnd, Held, Invoker, NotStarted, RequestedUser, Running, Signaller, Terminal,
};
use crate::config::{self, Config};
use crate::diag::Diag;
use crate::failure::{self, Failure};
use crate::output::stop::StopFlag;
use crate::scope::{accounts, unknown};
use crate::spec::Pid;

/// Exit status for a failure of ours before the command starts.
pub(crate) const OUR_FAILURE: u8 = 125;

/// How often we check for the command's end once tracing has stopped.
const END_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// A command that runs longer than this does not count as ending at once; and the interval of
/// checks until then.
const IMMEDIATE_END_TIME: Duration = Duration::from_millis(200);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The time between SIGTERM and SIGKILL.
const KILL_DELAY: Duration = Duration::from_secs(5);

/// The command of a run.
#[derive(Debug)]
pub(crate) struct SpawnedCommand {
    name: OsString,
    state: CommandState,
    timeout: Option<Duration>,
    /// When SIGTERM and SIGKILL are due; `None` if they are not.
    asked_at: Option<Instant>,
    killed_at: Option<Instant>,
}

#[derive(Debug)]
enum CommandState {
    Held(Held),
    Running(Running),
    /// It never ran; the exit status that says why.
    NotStarted(u8),
}

impl SpawnedCommand {
    /// Forks the command and holds it before `execve`. Returns `None` if there is no command or for
    /// a dry run.
    pub(crate) fn hold(config: &Config) -> Result<Option<Self>> {
        let Some(command) = config.command.as_ref().filter(|_| !config.run.dry_run) else {
            return Ok(None);
        };
        let run_as = match &command.run_as {
            config::RunAs::Ourselves => RequestedUser::Ourselves,
            config::RunAs::Invoker => RequestedUser::Invoker,
            config::RunAs::User(name) => RequestedUser::User(name.clone()),
        };
        let invoker = Invoker {
            uid: env::var_os("SUDO_UID").or_else(|| env::var_os("PKEXEC_UID")),
            name: env::var_os("DOAS_USER"),
        };
        let identity = run_as.resolve(&invoker).map_err(|error| match &run_as {
            RequestedUser::User(name) => unknown("user", name, &accounts("/etc/passwd")),
            _ => Failure::hinted(format!("{error:#}"), "name the user: --user NAME"),
        })?;
        let terminal = if command.new_session {
            Terminal::Left
        } else {
            Terminal::Shared
        };
        let held = Held::fork(&command.words, identity.as_ref(), terminal)?;
        Ok(Some(Self {
            name: command.words.first().cloned().unwrap_or_default(),
            state: CommandState::Held(held),
            timeout: command.timeout,
            asked_at: None,
            killed_at: None,
        }))
    }

    /// Returns the process id of the held command; `None` once it was released.
    pub(crate) fn held(&self) -> Option<Pid> {
        match &self.state {
            CommandState::Held(held) => Some(held.pid()),
            CommandState::Running(_) | CommandState::NotStarted(_) => None,
        }
    }

    /// Returns a descriptor that becomes readable when the command ends; `None` if it does not run.
    pub(crate) fn end(&self) -> Option<Signaller> {
        match &self.state {
            CommandState::Running(running) => Some(running.signaller()),
            CommandState::Held(_) | CommandState::NotStarted(_) => None,
        }
    }

    /// Releases the command. Everything must be attached.
    pub(crate) fn release(&mut self, stop: &StopFlag) -> Result<()> {
        let held = match mem::replace(&mut self.state, CommandState::NotStarted(OUR_FAILURE)) {
            CommandState::Held(held) => held,
            other => {
                self.state = other;
                return Ok(());
            }
        };
        // A signal before the command runs ends it, as one just after the release would.
        if !stop.pass_on_to(held.signaller()) {
            self.state = CommandState::Held(held);
            bail!("interrupted before the command was started");
        }
        match held.release() {
            Ok(running) => {
                self.asked_at = self.timeout.and_then(|t| Instant::now().checked_add(t));
                self.state = CommandState::Running(running);
                Ok(())
            }
            Err(NotStarted { status, error }) => {
                self.state = CommandState::NotStarted(status);
                let name = self.name.display();
                let hint = match status {
                    126 | 127 => not_started::hint(&self.name, &error),
                    _ => "--user needs the right to become that user: run as root".to_owned(),
                };
                Err(Failure::hinted(
                    format!("cannot run `{name}`: {error}"),
                    hint,
                ))
            }
        }
    }

    /// Returns the exit status of the command as a shell has it; `None` if it runs or never ran.
    pub(crate) fn status(&mut self) -> Option<u8> {
        match &mut self.state {
            CommandState::Running(running) => running.ended().map(CommandEnd::status),
            CommandState::Held(_) | CommandState::NotStarted(_) => None,
        }
    }

    /// Returns true if the command has ended or never ran. Sends the signals of `--timeout` when
    /// they are due.
    pub(crate) fn is_over(&mut self, diag: &Diag) -> bool {
        !matches!(self.state, CommandState::Running(_)) || self.ended(diag).is_some()
    }

    /// Returns true if the command ends within [`IMMEDIATE_END_TIME`] and `happened` stays false.
    /// Meanwhile we leave the processor to the command: loading what a shown session needs takes
    /// longer than many commands run.
    pub(crate) fn is_over_unseen(&mut self, happened: impl Fn() -> bool, diag: &Diag) -> bool {
        let until = Instant::now() + IMMEDIATE_END_TIME;
        loop {
            // The order matters: the last effect of the command is visible before its end.
            let is_over = self.is_over(diag);
            if is_over || happened() || Instant::now() >= until {
                return is_over && !happened();
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn ended(&mut self, diag: &Diag) -> Option<CommandEnd> {
        let CommandState::Running(running) = &mut self.state else {
            return None;
        };
        if let Some(ended) = running.ended() {
            return Some(ended);
        }
        let now = Instant::now();
        let (name, signaller) = (self.name.display(), running.signaller());
        if self.asked_at.take_if(|at| now >= *at).is_some() {
            let after = self.timeout.unwrap_or_default().as_secs_f64();
            diag.warning(format!(
                "`{name}` has run for {after} s (--timeout): SIGTERM sent"
            ));
            signaller.send(libc::SIGTERM);
            self.killed_at = now.checked_add(KILL_DELAY);
        }
        if self.killed_at.take_if(|at| now >= *at).is_some() {
            let grace = KILL_DELAY.as_secs();
            diag.warning(format!(
                "`{name}` has not ended for {grace} s: SIGKILL sent"
            ));
            signaller.send(libc::SIGKILL);
        }
        None
    }

    /// Waits for the end of the command and returns the exit code of the run. Reports the error of
    /// `done` first.
    pub(crate) fn conclude(mut self, done: Result<()>, diag: &Diag) -> ExitCode {
        if let Err(error) = done
            && !failure::is_broken_pipe(&error)
        {
            failure::say(&error, diag);
        }
        match &self.state {
            CommandState::Running(_) => {}
            CommandState::Held(_) => return ExitCode::from(OUR_FAILURE),
            CommandState::NotStarted(status) => return ExitCode::from(*status),
        }
        loop {
            if let Some(ended) = self.ended(diag) {
                return ExitCode::from(ended.status());
            }
            thread::sleep(END_CHECK_INTERVAL);
        }
    }
}
