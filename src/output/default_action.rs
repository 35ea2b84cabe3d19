// SPDX-License-Identifier: BSD-2-Clause
//! Gives a signal its default action back, so that it ends this process.

use nix::sys::signal::{SigHandler, Signal, signal};

/// Sets the default action of a signal. If that fails, the handler stays.
pub(super) fn set_default_action(number: Signal) {
    // SAFETY: the default action runs no code of ours. The old handler is not called by us.
    let _ = unsafe { signal(number, SigHandler::SigDfl) };
}
