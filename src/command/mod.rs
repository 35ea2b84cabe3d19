// SPDX-License-Identifier: BSD-2-Clause
//! The command that is traced (`-- CMD`): forked before anything else is done, held before its
//! `execve` until all is attached, and then left alone. No ptrace and no SIGSTOP: it cannot tell.
//!
//! It is forked early because then nothing of ours is in it yet: no thread, no descriptor, no
//! blocked signal. (`std::process::Command` forks at the moment of starting, waits for the
//! `execve`, and resets what is to be left as it is: the signal mask.)

mod held;
mod identity;
#[allow(unsafe_code)]
mod sys;
#[cfg(test)]
mod tests;

pub use held::{Ended, Held, NotStarted, Running, Signaller};
pub use identity::{Identity, Invoker, RunAs};
pub use sys::Terminal;
