// SPDX-License-Identifier: BSD-2-Clause
//! The end of a run: a signal, the number of sessions, or the time. Signals that are meant for the
//! command are passed on to it.
//!
//! Without a command, the crate `ctrlc` handles Ctrl-C. The other signals, and with a command all
//! of them, are blocked and read by a thread that learns who sent them: Ctrl-C comes from the
//! terminal and reaches the command directly, `kill` reaches us alone; a SIGHUP may be of a
//! terminal that was lost. The signals must be blocked before any other thread is started, because
//! a thread that did not block them would receive them, and they would kill the process or
//! interrupt its system calls.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::default_action::set_default_action;
use super::terminal::is_controlled;
use crate::command::Signaller;

/// Longest wait for records, and thus the interval of checks of the clock and of the governor.
const MAX_RECORD_WAIT: Duration = Duration::from_millis(100);

/// How long to wait for output that nobody reads once the run is to end.
const MAX_OUTPUT_WAIT: Duration = Duration::from_millis(400);

/// How long the rest of the end may take after output was given up, because stderr may block too.
const MAX_EXIT_TIME: Duration = Duration::from_millis(400);

/// After this many signals without effect the process ends at once.
const MAX_IGNORED_SIGNALS: u32 = 3;

/// The `si_code` of a signal that the kernel itself sent.
const SI_KERNEL: i32 = 0x80;

/// What SIGHUP means if there is no command to pass it on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// It ends the run.
    Ends,
    /// It opens the output file again.
    Reopens,
}

/// What SIGUSR1 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserSignal {
    /// What it means to every process: it ends it.
    Ends,
    /// The flight recorder is written out.
    Dumps,
}

/// Whether the flag may end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    OverProcess,
    /// Tests must not end it.
    #[cfg(test)]
    None,
}

/// Raised by SIGINT, SIGTERM and SIGHUP, unless there is a command to pass them on to.
#[derive(Clone, Debug)]
pub(crate) struct StopFlag(Arc<StopState>);

#[derive(Debug)]
struct StopState {
    hangup: Hangup,
    power: Power,
    /// True while nothing is attached: signals have their default action then.
    is_preparing: AtomicBool,
    raised_at: OnceLock<Instant>,
    /// When `--duration` ends the run.
    deadline: OnceLock<Instant>,
    /// Becomes readable when the flag is raised, which ends the wait for records.
    wakes: EventFd,
    times_asked: AtomicU32,
    /// Number of signals that came while the main thread could not act on them.
    unanswered: AtomicU32,
    /// Whether the main thread waits for output.
    is_blocked: AtomicBool,
    /// Number of the last signal that came.
    last: AtomicU32,
    reopen: AtomicBool,
    /// Whether SIGUSR1 came since it was last asked for.
    dump: AtomicBool,
    /// Whether there was a controlling terminal at the start. If it is gone later, it was lost.
    had_terminal: bool,
    command: Mutex<Option<Signaller>>,
}

impl StopFlag {
    fn new(hangup: Hangup, power: Power) -> Result<Self> {
        Ok(Self(Arc::new(StopState {
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
            dump: AtomicBool::new(false),
            had_terminal: is_controlled() == Some(true),
            command: Mutex::new(None),
        })))
    }

    /// Creates a flag that handles no signals.
    #[cfg(test)]
    pub(crate) fn of_test(hangup: Hangup) -> Self {
        Self::new(hangup, Power::None).expect("an event descriptor can be made")
    }

    /// Takes over the signals. Call it while the process has one thread and after the command was
    /// forked, because child processes inherit blocked signals.
    pub(crate) fn on_signals(
        hangup: Hangup,
        user_signal: UserSignal,
        has_command: bool,
    ) -> Result<Self> {
        let flag = Self::new(hangup, Power::OverProcess)?;
        let mut taken = SigSet::empty();
        taken.add(Signal::SIGTERM);
        if has_command {
            taken.add(Signal::SIGINT);
            taken.add(Signal::SIGQUIT);
        }
        if user_signal == UserSignal::Dumps {
            taken.add(Signal::SIGUSR1);
        }
        if !is_ignored(Signal::SIGHUP) {
            taken.add(Signal::SIGHUP);
        }
        taken.thread_block().context("failed to block signals")?;
        if !has_command {
            flag.handle_ctrl_c()?;
        }
        let signals = SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC)
            .context("failed to handle signals")?;
        let told = flag.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                while let Ok(Some(signal)) = signals.read_signal() {
                    told.take(signal.ssi_signo.cast_signed(), signal.ssi_code);
                }
            })
            .context("failed to start a thread")?;
        Ok(flag)
    }

    /// Handles SIGINT with a thread of `ctrlc`. That thread starts before SIGINT is blocked, so it
    /// is the one that gets it. All other signals must be blocked before.
    fn handle_ctrl_c(&self) -> Result<()> {
        let told = self.clone();
        ctrlc::set_handler(move || told.take(Signal::SIGINT as i32, SI_KERNEL))
            .context("failed to handle Ctrl-C")?;
        let mut interrupt = SigSet::empty();
        interrupt.add(Signal::SIGINT);
        interrupt.thread_block().context("failed to block signals")
    }

    /// Acts on a signal. `code` is its `si_code`, which says who sent it.
    fn take(&self, signal: i32, code: i32) {
        if signal == Signal::SIGUSR1 as i32 {
            self.0.dump.store(true, Ordering::Relaxed);
            return;
        }
        self.0.times_asked.fetch_add(1, Ordering::Relaxed);
        self.0.last.store(signal.cast_unsigned(), Ordering::Relaxed);
        let command = self.lock();
        if signal == Signal::SIGHUP as i32 && self.means_reopening(code) {
            // This SIGHUP is for us alone; it would kill the command.
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
        // The kernel sends its signals (`SI_KERNEL`) to the terminal's whole process group, so the
        // command has received them.
        if let Some(command) = &*command
            && (code <= 0 || command.has_left_terminal())
        {
            command.send(signal);
        }
    }

    /// Returns true if a SIGHUP means the output file. A SIGHUP of a lost terminal always ends the
    /// run. The kernel removes the terminal before it sends that signal, or marks the signal as its
    /// own if the session leader has exited.
    fn means_reopening(&self, code: i32) -> bool {
        let is_lost = self.0.had_terminal && is_controlled() == Some(false);
        self.0.hangup == Hangup::Reopens && code != SI_KERNEL && !is_lost
    }

    /// Ends the process at the third signal that had no effect. The kernel then closes the links,
    /// and the guardian removes the probes. Signals that are passed on to a command do not count,
    /// because it may handle many of them.
    fn insist(&self, signal: i32, command: Option<&Signaller>) {
        let counts = command.is_none() || self.0.is_blocked.load(Ordering::Relaxed);
        if counts && self.0.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_IGNORED_SIGNALS {
            end_by(signal);
        }
    }

    /// Raises the flag: the run ends.
    pub(crate) fn raise(&self) {
        self.0.raised_at.get_or_init(Instant::now);
        // If this fails, the next check of the clock notices the flag.
        let _ = self.0.wakes.write(1);
    }

    /// From now on there is something to undo, so a signal raises the flag.
    pub(crate) fn prepared(&self) {
        self.0.is_preparing.store(false, Ordering::Release);
    }

    /// From now on signals are passed on to the command. Returns false if a signal came before: the
    /// run ends, and the command must not be started.
    pub(crate) fn pass_on_to(&self, command: Signaller) -> bool {
        // The thread that takes a signal holds the lock, so a signal comes either before or after
        // this.
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

    /// Returns a descriptor that becomes readable when the flag is raised.
    pub(crate) fn wakes(&self) -> BorrowedFd<'_> {
        self.0.wakes.as_fd()
    }

    /// Starts the time of `--duration`, if there is one. Output is not waited for much longer.
    pub(crate) fn until(&self, duration: Option<Duration>) -> Deadline {
        let deadline = Deadline::after(duration);
        if let Some(end) = deadline.end {
            self.0.deadline.get_or_init(|| end);
        }
        deadline
    }

    /// Marks the main thread as waiting for output, until the result is dropped.
    pub(crate) fn begin_waiting(&self) -> OutputWait<'_> {
        if !self.is_raised() {
            self.0.unanswered.store(0, Ordering::Relaxed);
        }
        self.0.is_blocked.store(true, Ordering::Relaxed);
        OutputWait {
            stop: self,
            begun: Instant::now(),
        }
    }

    /// Starts a thread that ends the process after [`MAX_EXIT_TIME`]. Output was given up, and the
    /// rest of the end may block as well.
    fn gave_up(&self) {
        if self.0.power != Power::OverProcess || self.lock().is_some() {
            return;
        }
        let told = self.clone();
        // Without this thread, a third signal is needed.
        let _ = thread::Builder::new()
            .name("last moment".to_owned())
            .spawn(move || {
                thread::sleep(MAX_EXIT_TIME);
                end_by(told.0.last.load(Ordering::Relaxed).cast_signed());
            });
    }

    /// Returns the number of signals so far. If it increases while we end, the user insists.
    pub(crate) fn times_asked(&self) -> u32 {
        self.0.times_asked.load(Ordering::Relaxed)
    }

    /// Returns true once after a request to reopen the output file.
    pub(crate) fn takes_reopening(&self) -> bool {
        self.0.reopen.swap(false, Ordering::Relaxed)
    }

    /// Returns true once after a request to write out the flight recorder.
    pub(crate) fn takes_dump(&self) -> bool {
        self.0.dump.swap(false, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Signaller>> {
        let command = self.0.command.lock();
        command.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait of the main thread for output.
#[derive(Debug)]
pub(crate) struct OutputWait<'a> {
    stop: &'a StopFlag,
    begun: Instant,
}

impl OutputWait<'_> {
    /// Returns true if the wait must be given up: the run is to end and [`MAX_OUTPUT_WAIT`] is
    /// over, or the user sent several signals.
    pub(crate) fn is_in_vain(&self) -> bool {
        let state = &self.stop.0;
        let passed = |since: Option<&Instant>| {
            since.is_some_and(|at| self.begun.max(*at).elapsed() >= MAX_OUTPUT_WAIT)
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

impl Drop for OutputWait<'_> {
    fn drop(&mut self) {
        self.stop.0.is_blocked.store(false, Ordering::Relaxed);
    }
}

/// Ends this process by a signal, as if it had never been blocked.
fn end_by(signal: i32) {
    let Ok(signal) = Signal::try_from(signal) else {
        return;
    };
    set_default_action(signal);
    let mut set = SigSet::empty();
    set.add(signal);
    // If this fails, the process continues and the next signal counts.
    let _ = set.thread_unblock().and_then(|()| raise(signal));
}

/// Returns true if our parent process had this signal ignored, as `nohup` does.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal as u32 - 1) & 1 == 1)
}

/// The time at which a run ends, if there is one.
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

    /// Returns how long to wait for records; `None` when the time is up.
    pub(crate) fn wait(self) -> Option<Duration> {
        let Some(end) = self.end else {
            return Some(MAX_RECORD_WAIT);
        };
        let left = end.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(MAX_RECORD_WAIT))
    }
}
