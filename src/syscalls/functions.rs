// SPDX-License-Identifier: BSD-2-Clause
//! The kernel functions of system calls.

use super::{Abi, numbers};

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

/// Returns the table and the name of the system call that a kernel function is for; `None` if it is for
/// none.
pub(crate) fn call_of_function(function: &str) -> Option<(Abi, &'static str)> {
    let (prefix, rest) = function.split_once("_sys_")?;
    let abi = if prefix.contains("ia32") {
        Abi::Compat
    } else {
        Abi::Native
    };
    let mut calls = numbers::names(abi);
    let (_, call) = calls.find(|(_, call)| function_name(call) == rest)?;
    Some((abi, call))
}

/// Returns the number of the system call whose entry a kernel function is, in the kernel's own table;
/// `None` if it is the entry of none.
pub(crate) fn number_of_function(function: &str) -> Option<u32> {
    let (prefix, rest) = function.split_once("_sys_")?;
    if !matches!(prefix, "__x64" | "__arm64") {
        return None;
    }
    let mut calls = numbers::names(Abi::Native);
    let (number, _) = calls.find(|(_, call)| function_name(call) == rest)?;
    u32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_numbers_of_their_calls() {
        let openat = numbers::names(Abi::Native).find(|(_, call)| *call == "openat");
        let openat = openat.map(|(number, _)| number as u32);
        assert_eq!(number_of_function("__x64_sys_openat"), openat);
        assert_eq!(number_of_function("__arm64_sys_openat"), openat);
        for other in [
            "__ia32_sys_openat",
            "__do_sys_openat",
            "do_sys_openat2",
            "vfs_open",
        ] {
            assert_eq!(number_of_function(other), None, "{other}");
        }
    }

    #[test]
    fn functions_are_those_of_their_calls() {
        let call = |function| call_of_function(function);
        assert_eq!(call("__x64_sys_openat"), Some((Abi::Native, "openat")));
        assert_eq!(call("__x64_sys_newstat"), Some((Abi::Native, "stat")));
        assert_eq!(
            call("__ia32_compat_sys_openat"),
            Some((Abi::Compat, "openat"))
        );
        assert_eq!(call("vfs_open"), None);
        assert_eq!(call("__x64_sys_nosuch"), None);
    }
}
