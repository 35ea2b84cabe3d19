// SPDX-License-Identifier: BSD-2-Clause
//! System calls that fail in programs that work, and why. Such a failure is the reason of an error
//! only if something else says so, such as the program's own message.

/// A kind of harmless failures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Harmless {
    /// Names of system calls; empty: all.
    pub(crate) calls: &'static [&'static str],
    /// Names of errnos.
    pub(crate) errnos: &'static [&'static str],
    /// What an argument that is text begins or ends with: `*/locale/*`; empty: anything.
    pub(crate) text: &'static str,
    /// Why it is harmless.
    pub(crate) why: &'static str,
}

const fn kind(
    calls: &'static [&'static str],
    errnos: &'static [&'static str],
    why: &'static str,
) -> Harmless {
    Harmless {
        calls,
        errnos,
        text: "",
        why,
    }
}

const fn with_text(
    calls: &'static [&'static str],
    errnos: &'static [&'static str],
    text: &'static str,
    why: &'static str,
) -> Harmless {
    Harmless {
        calls,
        errnos,
        text,
        why,
    }
}

/// The kinds. The first one that fits gives the reason.
pub(crate) const HARMLESS: &[Harmless] = &[
    with_text(
        &["connect"],
        &["ENOENT", "ECONNREFUSED"],
        "/run/nscd/",
        "the C library asks a cache of names that need not run",
    ),
    with_text(
        &["connect", "sendto", "sendmsg"],
        &["ENOENT", "ECONNREFUSED", "ENOTCONN"],
        "/dev/log",
        "the system's log need not run",
    ),
    kind(
        &[
            "access",
            "faccessat",
            "faccessat2",
            "open",
            "openat",
            "openat2",
            "stat",
            "lstat",
            "newfstatat",
            "statx",
            "readlink",
            "readlinkat",
            "execve",
            "statfs",
            "chdir",
            "inotify_add_watch",
            "name_to_handle_at",
        ],
        &["ENOENT", "ENOTDIR"],
        "files are looked for in several places",
    ),
    kind(
        &["access", "faccessat", "faccessat2"],
        &["EACCES", "EROFS", "EPERM"],
        "asks whether it may use a file",
    ),
    kind(
        &["stat", "lstat", "newfstatat", "statx"],
        &["EACCES"],
        "files are looked for in several places",
    ),
    with_text(
        &["open", "openat"],
        &["ENXIO"],
        "/dev/tty",
        "asks for a controlling terminal",
    ),
    kind(
        &["unlink", "unlinkat", "rmdir"],
        &["ENOENT"],
        "what is to be removed is not there",
    ),
    kind(
        &["mkdir", "mkdirat"],
        &["EEXIST"],
        "the directory is there already",
    ),
    kind(
        &["readlink", "readlinkat"],
        &["EINVAL"],
        "asks whether a file is a symbolic link",
    ),
    kind(
        &["ioctl"],
        &["ENOTTY"],
        "asks whether a descriptor is a terminal, or a file of this kind",
    ),
    kind(
        &["arch_prctl", "prctl"],
        &["EINVAL"],
        "asks for features that this kernel or processor does not have",
    ),
    kind(
        &["lseek", "fadvise64", "pread64"],
        &["ESPIPE"],
        "asks whether a descriptor is a pipe",
    ),
    kind(
        &["close", "fcntl", "fstat"],
        &["EBADF"],
        "descriptors are tried one after another",
    ),
    kind(
        &["wait4", "waitid"],
        &["ECHILD"],
        "there is no child to wait for",
    ),
    kind(
        &["connect"],
        &["EINPROGRESS", "EALREADY"],
        "a connection is being made",
    ),
    kind(
        &[
            "getxattr",
            "lgetxattr",
            "fgetxattr",
            "listxattr",
            "llistxattr",
            "flistxattr",
            "removexattr",
            "lremovexattr",
            "fremovexattr",
        ],
        &["ENODATA", "EOPNOTSUPP", "EPERM"],
        "most files have no such attribute",
    ),
    kind(
        &["getpeername", "getsockname", "getsockopt", "shutdown"],
        &["ENOTCONN", "ENOTSOCK"],
        "asks whether a descriptor is a connected socket",
    ),
    kind(
        &["connect"],
        &["ENETUNREACH", "EAFNOSUPPORT", "EADDRNOTAVAIL"],
        "addresses are tried one after another",
    ),
    kind(
        &["setsockopt", "getsockopt"],
        &["ENOPROTOOPT", "EOPNOTSUPP"],
        "programs do without an option of sockets",
    ),
    kind(
        &["epoll_ctl"],
        &["EPERM", "EEXIST", "ENOENT"],
        "asks whether a descriptor can be waited for, or is waited for already",
    ),
    kind(
        &["fallocate", "fsync", "fdatasync", "sync_file_range"],
        &["EOPNOTSUPP", "EINVAL", "EROFS"],
        "this kind of file does not have it, and programs do without",
    ),
    with_text(
        &["ioctl"],
        &["EOPNOTSUPP", "EXDEV", "EINVAL", "ENOTTY", "EBADF"],
        "FICLONE",
        "programs copy with read() and write() instead",
    ),
    kind(
        &["name_to_handle_at"],
        &["EOPNOTSUPP", "EOVERFLOW"],
        "asks whether a directory is a mount point, or for a size",
    ),
    kind(
        &["get_mempolicy", "mbind", "set_mempolicy", "migrate_pages"],
        &["ENOSYS", "EPERM"],
        "programs do without a policy of memory",
    ),
    kind(
        &["sched_getaffinity"],
        &["EINVAL"],
        "asks for the size of the mask",
    ),
    kind(
        &["copy_file_range", "splice", "sendfile"],
        &["EXDEV", "EINVAL", "EOPNOTSUPP", "ENOSYS"],
        "programs copy with read() and write() instead",
    ),
    kind(
        &[
            "rseq",
            "set_robust_list",
            "clone3",
            "openat2",
            "close_range",
            "mount_setattr",
            "statx",
            "io_uring_setup",
            "membarrier",
            "pidfd_open",
            "faccessat2",
            "userfaultfd",
        ],
        &["ENOSYS"],
        "programs do without new system calls",
    ),
    kind(
        &[
            "read",
            "readv",
            "pread64",
            "write",
            "writev",
            "recvfrom",
            "recvmsg",
            "recvmmsg",
            "sendto",
            "sendmsg",
            "accept",
            "accept4",
            "futex",
            "epoll_pwait",
            "ppoll",
            "rt_sigtimedwait",
            "mq_timedreceive",
            "mq_timedsend",
            "semtimedop",
        ],
        &["EAGAIN", "ETIMEDOUT"],
        "nothing is there yet",
    ),
    kind(
        &[],
        &[
            "EINTR",
            "ERESTARTSYS",
            "ERESTARTNOINTR",
            "ERESTARTNOHAND",
            "ERESTART_RESTARTBLOCK",
        ],
        "a signal came, and the call is made again",
    ),
];
