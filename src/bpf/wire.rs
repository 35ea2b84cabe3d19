// SPDX-License-Identifier: BSD-2-Clause
//! The records of `bpf/include/events.h` as libbpf-cargo read them from BTF, and the constants
//! that BTF does not carry. Sizes are asserted on both sides.

use std::mem::size_of;

pub use super::skel::types::{call_rec, rec_hdr, rec_session, rec_stack};

/// `REC_STACK`: a kernel stack.
pub const REC_STACK: u32 = 1;
/// `REC_SESSION`: a finished session.
pub const REC_SESSION: u32 = 2;
/// `CALL_FAILED`: the call's result was judged a failure.
pub const CALL_FAILED: u16 = 1;
/// `CALL_UNRETURNED`: no return of the call was seen.
pub const CALL_UNRETURNED: u16 = 2;
/// `MAX_CALLS` of `limits.h`: size of the ring of finished calls.
pub const MAX_CALLS: u32 = 64;
/// `MAX_STACK` of `limits.h`: addresses of one stack.
pub const MAX_STACK: u32 = 127;

const _: () = assert!(size_of::<rec_hdr>() == 24);
const _: () = assert!(size_of::<rec_stack>() == 32 + 8 * MAX_STACK as usize);
const _: () = assert!(size_of::<call_rec>() == 56);
const _: () = assert!(size_of::<rec_session>() == 120 + 56 * MAX_CALLS as usize);
