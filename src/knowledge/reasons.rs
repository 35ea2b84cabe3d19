// SPDX-License-Identifier: BSD-2-Clause
//! What errors and names of functions say about why a call failed.

/// `ENOENT`, `ESRCH`, `ENXIO`, `EBADF`, `ENODEV`, `ENOSYS`, `EPROTONOSUPPORT`, `EAFNOSUPPORT`,
/// `ENOKEY`: what a failed look-up is made into.
pub(crate) const NOT_FOUND: &[u16] = &[2, 3, 6, 9, 19, 38, 93, 97, 126];

/// `EAGAIN`, `ENOMEM`, `ENOSPC`, `EUSERS`, `EDQUOT`: what a limit that is reached is made into.
pub(crate) const LIMIT_REACHED: &[u16] = &[11, 12, 28, 87, 122];

/// Parts of names of functions whose `NULL` means "there is none".
pub(crate) const LOOKUPS: &[&str] = &[
    "lookup", "find", "search", "get", "peek", "next", "first", "prev", "match", "cached",
    "resolve",
];

/// Words of names of functions whose `NULL` means "that would be one too many" (`inc_ucount`).
pub(crate) const CHARGES: &[&str] = &["inc", "charge"];

/// Parts of names of functions whose `NULL` means "no memory". (`policy_mbind_nodemask` returns
/// `NULL` whenever there is no policy, also before an allocation that fails.)
pub(crate) const ALLOCATORS: &[&str] = &[
    "alloc", "create", "new", "dup", "clone", "vmap", "kmem", "page", "pages",
];

/// Parts of names of functions that clean up: that they succeed says nothing about the failure.
pub(crate) const CLEANUPS: &[&str] = &[
    "free",
    "put",
    "release",
    "destroy",
    "unlock",
    "drop",
    "clear",
    "cleanup",
    "fini",
    "exit",
    "uncharge",
    "unregister",
    "close",
    "remove",
    "delete",
    "cancel",
    "abort",
];
