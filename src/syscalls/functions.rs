// SPDX-License-Identifier: BSD-2-Clause
//! The kernel functions of system calls.

/// System calls whose function has another name. The old ones of the same name have other structs.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("stat", "newstat"),
    ("fstat", "newfstat"),
    ("lstat", "newlstat"),
    ("uname", "newuname"),
    ("umount2", "umount"),
    ("sendfile", "sendfile64"),
];

/// Returns what the name of the system call's function ends with: `newstat` of `__x64_sys_newstat`.
pub(crate) fn function_name(call: &str) -> &str {
    let other = OTHER_NAMES.iter().find(|(name, _)| *name == call);
    other.map_or(call, |(_, function)| function)
}
