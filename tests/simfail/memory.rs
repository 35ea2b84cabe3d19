// SPDX-License-Identifier: BSD-2-Clause
//! Cases of memory mappings.

use libc::{MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ};

use crate::case::Case;
use crate::sys::call;

/// Nothing is mapped here: it lies below every program, and above what is never given out.
const UNMAPPED: usize = 0x20000;
const PAGE: usize = 4096;
const ANONYMOUS: i32 = MAP_PRIVATE | MAP_ANONYMOUS;

pub(crate) const CASES: &[Case] = &[
    Case::fails(
        ("mmap-empty", "mmap"),
        libc::EINVAL,
        "do_mmap",
        "a mapping of no bytes",
        |_| Ok(call!(libc::SYS_mmap, 0, 0, PROT_READ, ANONYMOUS, -1, 0)),
    ),
    Case::fails(
        ("mmap-huge", "mmap"),
        libc::ENOMEM,
        "get_unmapped_area|__get_unmapped_area",
        "a mapping larger than the address space",
        |_| {
            Ok(call!(
                libc::SYS_mmap,
                0,
                1_i64 << 62,
                PROT_READ,
                ANONYMOUS,
                -1,
                0
            ))
        },
    ),
    Case::fails(
        ("mmap-bad-fd", "mmap"),
        libc::EBADF,
        "ksys_mmap_pgoff",
        "a file that is not open",
        |_| {
            Ok(call!(
                libc::SYS_mmap,
                0,
                PAGE,
                PROT_READ,
                MAP_PRIVATE,
                9999,
                0
            ))
        },
    ),
    Case::fails(
        ("munmap-unaligned", "munmap"),
        libc::EINVAL,
        "__do_munmap|do_mas_munmap|do_vmi_munmap",
        "from the middle of a page",
        |_| Ok(call!(libc::SYS_munmap, UNMAPPED + 1, PAGE)),
    ),
    Case::fails(
        ("mprotect-unmapped", "mprotect"),
        libc::ENOMEM,
        "do_mprotect_pkey",
        "where nothing is mapped",
        |_| Ok(call!(libc::SYS_mprotect, UNMAPPED, PAGE, PROT_READ)),
    ),
    Case::fails(
        ("mremap-unmapped", "mremap"),
        libc::EFAULT,
        "vma_to_resize|__x64_sys_mremap|check_prep_vma",
        "where nothing is mapped",
        |_| Ok(call!(libc::SYS_mremap, UNMAPPED, PAGE, 2 * PAGE, 0)),
    ),
    Case::fails(
        ("madvise-advice", "madvise"),
        libc::EINVAL,
        "__x64_sys_madvise|do_madvise",
        "advice that there is not",
        |_| Ok(call!(libc::SYS_madvise, UNMAPPED, PAGE, 9999)),
    ),
    Case::fails(
        ("mlock-unmapped", "mlock"),
        libc::ENOMEM,
        "apply_vma_lock_flags",
        "where nothing is mapped",
        |_| Ok(call!(libc::SYS_mlock, UNMAPPED, PAGE)),
    ),
    Case::fails(
        ("memfd-flags", "memfd_create"),
        libc::EINVAL,
        "__x64_sys_memfd_create",
        "flags that there are not",
        |_| Ok(call!(libc::SYS_memfd_create, c"simfail", 0x8000_i32)),
    ),
];
