// SPDX-License-Identifier: BSD-2-Clause
//! Names of functions that differ between architectures: a file for each, with the same items.
//!
//! All of them are part of the program, because a recording may come from another machine, and no
//! name means something else on another architecture.

mod aarch64;
mod x86_64;

#[cfg(target_arch = "aarch64")]
use self::aarch64 as own;
#[cfg(target_arch = "x86_64")]
use self::x86_64 as own;

/// The function of a system call of the architecture that this program is built for. It is called
/// seldom, and is there wherever BPF programs are.
pub(crate) const SELDOM_CALLED: &str = own::SELDOM_CALLED;

/// What names in the system call tables begin with.
pub(crate) const SYSTEM_CALLS: [&[&str]; 2] = [x86_64::SYSTEM_CALLS, aarch64::SYSTEM_CALLS];

/// What the less welcome one begins with where two system call tables have the same function.
pub(crate) const SYSTEM_CALL_ALIAS: &str = x86_64::SYSTEM_CALL_ALIAS;

/// Functions that never return.
pub(crate) const NO_RETURN: [&[&str]; 2] = [x86_64::NO_RETURN, aarch64::NO_RETURN];

/// Prefixes of the entry functions of interrupts and exceptions.
pub(crate) const INTERRUPTS: [&[&str]; 2] = [x86_64::INTERRUPTS, aarch64::INTERRUPTS];

/// Largest offset, in bytes, of the return address of a trampoline call in its function.
pub(crate) const PATCHED_CALL_END: u64 = if x86_64::PATCHED_CALL_END > aarch64::PATCHED_CALL_END {
    x86_64::PATCHED_CALL_END
} else {
    aarch64::PATCHED_CALL_END
};
