// SPDX-License-Identifier: BSD-2-Clause
//! The kernel functions of system calls, and failures that mean nothing.

/// System calls whose function has another name. The old ones of the same name have other structs.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("stat", "newstat"),
    ("fstat", "newfstat"),
    ("lstat", "newlstat"),
    ("uname", "newuname"),
    ("umount2", "umount"),
    ("sendfile", "sendfile64"),
];

/// Failures that happen in programs that work.
const HARMLESS: &[(&str, i32)] = &[
    // The C library asks for features of the processor that the kernel does not have.
    ("arch_prctl", libc::EINVAL),
    // It asks whether a descriptor is a terminal.
    ("ioctl", libc::ENOTTY),
];

/// Returns what the name of the system call's function ends with: `newstat` of `__x64_sys_newstat`.
pub(crate) fn function_name(call: &str) -> &str {
    let other = OTHER_NAMES.iter().find(|(name, _)| *name == call);
    other.map_or(call, |(_, function)| function)
}

/// Returns true if programs that work have this failure, too.
pub(crate) fn is_harmless(call: &str, errno: u16) -> bool {
    HARMLESS.contains(&(call, errno.into()))
}
