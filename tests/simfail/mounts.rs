// SPDX-License-Identifier: BSD-2-Clause
//! Cases of mounting. None of them mounts anything, for all of them fail.

use std::ffi::CStr;
use std::fs;

use crate::case::{Attempt, Case, Scratch, Trouble, c_path};
use crate::sys::call;

pub(crate) const CASES: &[Case] = &[
    Case::fails(
        ("mount-fs-type", "mount"),
        libc::ENODEV,
        "path_mount",
        "a file system that there is not",
        |scratch| mount(scratch, c"simfail-no-such-fs", c""),
    ),
    Case::fails(
        ("mount-option-value", "mount"),
        libc::EINVAL,
        "shmem_parse_one",
        "tmpfs of the size `garbage`",
        |scratch| mount(scratch, c"tmpfs", c"size=garbage"),
    ),
    Case::fails(
        ("mount-option", "mount"),
        libc::EINVAL,
        "vfs_parse_fs_param",
        "tmpfs with an option it does not know",
        |scratch| mount(scratch, c"tmpfs", c"simfail=1"),
    ),
    Case::fails(
        ("mount-no-target", "mount"),
        libc::ENOENT,
        "step_into|step_into_slowpath|link_path_walk",
        "on a folder that is not there",
        |_| {
            Ok(call!(
                libc::SYS_mount,
                c"none",
                c"/simfail/missing",
                c"tmpfs",
                0,
                c""
            ))
        },
    ),
    Case::fails(
        ("mount-overlay", "mount"),
        libc::EINVAL,
        "ovl_fill_super",
        "an overlay of nothing (in a module)",
        |scratch| {
            require_overlay()?;
            mount(scratch, c"overlay", c"")
        },
    ),
    Case::fails(
        ("mount-overlay-lower", "mount"),
        libc::ENOENT,
        "step_into|step_into_slowpath|link_path_walk",
        "an overlay of a missing folder (in a module)",
        |scratch| {
            require_overlay()?;
            mount(
                scratch,
                c"overlay",
                c"lowerdir=/simfail/missing:/simfail/other",
            )
        },
    ),
    Case::fails(
        ("umount-not-mounted", "umount"),
        libc::EINVAL,
        "path_umount",
        "a folder that nothing is mounted on",
        |scratch| {
            let target = c_path(&scratch.full_folder("full")?);
            Ok(call!(libc::SYS_umount2, target.as_c_str(), 0))
        },
    ),
    Case::fails(
        ("fsopen-fs-type", "fsopen"),
        libc::ENODEV,
        "__x64_sys_fsopen",
        "a file system that there is not",
        |_| Ok(call!(libc::SYS_fsopen, c"simfail-no-such-fs", 0)),
    ),
];

fn mount(scratch: &Scratch, fs_type: &CStr, options: &CStr) -> Attempt {
    let target = c_path(&scratch.full_folder("full")?);
    Ok(call!(
        libc::SYS_mount,
        c"none",
        target.as_c_str(),
        fs_type,
        0,
        options
    ))
}

fn require_overlay() -> Result<(), Trouble> {
    let known = fs::read_to_string("/proc/filesystems")?;
    if known.lines().any(|line| line.ends_with("\toverlay")) {
        return Ok(());
    }
    Err(Trouble::Unsupported("no overlay file system".to_owned()))
}
