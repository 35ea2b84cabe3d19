// SPDX-License-Identifier: BSD-2-Clause
//! Functions that return an address or an errno in an `unsigned long`.
//!
//! C has one type for both, so BTF cannot tell them from functions that return plain numbers;
//! only functions that BTF says return an 8-byte unsigned integer are looked up here.

/// Whether an 8-byte unsigned result of this function is an errno when it is above
/// `(unsigned long)-4096`.
pub(super) fn returns_errno_as_ulong(name: &str) -> bool {
    name.contains("get_unmapped_area") || ULONG_ERRNO.contains(&name)
}

/// (besides every name with `get_unmapped_area` in it: the hook that each file system, device
/// and architecture implements to choose an address)
const ULONG_ERRNO: &[&str] = &[
    // mmap: the address of the new mapping.
    "ksys_mmap_pgoff",
    "vm_mmap",
    "vm_mmap_pgoff",
    "vm_mmap_shadow_stack",
    "do_mmap",
    "do_mmap_pgoff",
    "mmap_region",
    "__mmap_region",
    "vm_unmapped_area",
    "unmapped_area",
    "unmapped_area_topdown",
    "alloc_shstk",
    // mremap: the new address. The functions that it was split into, since 6.15 (221bf5cac5c2,
    // "mm/mremap: introduce and use vma_remap_struct threaded state"), return 0 or an errno.
    "do_mremap",
    "mremap_to",
    "mremap_at",
    "move_vma",
    "prep_move_vma",
    "shrink_vma",
    "expand_vma",
    "check_mremap_params",
    "check_prep_vma",
    "remap_is_valid",
    // exec: where a segment or the interpreter was mapped.
    "elf_map",
    "elf_load",
    "load_elf_interp",
];
