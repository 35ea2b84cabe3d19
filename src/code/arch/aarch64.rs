// SPDX-License-Identifier: BSD-2-Clause
//! arm64: nothing is decoded yet. So no function has callees, errnos or a trail: who asks what is
//! reachable gets everything, and culprits are shown without their untraced callees. This file is
//! type-checked (`scripts/check-arm64`), and nothing of it was run.

use crate::code::decode::Decoded;
use crate::code::flow::{Frame, Translated};
use crate::spec::Addr;

/// Maximum offset in bytes at which a call may enter a function.
pub(in crate::code) const MAX_ENTRY_OFFSET: u64 = 0;

/// Prefixes of what is called and does nothing.
pub(in crate::code) const NOTHING: &[&str] = &[];

/// For each of the registers: the offset of its last load through a pointer; `None` if it was not
/// loaded so.
pub(in crate::code) type Loads = [Option<u16>; 31];

/// Returns true for thunks of indirect calls. There are none.
pub(in crate::code) fn is_thunk(_name: &str) -> bool {
    false
}

/// Returns the number of the register that a thunk calls.
pub(in crate::code) fn register_of_thunk(_thunk: &str) -> Option<usize> {
    None
}

/// Decodes `bytes`, which are located at `addr`; `None`: nothing is decoded.
pub(in crate::code) fn decode(_addr: Addr, _bytes: &[u8]) -> Option<Decoded> {
    None
}

/// Number of general registers.
pub(in crate::code) const N_REGISTERS: usize = 32;

/// The registers that hold arguments of a call.
pub(in crate::code) const ARGUMENTS: &[u8] = &[];

/// The registers that do not survive a call.
pub(in crate::code) const CLOBBERED: &[u8] = &[];

/// Returns true for thunks of returns. There are none.
pub(in crate::code) fn is_return_thunk(_name: &str) -> bool {
    false
}

/// Returns true for what may keep registers that functions need not keep.
pub(in crate::code) fn keeps_registers(_name: &str) -> bool {
    true
}

/// Translates the instruction at the start of `bytes`; `None`: nothing is translated.
pub(in crate::code) fn translate(
    _addr: u64,
    _bytes: &[u8],
    _frame: &mut Frame,
) -> Option<Translated> {
    None
}
