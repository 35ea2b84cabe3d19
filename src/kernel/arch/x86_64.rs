// SPDX-License-Identifier: BSD-2-Clause
//! x86-64: identification of images, patch sites, limits of trampolines, boot images.

use std::fs::File;
use std::io;

use object::Architecture;
use object::elf::{self, Machine};

use crate::kernel::images::bytes_at;
use crate::kernel::traceable::PatchSite;
use crate::kernel::version::KernelVersion;
use crate::spec::Addr;

/// The architecture of an object file.
pub(in crate::kernel) const ARCHITECTURE: Architecture = Architecture::X86_64;

/// The same, as an ELF file has it.
pub(in crate::kernel) const MACHINE: Machine = elf::EM_X86_64;

/// The symbol that VMCOREINFO has for `swapper_pg_dir`.
pub(in crate::kernel) const PAGE_TABLE: &str = "init_top_pgt";

/// Number of bytes from a function's start that [`patch_site`] needs: `endbr64` and a call.
pub(in crate::kernel) const PATCH_REACH: usize = 4 + PATCHED;

/// Size of the instruction that is patched, in bytes.
const PATCHED: usize = 5;

/// `endbr64`, or the replacement of one that the kernel does not need: since 5.18 (ed53a0d97192,
/// "x86/alternative: Use `.ibt_endbr_seal` to seal indirect calls") `osp nop3`, since 6.15
/// (c4239a72a29d, "x86/ibt: Clean up `poison_endbr()`") a four-byte NOP with an operand of its own,
/// `nopl -42(%rax)`.
const PADS: [&[u8]; 3] = [
    &[0xf3, 0x0f, 0x1e, 0xfa],
    &[0x66, 0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40],
];

/// Kernels before 5.13 (a89dfde3dc3c, "x86: Remove dynamic NOP selection") use the second one on
/// some processors.
const NOPS: [[u8; PATCHED]; 2] = [[0x0f, 0x1f, 0x44, 0, 0], [0x66, 0x66, 0x66, 0x66, 0x90]];

/// See [`PatchSite::find`].
pub(in crate::kernel) fn patch_site(addr: Addr, bytes: &[u8; PATCH_REACH]) -> Option<PatchSite> {
    let has_pad = PADS.iter().any(|pad| bytes.starts_with(pad));
    let start = if has_pad { 4 } else { 0 };
    let site: [u8; PATCHED] = bytes.get(start..start + PATCHED)?.try_into().ok()?;
    if NOPS.contains(&site) {
        return Some(PatchSite::Nop);
    }
    let [opcode, displacement @ ..] = site;
    match opcode {
        0xe8 | 0xe9 => {
            let behind = addr.0.wrapping_add((start + PATCHED) as u64);
            let displacement = i32::from_le_bytes(displacement);
            let target = Addr(behind.wrapping_add_signed(displacement.into()));
            Some(if opcode == 0xe8 {
                PatchSite::Call(target)
            } else {
                PatchSite::Jump(target)
            })
        }
        // The kernel writes `int3` first and replaces it last. Freed start-up code is full of it.
        0xcc if displacement != [0xcc; 4] => Some(PatchSite::Changing),
        _ => None,
    }
}

/// Maximum number of argument slots of a trampoline.
pub(in crate::kernel) fn max_arg_slots(version: KernelVersion) -> u16 {
    // 12 since 6.6 (473e3150e30a, "bpf, x86: allow function arguments up to 12 for TRACING"). No
    // symbol or type shows it, so the version decides.
    if version >= (KernelVersion { major: 6, minor: 6 }) {
        12
    } else {
        6
    }
}

/// Offsets in a boot image (`Documentation/arch/x86/boot.rst`).
const BOOT_MAGIC: (u64, &[u8]) = (0x202, b"HdrS");
const SETUP_SECTORS: u64 = 0x1f1;
const PAYLOAD_OFFSET: u64 = 0x248;
const SECTOR_SIZE: u64 = 512;

/// Returns offset and length of the compressed kernel in a boot image; `None` if the file is no
/// boot image.
///
/// # Errors
///
/// When it cannot be read.
pub(in crate::kernel) fn packed_kernel(file: &mut File) -> io::Result<Option<(u64, u64)>> {
    let (place, magic) = BOOT_MAGIC;
    if bytes_at::<4>(file, place)? != *magic {
        return Ok(None);
    }
    let [sectors] = bytes_at(file, SETUP_SECTORS)?;
    // 0 means 4, for historical reasons.
    let sectors = if sectors == 0 { 4 } else { u64::from(sectors) };
    let offset = u32::from_le_bytes(bytes_at(file, PAYLOAD_OFFSET)?);
    let length = u32::from_le_bytes(bytes_at(file, PAYLOAD_OFFSET + 4)?);
    let start = (sectors + 1) * SECTOR_SIZE + u64::from(offset);
    Ok(Some((start, length.into())))
}

#[cfg(test)]
mod tests {
    use super::{Addr, PatchSite};

    #[test]
    fn a_patch_site_is_found_with_and_without_a_landing_pad() {
        let find = |bytes: [u8; 9]| PatchSite::find(Addr(0x1000), &bytes);
        let behind_pad = |site: [u8; 5]| {
            let mut bytes = [0xf3, 0x0f, 0x1e, 0xfa, 0, 0, 0, 0, 0];
            bytes[4..].copy_from_slice(&site);
            find(bytes)
        };
        let nop = [0x0f, 0x1f, 0x44, 0, 0];
        assert_eq!(behind_pad(nop), Some(PatchSite::Nop));
        assert_eq!(
            find([0x0f, 0x1f, 0x44, 0, 0, 0x55, 0x48, 0x89, 0xe5]),
            Some(PatchSite::Nop)
        );
        assert_eq!(
            find([0x66, 0x0f, 0x1f, 0, 0x0f, 0x1f, 0x44, 0, 0]),
            Some(PatchSite::Nop)
        );
        assert_eq!(
            behind_pad([0xe8, 0xf7, 0xff, 0xff, 0xff]),
            Some(PatchSite::Call(Addr(0x1000)))
        );
        assert_eq!(
            behind_pad([0xe9, 0xf7, 0xff, 0xff, 0xff]),
            Some(PatchSite::Jump(Addr(0x1000)))
        );
        assert_eq!(
            behind_pad([0xcc, 0x1f, 0x44, 0, 0]),
            Some(PatchSite::Changing)
        );
        assert_eq!(behind_pad([0x55, 0x48, 0x89, 0xe5, 0x53]), None);
        assert_eq!(find([0xcc; 9]), None);
    }
}
