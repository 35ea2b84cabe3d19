// SPDX-License-Identifier: BSD-2-Clause
//! What errnos and the names of functions say about why a call failed.

/// Errnos that a failed look-up is translated into: `ENOENT`, `ESRCH`, `ENXIO`, `EBADF`, `ENODEV`,
/// `ENOSYS`, `EPROTONOSUPPORT`, `EAFNOSUPPORT`, `ENOKEY`.
pub(crate) const NOT_FOUND: &[u16] = &[2, 3, 6, 9, 19, 38, 93, 97, 126];

/// Errnos that a reached limit is translated into: `EAGAIN`, `ENOMEM`, `ENOSPC`, `EUSERS`,
/// `EDQUOT`.
pub(crate) const LIMIT_REACHED: &[u16] = &[11, 12, 28, 87, 122];

/// Parts of the names of functions whose `NULL` means "not found".
pub(crate) const LOOKUPS: &[&str] = &[
    "lookup", "find", "search", "get", "peek", "next", "first", "prev", "match", "cached",
    "resolve",
];

/// Words in the names of functions whose `NULL` means "limit reached" (`inc_ucount`).
pub(crate) const CHARGES: &[&str] = &["inc", "charge"];

/// Parts of the names of functions whose `NULL` means "no memory". `policy_mbind_nodemask` has none
/// of them: it returns `NULL` whenever there is no policy, also before an allocation that fails.
pub(crate) const ALLOCATORS: &[&str] = &[
    "alloc", "create", "new", "dup", "clone", "vmap", "kmem", "page", "pages",
];

/// Functions whose argument may be an error, which they return at once. Since 7.0 (2e2d64aea5c5,
/// "`do_filp_open()`: DTRT when getting `ERR_PTR()` as pathname") `do_file_open` is one.
pub(crate) const TAKES_ERRORS: &[&str] = &["link_path_walk", "do_file_open"];

/// Parts of the names of functions that clean up. Their success says nothing about the failure.
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
