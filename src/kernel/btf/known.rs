// SPDX-License-Identifier: BSD-2-Clause
//! Functions that return an address or an errno as an `unsigned long`.
//!
//! C has one type for both, so BTF does not distinguish them from functions that return plain
//! numbers. Only functions whose BTF result is an 8-byte unsigned integer are looked up here.

use crate::knowledge::results::ULONG_ERRNO;

/// Whether an 8-byte unsigned result of this function is an errno if it is above `(unsigned
/// long)-4096`.
pub(super) fn returns_errno_as_ulong(name: &str) -> bool {
    name.contains("get_unmapped_area") || ULONG_ERRNO.contains(&name)
}
