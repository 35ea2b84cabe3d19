// SPDX-License-Identifier: BSD-2-Clause
//! Words of well-known programs for errnos, where they are not those of `strerror()`. All are in lower
//! case.

/// Words, and the names of the errnos that they may stand for.
pub(crate) const COMPLAINTS: &[(&str, &[&str])] = &[
    // mount(8) of util-linux.
    (
        "wrong fs type, bad option, bad superblock",
        &["EINVAL", "ENODEV"],
    ),
    ("unknown filesystem type", &["ENODEV", "EINVAL"]),
    ("already mounted or mount point busy", &["EBUSY"]),
    ("mount point is busy", &["EBUSY"]),
    ("mount point not mounted or bad option", &["EINVAL"]),
    ("mount point does not exist", &["ENOENT"]),
    ("not mounted", &["EINVAL"]),
    ("target is busy", &["EBUSY"]),
    ("is write-protected", &["EROFS", "EACCES"]),
    ("must be superuser", &["EPERM"]),
    // It means `EACCES`, too, but that has this text already.
    ("permission denied", &["EPERM"]),
    ("can't read superblock", &["EIO", "EINVAL"]),
    // Shells.
    ("cannot execute: required file not found", &["ENOENT"]),
    ("command not found", &["ENOENT"]),
    (": not found", &["ENOENT"]),
    ("cannot fork", &["EAGAIN", "ENOMEM"]),
    // Loaders, interpreters and tools.
    ("out of memory", &["ENOMEM"]),
    ("are the same file", &["EINVAL"]),
    ("no more loop devices", &["EBUSY", "ENXIO"]),
    ("unknown symbol", &["ENOENT"]),
    ("invalid module format", &["ENOEXEC"]),
];
