// SPDX-License-Identifier: BSD-2-Clause
//! What differs between architectures in attaching.
//! A file for each, with the same items; only that of the architecture that this is built for is
//! part of the program.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use self::aarch64::{FURTHEST_PROBE, REGISTER_ARGS};
#[cfg(target_arch = "x86_64")]
pub(super) use self::x86_64::{FURTHEST_PROBE, REGISTER_ARGS};
