// SPDX-License-Identifier: BSD-2-Clause
//! Moving bytes between files, and pipes.

use std::fs::File;
use std::os::fd::OwnedFd;

use crate::sys::{self, call};
use crate::{Attempt, number, text, tried};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    // Source and target overlap, which the call forbids.
    ("copy-overlapping", |arguments| {
        let path = text(arguments, 0, "copy-overlapping FILE")?;
        let file = OwnedFd::from(File::options().read(true).write(true).open(path)?);
        let (from, to) = (0_i64.to_ne_bytes(), 1_i64.to_ne_bytes());
        let copied = call!(libc::SYS_copy_file_range, &file, &from, &file, &to, 4, 0);
        tried("copy_file_range", copied)
    }),
    // One of both has to be a pipe.
    ("splice-files", |arguments| {
        let usage = "splice-files FROM TO";
        let from = OwnedFd::from(File::open(text(arguments, 0, usage)?)?);
        let to = OwnedFd::from(File::create(text(arguments, 1, usage)?)?);
        tried("splice", call!(libc::SYS_splice, &from, 0, &to, 0, 4, 0))
    }),
    ("pipe-size", |arguments| {
        let mib = number(arguments, 0, "pipe-size MIB")?;
        let (reader, _writer) = sys::pipe()?;
        let size = mib << 20;
        tried(
            "fcntl",
            call!(libc::SYS_fcntl, &reader, libc::F_SETPIPE_SZ, size),
        )
    }),
    ("pipe-closed", |_| {
        let (reader, writer) = sys::pipe()?;
        drop(reader);
        tried("write", call!(libc::SYS_write, &writer, b"words", 5))
    }),
    ("pipe-seek", |_| {
        let (reader, _writer) = sys::pipe()?;
        tried("lseek", call!(libc::SYS_lseek, &reader, 0, 0))
    }),
];
