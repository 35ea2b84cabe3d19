// SPDX-License-Identifier: BSD-2-Clause
//! One type per meaning: an address is not a count, and a function id is not a process id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address in the address space of the kernel or of an image.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Addr(pub u64);

/// A process (thread group) or thread id in the initial PID namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

/// The id of a [`Hook`](super::Hook) of this run: the index of its function in the selection. Ids are
/// dense and start at 0.
///
/// It has 32 bits, because 16 are too few for `-a '*'` with modules (the original retsnoop has
/// collisions there).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct HookId(pub u32);

impl HookId {
    /// The id as an index into tables of functions.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl FromStr for Pid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(0) => Err("process ids start at 1".to_owned()),
            Ok(number @ 1..=PID_MAX) => Ok(Self(number)),
            Ok(_) => Err(format!("process ids end at {PID_MAX}")),
            Err(_) => Err("a process id is a number".to_owned()),
        }
    }
}

/// `PID_MAX_LIMIT` of 64-bit kernels.
const PID_MAX: u32 = 4 * 1024 * 1024;

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
