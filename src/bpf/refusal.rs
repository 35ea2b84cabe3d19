// SPDX-License-Identifier: BSD-2-Clause
//! Explains errors of the kernel side to users who do not know libbpf.

use std::error::Error as StdError;
use std::{fmt, io};

use anyhow::Error;
use libbpf_rs::ErrorKind;

use super::rlimit::TooFewDescriptors;

/// Returns whether the kernel refused permission (`EPERM`, `EACCES`).
#[must_use]
pub fn is_forbidden(error: &Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<libbpf_rs::Error>())
        .any(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// The maps could not be created.
#[derive(Debug)]
pub(super) struct NoMaps(pub(super) io::Error);

impl fmt::Display for NoMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to make the BPF maps")
    }
}

impl StdError for NoMaps {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// Returns a hint that tells how to fix an error of the kernel side, if one is known.
#[must_use]
pub fn hint_of(error: &Error) -> Option<&'static str> {
    let is_limit = error
        .chain()
        .any(|cause| cause.downcast_ref::<TooFewDescriptors>().is_some());
    if is_limit {
        return Some(
            "raise it (`ulimit -n`, as root), choose fewer functions, or leave out `--backend fentry`",
        );
    }
    // Before 5.11 (d5299b67dd59, "bpf: Memcg-based memory accounting for bpf maps") the kernel
    // returns EPERM if the limit of locked memory is too low.
    let no_maps = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<NoMaps>());
    match no_maps?.0.raw_os_error()? {
        libc::EPERM => Some(
            "before 5.11 maps count as locked memory: raise that limit (`ulimit -l`, as root) or take a \
             smaller --ringbuf-size; later kernels forbid it in containers or by a security module",
        ),
        libc::ENOMEM => {
            Some("there is not enough memory: take a smaller --flight or --ringbuf-size")
        }
        _ => None,
    }
}
