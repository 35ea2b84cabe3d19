// SPDX-License-Identifier: BSD-2-Clause
//! Names of the functions that the system call tables have.

use super::arch::SYSTEM_CALLS;

/// Returns whether a function is the entry of a system call. `__sys_bpf` and the like are not: the
/// kernel may call them itself.
pub(crate) fn is_syscall_entry(name: &str) -> bool {
    let mut prefixes = SYSTEM_CALLS.into_iter().flatten();
    prefixes.any(|prefix| name.starts_with(prefix))
}

/// Runs before the function of a system call, and may refuse it.
pub(crate) const SECCOMP_FILTER: &str = "__seccomp_filter";

/// Returns whether a function is the entry of a system call of the kernel's own table.
pub(crate) fn is_native_entry(name: &str) -> bool {
    ["__x64_sys_", "__arm64_sys_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// What the functions of system calls end with that fail for reasons which people ask about.
const COMMON_CALLS: &[&str] = &[
    "accept4",
    "access",
    "add_key",
    "bind",
    "bpf",
    "chdir",
    "chmod",
    "chown",
    "chroot",
    "clone",
    "clone3",
    "connect",
    "copy_file_range",
    "delete_module",
    "execve",
    "fallocate",
    "fchmodat",
    "fchownat",
    "fcntl",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "ftruncate",
    "init_module",
    "io_uring_setup",
    "ioctl",
    "keyctl",
    "kill",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "mknodat",
    "mlock",
    "mmap",
    "mount",
    "move_mount",
    "mprotect",
    "newfstatat",
    "open",
    "open_tree",
    "openat",
    "perf_event_open",
    "pivot_root",
    "prctl",
    "prlimit64",
    "ptrace",
    "pwrite64",
    "read",
    "rename",
    "renameat2",
    "rmdir",
    "sched_setscheduler",
    "sendmsg",
    "sendto",
    "setgid",
    "setgroups",
    "setns",
    "setpriority",
    "setresuid",
    "setsockopt",
    "setuid",
    "setxattr",
    "socket",
    "statx",
    "swapon",
    "symlink",
    "symlinkat",
    "umount",
    "unlink",
    "unlinkat",
    "unshare",
    "write",
];

/// Returns whether a function is that of a system call of the kernel's own table that often fails.
pub(crate) fn is_common_call(name: &str) -> bool {
    let of_64_bits = ["__x64_sys_", "__arm64_sys_"].into_iter();
    let mut calls = of_64_bits.filter_map(|prefix| name.strip_prefix(prefix));
    calls.any(|call| COMMON_CALLS.binary_search(&call).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{COMMON_CALLS, is_common_call, is_syscall_entry};

    #[test]
    fn common_calls_are_sorted() {
        assert!(COMMON_CALLS.is_sorted());
        assert!(is_common_call("__x64_sys_mount"));
        assert!(!is_common_call("__ia32_sys_mount"));
        assert!(!is_common_call("__x64_sys_getpid"));
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
