// SPDX-License-Identifier: BSD-2-Clause
//! When a run ends: a signal, enough sessions, the time. And what signals mean otherwise: those
//! that are meant for the command are passed on to it.
//!
//! Signals are blocked and read by a thread, which is told who sent them: Ctrl-C comes from the
//! terminal and reaches the command by itself, `kill` reaches us alone. They are blocked before
//! any other thread is started: one that did not block them would be killed by them, and we too.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};

use super::terminal::is_controlled;
use crate::command::Signaller;

/// Longest wait for records: so often we look at the clock and at what the trace costs.
const WAIT: Duration = Duration::from_millis(100);

/// How long output that nobody reads is waited for once the run is to end.
const GRACE: Duration = Duration::from_millis(400);

/// How long the rest of the end may take after output was given up: stderr may be stuck, too.
const LAST_MOMENT: Duration = Duration::from_millis(400);

/// This many signals that had no effect end the process at once.
const INSISTS: u32 = 3;

/// `si_code` of a signal that the kernel sent of its own accord.
const SI_KERNEL: i32 = 0x80;

/// What SIGHUP asks for, where there is no command that it is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// The end.
    Ends,
    /// To open the output file again.
    Reopens,
}

/// Whether the process may be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    OverProcess,
    /// It is a test's.
    #[cfg(test)]
    None,
}

/// Set by SIGINT, SIGTERM and SIGHUP, unless there is a command to pass them on to.
#[derive(Clone, Debug)]
pub(crate) struct StopFlag(Arc<State>);

#[derive(Debug)]
struct State {
    hangup: Hangup,
    power: Power,
    /// Nothing is attached yet: a signal does what it does by default.
    is_preparing: AtomicBool,
    raised_at: OnceLock<Instant>,
    /// When `--duration` ends the run.
    deadline: OnceLock<Instant>,
    /// Readable once it is raised: nobody waits for records any more.
    wakes: EventFd,
    times_asked: AtomicU32,
    /// Signals that came while the main thread could not act on them.
    unanswered: AtomicU32,
    /// The main thread waits for output.
    is_blocked: AtomicBool,
    /// The last signal that came.
    last: AtomicU32,
    reopen: AtomicBool,
    /// Whether there was a controlling terminal at the start: one that is gone later was lost.
    had_terminal: bool,
    command: Mutex<Option<Signaller>>,
}

impl StopFlag {
    fn new(hangup: Hangup, power: Power) -> Result<Self> {
        Ok(Self(Arc::new(State {
            hangup,
            power,
            is_preparing: AtomicBool::new(true),
            raised_at: OnceLock::new(),
            deadline: OnceLock::new(),
            wakes: EventFd::from_flags(EfdFlags::EFD_CLOEXEC)
                .context("failed to handle signals")?,
            times_asked: AtomicU32::new(0),
            unanswered: AtomicU32::new(0),
            is_blocked: AtomicBool::new(false),
            last: AtomicU32::new(Signal::SIGTERM as u32),
            reopen: AtomicBool::new(false),
            had_terminal: is_controlled() == Some(true),
            command: Mutex::new(None),
        })))
    }

    /// Without any signals.
    #[cfg(test)]
    pub(crate) fn of_test(hangup: Hangup) -> Self {
        Self::new(hangup, Power::None).expect("an event descriptor can be made")
    }

    /// Takes over the signals. Call it while this process has one thread, and after the command
    /// was forked: a blocked signal is blocked in what is started afterwards.
    pub(crate) fn on_signals(hangup: Hangup, has_command: bool) -> Result<Self> {
        let flag = Self::new(hangup, Power::OverProcess)?;
        let mut taken = SigSet::empty();
        taken.add(Signal::SIGINT);
        taken.add(Signal::SIGTERM);
        if has_command {
            taken.add(Signal::SIGQUIT);
        }
        if !is_ignored(Signal::SIGHUP) {
            taken.add(Signal::SIGHUP);
        }
        taken.thread_block().context("failed to block signals")?;
        let signals = SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC)
            .context("failed to handle signals")?;
        let told = flag.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                while let Ok(Some(signal)) = signals.read_signal() {
                    told.take(&signal);
                }
            })
            .context("failed to start a thread")?;
        Ok(flag)
    }

    fn take(&self, info: &siginfo) {
        let signal = info.ssi_signo.cast_signed();
        self.0.times_asked.fetch_add(1, Ordering::Relaxed);
        self.0.last.store(info.ssi_signo, Ordering::Relaxed);
        let command = self.lock();
        if signal == Signal::SIGHUP as i32 && self.means_reopening(info.ssi_code) {
            // It is for us alone: a command would be killed by it.
            self.0.reopen.store(true, Ordering::Relaxed);
            return;
        }
        if self.0.is_preparing.load(Ordering::Acquire) {
            end_by(signal);
        } else {
            self.insist(signal, command.as_ref());
            if command.is_none() {
                self.raise();
            }
        }
        // What the kernel sends (`SI_KERNEL`) it sends to the terminal's whole process group.
        if let Some(command) = &*command
            && (info.ssi_code <= 0 || command.has_left_terminal())
        {
            command.send(signal);
        }
    }

    /// A SIGHUP of a lost terminal ends the run, also where another SIGHUP means the output file.
    /// The kernel takes the terminal away before it sends the signal, or marks the signal as its
    /// own, where the leader of the session has exited.
    fn means_reopening(&self, code: i32) -> bool {
        let is_lost = self.0.had_terminal && is_controlled() == Some(false);
        self.0.hangup == Hangup::Reopens && code != SI_KERNEL && !is_lost
    }

    /// The third signal that has no effect takes its default action: the kernel closes the links,
    /// and the guardian removes the probes. A command may well be sent many that it handles.
    fn insist(&self, signal: i32, command: Option<&Signaller>) {
        let counts = command.is_none() || self.0.is_blocked.load(Ordering::Relaxed);
        if counts && self.0.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= INSISTS {
            end_by(signal);
        }
    }

    /// Asks for the end.
    pub(crate) fn raise(&self) {
        self.0.raised_at.get_or_init(Instant::now);
        // Where that fails the next look at the clock notices.
        let _ = self.0.wakes.write(1);
    }

    /// From now on there is something to undo: a signal asks for the end.
    pub(crate) fn prepared(&self) {
        self.0.is_preparing.store(false, Ordering::Release);
    }

    /// From now on signals are the command's. False where one came before: it asks for the end, and
    /// the command is not to be started.
    pub(crate) fn pass_on_to(&self, command: Signaller) -> bool {
        // Whoever takes a signal holds the lock: it is before this, or after.
        let mut passed_on = self.lock();
        if self.is_raised() {
            return false;
        }
        passed_on.replace(command);
        true
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.raised_at.get().is_some()
    }

    /// Becomes readable when it is raised.
    pub(crate) fn wakes(&self) -> BorrowedFd<'_> {
        self.0.wakes.as_fd()
    }

    /// The end of the run by the clock, if it has one. Output is not waited for much longer.
    pub(crate) fn until(&self, duration: Option<Duration>) -> Deadline {
        let deadline = Deadline::after(duration);
        if let Some(end) = deadline.end {
            self.0.deadline.get_or_init(|| end);
        }
        deadline
    }

    /// The main thread is about to wait for output.
    pub(crate) fn begin_waiting(&self) -> Waiting<'_> {
        if !self.is_raised() {
            self.0.unanswered.store(0, Ordering::Relaxed);
        }
        self.0.is_blocked.store(true, Ordering::Relaxed);
        Waiting {
            stop: self,
            begun: Instant::now(),
        }
    }

    /// Output was given up. The run ends now; what is left to do may be stuck as well.
    fn gave_up(&self) {
        if self.0.power != Power::OverProcess || self.lock().is_some() {
            return;
        }
        let told = self.clone();
        // Without it a third signal is needed.
        let _ = thread::Builder::new()
            .name("last moment".to_owned())
            .spawn(move || {
                thread::sleep(LAST_MOMENT);
                end_by(told.0.last.load(Ordering::Relaxed).cast_signed());
            });
    }

    /// How many signals came: one more than before, while we end, is somebody who insists.
    pub(crate) fn times_asked(&self) -> u32 {
        self.0.times_asked.load(Ordering::Relaxed)
    }

    /// Whether the output file is to be opened again; says so once.
    pub(crate) fn takes_reopening(&self) -> bool {
        self.0.reopen.swap(false, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Signaller>> {
        let command = self.0.command.lock();
        command.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait of the main thread for output that somebody else has to take.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    stop: &'a StopFlag,
    begun: Instant,
}

impl Waiting<'_> {
    /// Whether to give up: the run is to end and has waited long enough, or somebody insists.
    pub(crate) fn is_in_vain(&self) -> bool {
        let state = &self.stop.0;
        let passed = |since: Option<&Instant>| {
            since.is_some_and(|at| self.begun.max(*at).elapsed() >= GRACE)
        };
        let is_in_vain = passed(state.raised_at.get())
            || passed(state.deadline.get().filter(|end| **end <= Instant::now()))
            || state.unanswered.load(Ordering::Relaxed) >= 2;
        if is_in_vain {
            self.stop.gave_up();
        }
        is_in_vain
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.stop.0.is_blocked.store(false, Ordering::Relaxed);
    }
}

/// Lets a signal end this process as if it had never been blocked.
fn end_by(signal: i32) {
    let Ok(signal) = Signal::try_from(signal) else {
        return;
    };
    let mut set = SigSet::empty();
    set.add(signal);
    // Where that fails we go on, and the next one counts.
    let _ = set.thread_unblock().and_then(|()| raise(signal));
}

/// Whether who started us had this signal ignored, as `nohup` does.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal as u32 - 1) & 1 == 1)
}

/// The end of a run by the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    end: Option<Instant>,
}

impl Deadline {
    fn after(duration: Option<Duration>) -> Self {
        Self {
            end: duration.and_then(|duration| Instant::now().checked_add(duration)),
        }
    }

    /// How long to wait for records now; `None` when the time is up.
    pub(crate) fn wait(self) -> Option<Duration> {
        let Some(end) = self.end else {
            return Some(WAIT);
        };
        let left = end.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(WAIT))
    }
}
