// SPDX-License-Identifier: BSD-2-Clause
//! System calls of a command that failed and whose functions were not traced: what the user may have
//! to look at instead.

use std::cmp::Reverse;
use std::collections::HashSet;

use crate::bpf::FailingCalls;
use crate::diag::Diag;
use crate::explain::is_harmless;
use crate::knowledge::denied::RESULT_OF_ANOTHER;
use crate::render::Unexamined;
use crate::spec::Errno;
use crate::syscalls::{Abi, call_of_function, function_name, name};

/// Number of kinds of failures that are named.
const MAX_NAMED: usize = 8;

/// Returns the failing system calls whose functions are not among `entries`, the most frequent first.
/// Those with `ENOENT` are last: most are of files that are looked for in several places.
pub(super) fn unexamined(failing: &[FailingCalls], entries: &[String]) -> Vec<Unexamined> {
    let traced: HashSet<(Abi, &str)> = entries
        .iter()
        .filter_map(|entry| call_of_function(entry))
        .map(|(abi, call)| (abi, function_name(call)))
        .collect();
    let mut all: Vec<Unexamined> = failing
        .iter()
        .filter_map(|calls| {
            let name = name(calls.abi, calls.number)?;
            if RESULT_OF_ANOTHER.contains(&name) {
                return None;
            }
            let is_traced = traced.contains(&(calls.abi, function_name(name)));
            (!is_traced).then_some(Unexamined {
                call: name,
                errno: calls.errno,
                count: calls.count,
            })
        })
        .collect();
    let is_search = |of: &Unexamined| i32::from(of.errno) == libc::ENOENT;
    all.sort_by_key(|of| (is_search(of), Reverse(of.count)));
    all
}

/// Names the failures that were not looked into, and how to look.
pub(super) fn say(all: &[Unexamined], lost: u64, diag: &Diag) {
    if lost > 0 {
        diag.warning(format!("{lost} failing system calls were not counted"));
    }
    let named: Vec<&Unexamined> = all
        .iter()
        .filter(|of| !is_harmless(of.call, of.errno))
        .collect();
    if named.is_empty() {
        return;
    }
    let mut words: Vec<String> = named.iter().take(MAX_NAMED).map(|of| words(of)).collect();
    if named.len() > MAX_NAMED {
        words.push(format!("{} others", named.len() - MAX_NAMED));
    }
    diag.info(
        0,
        format!("failed, and not looked into: {}", words.join(", ")),
    );
    let mut functions: Vec<&str> = Vec::new();
    for of in named.iter().take(MAX_NAMED) {
        let function = function_name(of.call);
        if !functions.contains(&function) {
            functions.push(function);
        }
    }
    let glob = match functions.as_slice() {
        [one] => format!("*_sys_{one}"),
        all => format!("*_sys_{{{}}}", all.join(",")),
    };
    diag.hint(format_args!(
        "look into them with `-e '{glob}'`, and what they call with `-a`"
    ));
}

fn words(of: &Unexamined) -> String {
    let error = Errno(of.errno);
    let error = error
        .name()
        .map_or_else(|| of.errno.to_string(), str::to_owned);
    match of.count {
        1 => format!("{} {error}", of.call),
        count => format!("{} {error} ({count} times)", of.call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(number: u32, errno: u16, count: u64) -> FailingCalls {
        FailingCalls {
            abi: Abi::Native,
            number,
            errno,
            count,
        }
    }

    #[test]
    fn calls_whose_functions_are_traced_are_left_out() {
        let all = [failing(257, 2, 9), failing(16, 16, 1), failing(4, 2, 3)];
        let entries = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let named = |names: &[&str]| -> Vec<&str> {
            unexamined(&all, &entries(names))
                .iter()
                .map(|of| of.call)
                .collect()
        };
        assert_eq!(named(&[]), ["ioctl", "openat", "stat"]);
        assert_eq!(named(&["__x64_sys_openat", "vfs_open"]), ["ioctl", "stat"]);
        assert_eq!(
            named(&["__x64_sys_newstat", "__ia32_compat_sys_openat"]),
            ["ioctl", "openat"]
        );
        // rt_sigreturn() returns what the interrupted call did.
        assert!(unexamined(&[failing(15, 4, 1)], &[]).is_empty());
    }
}
