// SPDX-License-Identifier: BSD-2-Clause
//! Names of system calls, and of the functions that the system call tables have.

use super::arch::{CALL_NAMES, SYSTEM_CALLS};

/// Returns whether a function is the entry of a system call. `__sys_bpf` and the like are not: the
/// kernel may call them itself.
pub(crate) fn is_syscall_entry(name: &str) -> bool {
    let mut prefixes = SYSTEM_CALLS.into_iter().flatten();
    prefixes.any(|prefix| name.starts_with(prefix))
}

/// Returns number and name of the system calls of this architecture. 32-bit system calls have other
/// numbers.
pub(crate) fn call_names() -> Vec<(i64, String)> {
    let range = |(first, names): &(i64, &str)| {
        let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
        (*first..).zip(names).collect::<Vec<_>>()
    };
    CALL_NAMES.iter().flat_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::{call_names, is_syscall_entry};

    /// `libc` has the numbers of the architecture that this is built for.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn system_calls_have_the_numbers_that_libc_has() {
        let names = call_names();
        let has = |number: libc::c_long, name: &str| {
            assert!(names.contains(&(number, name.to_owned())), "{name}");
        };
        has(libc::SYS_read, "read");
        has(libc::SYS_mkdir, "mkdir");
        has(libc::SYS_rseq, "rseq");
        has(libc::SYS_pidfd_send_signal, "pidfd_send_signal");
        has(libc::SYS_landlock_restrict_self, "landlock_restrict_self");
        has(libc::SYS_mseal, "mseal");
    }

    #[test]
    fn entries_of_system_calls_are_told_from_what_they_call() {
        assert!(is_syscall_entry("__x64_sys_bpf"));
        assert!(is_syscall_entry("__ia32_compat_sys_openat"));
        assert!(is_syscall_entry("__arm64_sys_bpf"));
        assert!(!is_syscall_entry("__sys_bpf"));
        assert!(!is_syscall_entry("ksys_read"));
    }
}
