// SPDX-License-Identifier: BSD-2-Clause
//! What an error of the kernel side was about, for those who do not know libbpf.

use anyhow::Error;
use libbpf_rs::ErrorKind;

/// Whether the kernel forbade it (`EPERM`, `EACCES`).
#[must_use]
pub fn is_forbidden(error: &Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<libbpf_rs::Error>())
        .any(|error| error.kind() == ErrorKind::PermissionDenied)
}
