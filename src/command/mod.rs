// SPDX-License-Identifier: BSD-2-Clause
//! The command that is traced (`-- CMD`). It is forked before anything else is done, held before
//! its `execve` until all programs are attached, and then runs undisturbed. Neither ptrace nor
//! SIGSTOP is used, so that the command cannot notice.
//!
//! It is forked early, so that it inherits nothing of ours: no thread, no descriptor, no blocked
//! signal. `std::process::Command` is not used, because it forks when the command starts, waits for
//! the `execve`, and resets the signal mask, which must be kept.

mod held;
mod identity;
#[allow(unsafe_code)]
mod sys;
#[cfg(test)]
mod tests;

pub use held::{CommandEnd, Held, NotStarted, Running, Signaller};
pub use identity::{Invoker, RequestedUser, UserIdentity};
pub use sys::Terminal;
