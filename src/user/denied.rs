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

/// Functions that are entered without a return address on top of the stack.
const ENTERED_WITHOUT_CALL: [&str; 4] = [
    "_start",
    "_dl_start_user",
    "__restore_rt",
    "__start_context",
];

/// Beginning of the names of the loader's functions that a PLT jumps to, with words of its own on top
/// of the stack.
const ENTERED_FROM_PLT: &str = "_dl_runtime_";

/// Returns why a function with this name must not be traced; `None` if it may. What is denied is the
/// code: by all of its names.
pub(super) fn why_denied(name: &str) -> Option<&'static str> {
    if DEPENDS_ON_RETURN_ADDRESS.contains(&name) {
        Some("depends on its return address, which tracing replaces")
    } else if ENTERED_WITHOUT_CALL.contains(&name) || name.starts_with(ENTERED_FROM_PLT) {
        Some("is entered without a return address")
    } else {
        None
    }
}
