// SPDX-License-Identifier: BSD-2-Clause
//! Cases of namespaces. None of them makes or enters one.

use std::fs::File;
use std::os::fd::OwnedFd;

use crate::case::Case;
use crate::sys::call;

pub(crate) const CASES: &[Case] = &[
    Case::fails(
        ("unshare-flags", "unshare"),
        libc::EINVAL,
        "ksys_unshare",
        "a namespace that there is not",
        |_| Ok(call!(libc::SYS_unshare, 1)),
    ),
    Case::fails(
        ("setns-file", "setns"),
        libc::EINVAL,
        "__x64_sys_setns",
        "a file that is no namespace",
        |scratch| {
            let file: OwnedFd = File::open(scratch.file("file")?)?.into();
            Ok(call!(libc::SYS_setns, &file, 0))
        },
    ),
    Case::fails(
        ("setns-own-user", "setns"),
        libc::EINVAL,
        "userns_install",
        "the user namespace that we are in",
        |_| {
            let file: OwnedFd = File::open("/proc/self/ns/user")?.into();
            Ok(call!(libc::SYS_setns, &file, libc::CLONE_NEWUSER))
        },
    ),
    Case::fails(
        ("pivot-root-missing", "pivot_root"),
        libc::ENOENT,
        "step_into|step_into_slowpath|link_path_walk",
        "a folder that is not there",
        |_| {
            Ok(call!(
                libc::SYS_pivot_root,
                c"/simfail/missing",
                c"/simfail/missing"
            ))
        },
    ),
    Case::fails(
        ("uid-map-initial", "write"),
        libc::EPERM,
        "proc_uid_map_write",
        "a map of users for the initial namespace",
        |_| {
            let file: OwnedFd = File::options()
                .write(true)
                .open("/proc/self/uid_map")?
                .into();
            Ok(call!(libc::SYS_write, &file, b"0 0 1", 5))
        },
    ),
];
