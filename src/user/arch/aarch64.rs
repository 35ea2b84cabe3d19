// SPDX-License-Identifier: BSD-2-Clause
//! arm64: identification of executables and libraries. USDT arguments are not read. This file is
//! type-checked (`scripts/check-arm64`), and nothing of it was run.

use object::elf::{self, Machine};

use crate::spec::{ArgumentPlace, Register};
use crate::user::errno::ErrnoCode;

/// The architecture of an ELF file.
pub(in crate::user) const MACHINE: Machine = elf::EM_AARCH64;

/// `FLAG_AARCH64_LIB64` of glibc: the architecture in an entry of `ld.so.cache`.
pub(in crate::user) const LD_CACHE_FLAG: u32 = 0x0a00;

/// Where Debian has libraries of this architecture, below `/lib` and `/usr/lib`.
pub(in crate::user) const LIBRARY_DIRECTORY: &str = "aarch64-linux-gnu";

/// The file with the directories in which musl's loader looks for libraries.
pub(in crate::user) const MUSL_PATHS: &str = "/etc/ld-musl-aarch64.path";

/// A call leaves its return address in a register.
pub(in crate::user) const RETURN_ADDRESS_SIZE: i64 = 0;

/// Returns no register: sessions of USDT probes end at other probes only.
pub(in crate::user) fn dwarf_register(_number: gimli::Register) -> Option<Register> {
    None
}

/// Returns whether a register is the stack pointer.
pub(in crate::user) fn is_stack_pointer(number: gimli::Register) -> bool {
    number == gimli::AArch64::SP
}

/// Returns no place: operands are not parsed.
pub(in crate::user) fn argument_place(
    _operand: &str,
    _distance: &dyn Fn(&str) -> Option<i64>,
) -> Option<ArgumentPlace> {
    None
}

/// The code of `__errno_location` is not known yet.
pub(in crate::user) fn errno_code(_: &[u8]) -> Option<ErrnoCode> {
    None
}
