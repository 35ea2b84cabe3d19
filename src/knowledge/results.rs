// SPDX-License-Identifier: BSD-2-Clause
//! Functions whose results BTF does not describe.

/// The function that runs the seccomp filters of a task for a system call.
pub(crate) const SECCOMP_FILTERS: &str = "__seccomp_filter";

/// Functions that return an address or a negative errno as `unsigned long`. Also treated like this
/// is every name that contains `get_unmapped_area`: the hook of file systems, devices and
/// architectures that chooses an address.
pub(crate) const ULONG_ERRNO: &[&str] = &[
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
    // exec: the address at which a segment or the interpreter was mapped.
    "elf_map",
    "elf_load",
    "load_elf_interp",
];
