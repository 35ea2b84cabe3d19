// SPDX-License-Identifier: BSD-2-Clause
//! User functions whose return cannot be traced. To trace a return the kernel replaces the return
//! address on the stack, and these functions depend on it.

/// Functions that return twice, or that save or replace the return address or the stack pointer.
const DEPENDS_ON_RETURN_ADDRESS: [&str; 16] = [
    "setjmp",
    "_setjmp",
    "__sigsetjmp",
    "sigsetjmp",
    "longjmp",
    "_longjmp",
    "siglongjmp",
    "__longjmp_chk",
    "__libc_longjmp",
    "__libc_siglongjmp",
    "getcontext",
    "setcontext",
    "swapcontext",
    "vfork",
    "__vfork",
    "__libc_vfork",
];

/// Functions that are entered without a return address.
const ENTERED_WITHOUT_CALL: [&str; 2] = ["_start", "__restore_rt"];

/// Returns why a function must not be traced; `None` if it may.
pub(super) fn why_denied(name: &str) -> Option<&'static str> {
    if DEPENDS_ON_RETURN_ADDRESS.contains(&name) {
        Some("depends on its return address, which tracing replaces")
    } else if ENTERED_WITHOUT_CALL.contains(&name) {
        Some("is entered without a return address")
    } else {
        None
    }
}
