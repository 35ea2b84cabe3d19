// SPDX-License-Identifier: BSD-2-Clause
//! What differs between architectures in files with user functions.
//! A file for each, with the same items; only that of the architecture that this is built for is
//! part of the program.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use self::aarch64::{
    LD_CACHE_FLAG, LIBRARY_DIRECTORY, MACHINE, MUSL_PATHS, RETURN_ADDRESS_SIZE, argument_place,
    dwarf_register, errno_code, is_stack_pointer,
};
#[cfg(target_arch = "x86_64")]
pub(super) use self::x86_64::{
    LD_CACHE_FLAG, LIBRARY_DIRECTORY, MACHINE, MUSL_PATHS, RETURN_ADDRESS_SIZE, argument_place,
    dwarf_register, errno_code, is_stack_pointer,
};
