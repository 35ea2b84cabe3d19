// SPDX-License-Identifier: BSD-2-Clause
//! Mappings, locked memory, sealed files.

use std::fs::File;
use std::os::fd::OwnedFd;

use crate::errno::Errno;
use crate::sys::{call, call_fd};
use crate::{Attempt, Trouble, number, text, tried};

const PAGE: i64 = 4096;
const SHARED: i32 = libc::MAP_SHARED;
const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;
const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("mmap", |arguments| {
        let mib = number(arguments, 0, "mmap MIB")?;
        tried("mmap", map(0, mib << 20, ANONYMOUS))
    }),
    ("mmap-noreplace", |_| {
        let taken = map(0, PAGE, ANONYMOUS)?;
        let flags = ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        tried("mmap", map(taken, PAGE, flags))
    }),
    ("mmap-zero", |_| {
        tried("mmap", map(0, PAGE, ANONYMOUS | libc::MAP_FIXED))
    }),
    ("mmap-hugetlb", |_| {
        tried("mmap", map(0, 2 << 20, ANONYMOUS | libc::MAP_HUGETLB))
    }),
    ("mmap-exec", |arguments| {
        let file = File::open(text(arguments, 0, "mmap-exec FILE")?)?;
        let executable = libc::PROT_READ | libc::PROT_EXEC;
        let file = OwnedFd::from(file);
        let mapped = call!(
            libc::SYS_mmap,
            0,
            PAGE,
            executable,
            libc::MAP_PRIVATE,
            &file,
            0
        );
        tried("mmap", mapped)
    }),
    ("mlock", |arguments| {
        let mib = number(arguments, 0, "mlock MIB")?;
        let at = map(0, mib << 20, ANONYMOUS)?;
        tried("mlock", call!(libc::SYS_mlock, at, mib << 20))
    }),
    ("mprotect", |arguments| {
        let file = OwnedFd::from(File::open(text(arguments, 0, "mprotect FILE")?)?);
        let at = call!(libc::SYS_mmap, 0, PAGE, libc::PROT_READ, SHARED, &file, 0)?;
        tried("mprotect", call!(libc::SYS_mprotect, at, PAGE, READ_WRITE))
    }),
    ("munmap", |_| {
        let at = map(0, PAGE, ANONYMOUS)?;
        tried("munmap", call!(libc::SYS_munmap, at + 1, PAGE))
    }),
    ("mremap", |_| {
        let at = map(0, PAGE, ANONYMOUS)?;
        call!(libc::SYS_munmap, at, PAGE)?;
        tried("mremap", call!(libc::SYS_mremap, at, PAGE, PAGE << 1, 1))
    }),
    ("memfd-write", |_| {
        let file = memfd(libc::MFD_ALLOW_SEALING)?;
        call!(
            libc::SYS_fcntl,
            &file,
            libc::F_ADD_SEALS,
            libc::F_SEAL_WRITE
        )?;
        tried("write", call!(libc::SYS_write, &file, b"words", 5))
    }),
    ("memfd-seal", |_| {
        let file = memfd(0)?;
        let sealed = call!(
            libc::SYS_fcntl,
            &file,
            libc::F_ADD_SEALS,
            libc::F_SEAL_WRITE
        );
        tried("fcntl", sealed)
    }),
    ("userfaultfd", |_| {
        tried("userfaultfd", call!(libc::SYS_userfaultfd, 0))
    }),
];

fn map(at: i64, size: i64, flags: i32) -> Result<i64, Errno> {
    call!(libc::SYS_mmap, at, size, READ_WRITE, flags, -1, 0)
}

fn memfd(flags: u32) -> Result<OwnedFd, Trouble> {
    Ok(call_fd!(libc::SYS_memfd_create, c"whyfail", flags as i32)?)
}
