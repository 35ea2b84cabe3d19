// SPDX-License-Identifier: BSD-2-Clause
//! One type a meaning: an address is not a count, a function id is not a process id.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// An address in the kernel's (or an image's) address space.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Addr(pub u64);

/// A process (thread group) or thread id, as the initial pid namespace numbers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

/// The index of a traced function in the selection of this run; dense, from 0.
///
/// 32 bits: 16 are too few for `-a '*'` with modules (the reference aliases there).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct FuncId(pub u32);

impl Addr {
    /// Stand-ins for the addresses of what is not loaded yet: no kernel has anything there (x86-64
    /// and arm64 refuse them), so that they cannot be taken for real ones.
    pub const STAND_INS: Range<u64> = 1 << 56..1 << 57;

    /// Whether it only stands for an address that is not known yet.
    #[must_use]
    pub fn is_stand_in(self) -> bool {
        Self::STAND_INS.contains(&self.0)
    }
}

impl FuncId {
    /// The id as an index into per-function tables.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
