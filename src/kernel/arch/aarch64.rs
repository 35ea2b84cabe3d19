// SPDX-License-Identifier: BSD-2-Clause
//! arm64: identification of images, patch sites, limits of trampolines, boot images. This file is
//! type-checked (`scripts/check-arm64`), and nothing of it was run.

use std::fs::File;
use std::io;

use object::Architecture;
use object::elf::{self, Machine};

use crate::kernel::images::bytes_at;
use crate::kernel::traceable::PatchSite;
use crate::kernel::version::KernelVersion;
use crate::spec::Addr;

/// The architecture of an object file.
pub(in crate::kernel) const ARCHITECTURE: Architecture = Architecture::Aarch64;

/// The same, as an ELF file has it.
pub(in crate::kernel) const MACHINE: Machine = elf::EM_AARCH64;

/// The symbol that VMCOREINFO has for `swapper_pg_dir`.
pub(in crate::kernel) const PAGE_TABLE: &str = "swapper_pg_dir";

/// Number of bytes from a function's start that [`patch_site`] needs: a landing pad, and the two
/// instructions of `-fpatchable-function-entry`.
pub(in crate::kernel) const PATCH_REACH: usize = 3 * INSN;

/// Size of an instruction in bytes.
const INSN: usize = 4;

/// `bti c` and `bti jc`. (`paciasp` is a landing pad, too, but the compiler puts it after the patch
/// site.)
const PADS: [u32; 2] = [0xd503_245f, 0xd503_24df];

const NOP: u32 = 0xd503_201f;

/// `mov x9, x30`, with which the kernel replaces the first NOP of each patch site at boot.
const SAVE_RETURN_ADDRESS: u32 = 0xaa1e_03e9;

/// The opcode of `bl` is in the upper six bits, the distance in instructions below.
const BL: u32 = 0b10_0101;
const BL_SHIFT: u32 = 26;

/// See [`PatchSite::find`]. Functions do not jump to trampolines.
pub(in crate::kernel) fn patch_site(addr: Addr, bytes: &[u8; PATCH_REACH]) -> Option<PatchSite> {
    let insn = |index: usize| {
        let bytes = bytes.get(INSN * index..INSN * (index + 1))?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let first = usize::from(PADS.contains(&insn(0)?));
    if ![NOP, SAVE_RETURN_ADDRESS].contains(&insn(first)?) {
        return None;
    }
    match insn(first + 1)? {
        NOP => Some(PatchSite::Nop),
        call if call >> BL_SHIFT == BL => {
            let distance = i64::from((call << (32 - BL_SHIFT)).cast_signed() >> (32 - BL_SHIFT));
            let site = addr.0.wrapping_add((INSN * (first + 1)) as u64);
            let target = site.wrapping_add_signed(distance * INSN as i64);
            Some(PatchSite::Call(Addr(target)))
        }
        _ => None,
    }
}

/// Maximum number of argument slots of a trampoline: those of the registers. Later kernels may save
/// more.
pub(in crate::kernel) fn max_arg_slots(_version: KernelVersion) -> u16 {
    8
}

/// Offset and value of the magic number of a boot image (`Documentation/arch/arm64/booting.rst`).
const BOOT_MAGIC: (u64, &[u8]) = (0x38, b"ARM\x64");

/// Returns offset and length of the compressed kernel in a boot image; `None` if the file is no
/// such image. Boot images of arm64 are not compressed, or as a whole.
///
/// # Errors
///
/// When the file cannot be read, or is a boot image: it has no symbols.
pub(in crate::kernel) fn packed_kernel(file: &mut File) -> io::Result<Option<(u64, u64)>> {
    let (place, magic) = BOOT_MAGIC;
    if bytes_at::<4>(file, place)? == *magic {
        return Err(io::Error::other(
            "it is a boot image, which has no symbols (vmlinux has)",
        ));
    }
    Ok(None)
}
