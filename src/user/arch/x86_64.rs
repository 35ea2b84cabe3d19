// SPDX-License-Identifier: BSD-2-Clause
//! x86-64: identification of executables and libraries.

use object::elf::{self, Machine};

/// The architecture of an ELF file.
pub(in crate::user) const MACHINE: Machine = elf::EM_X86_64;

/// `FLAG_X8664_LIB64` of glibc: the architecture in an entry of `ld.so.cache`.
pub(in crate::user) const LD_CACHE_FLAG: u32 = 0x0300;

/// Where Debian has libraries of this architecture, below `/lib` and `/usr/lib`.
pub(in crate::user) const LIBRARY_DIRECTORY: &str = "x86_64-linux-gnu";
