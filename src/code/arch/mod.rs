// SPDX-License-Identifier: BSD-2-Clause
//! What differs between architectures in machine code: instructions, and names of what is called.
//! A file for each, with the same items; only that of the architecture that this is built for is
//! part of the program.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use self::aarch64::{
    ARGUMENTS, CLOBBERED, Loads, MAX_ENTRY_OFFSET, N_REGISTERS, NOTHING, decode, is_return_thunk,
    is_thunk, keeps_registers, register_of_thunk, translate,
};
#[cfg(target_arch = "x86_64")]
pub(super) use self::x86_64::{
    ARGUMENTS, CLOBBERED, Loads, MAX_ENTRY_OFFSET, N_REGISTERS, NOTHING, decode, is_return_thunk,
    is_thunk, keeps_registers, register_of_thunk, translate,
};
