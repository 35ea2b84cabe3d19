// SPDX-License-Identifier: BSD-2-Clause
//! What an error of the kernel side was about, for those who do not know libbpf.

use anyhow::Error;
use libbpf_rs::ErrorKind;

use super::rlimit::TooFewDescriptors;

/// Whether the kernel forbade it (`EPERM`, `EACCES`).
#[must_use]
pub fn is_forbidden(error: &Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<libbpf_rs::Error>())
        .any(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// What to do about an error of the kernel side, where that is known.
#[must_use]
pub fn hint_of(error: &Error) -> Option<&'static str> {
    let is_limit = error
        .chain()
        .any(|cause| cause.downcast_ref::<TooFewDescriptors>().is_some());
    is_limit.then_some(
        "raise it (`ulimit -n`, as root), choose fewer functions, or leave out `--backend fentry`",
    )
}
