// SPDX-License-Identifier: BSD-2-Clause
//! The real result types of BPF helpers.
//!
//! The macro that defines helpers (`BPF_CALL_n`) declares all of them as returning `u64`, and so
//! does BTF. The tables here follow the manual of the helpers (`bpf-helpers(7)`), for every helper
//! in Debian's 5.10, 6.1, 6.12 and 7.2. A helper in neither list cannot fail. Some helpers are
//! declared `long` but are left out on purpose: those that return a verdict (such as
//! `bpf_redirect`), a comparison (`bpf_strncmp`) or the result of something else
//! (`bpf_get_retval`), and those whose NULL is not a failure (`bpf_kptr_xchg`).

use crate::knowledge::helpers::{ERRNO_HELPERS, POINTER_HELPERS};
use crate::spec::ResultType;

/// The result type of a helper; `None` if `name` is not a helper that can fail.
pub(super) fn helper_result(name: &str) -> Option<ResultType> {
    // The body of a helper has this prefix if the compiler did not inline it.
    let name = name.strip_prefix("____").unwrap_or(name);
    if ERRNO_HELPERS.binary_search(&name).is_ok() {
        Some(ResultType::Signed(8))
    } else if POINTER_HELPERS.binary_search(&name).is_ok() {
        Some(ResultType::Pointer)
    } else {
        None
    }
}
