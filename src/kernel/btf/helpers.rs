// SPDX-License-Identifier: BSD-2-Clause
//! What BPF helpers really return.
//!
//! The macro that defines them (`BPF_CALL_n`) declares every helper as returning `u64`, so BTF
//! says `u64` for all. The facts here are those of the helpers' manual (`bpf-helpers(7)`), for
//! every helper function that Debian's 5.10, 6.1, 6.12 and 7.2 have; a helper in neither list
//! cannot fail. Left out on purpose although declared `long`: those that return a verdict
//! (`bpf_redirect` and its kind), a comparison (`bpf_strncmp`) or another's result
//! (`bpf_get_retval`), and pointers whose NULL is no failure (`bpf_kptr_xchg`).

use crate::knowledge::helpers::{ERRNO_HELPERS, POINTER_HELPERS};
use crate::spec::ResultType;

/// How the result of the helper `name` is to be read; `None` where it is none that can fail.
pub(super) fn helper_result(name: &str) -> Option<ResultType> {
    // The body of a helper that the compiler did not inline carries this prefix.
    let name = name.strip_prefix("____").unwrap_or(name);
    if ERRNO_HELPERS.binary_search(&name).is_ok() {
        Some(ResultType::Signed(8))
    } else if POINTER_HELPERS.binary_search(&name).is_ok() {
        Some(ResultType::Pointer)
    } else {
        None
    }
}
