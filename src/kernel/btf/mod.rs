// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's type information: BTF bytes of vmlinux and of modules → facts about functions.
//!
//! One pass notes where each type starts; everything else reads the bytes in place, so that
//! 130,000 types cost one array of offsets. The bytes are not trusted: every read is checked,
//! every walk along types is bounded. It does not print types and does not relocate them.

#[cfg(test)]
pub(crate) mod builder;
mod by_name;
mod bytes;
mod declaration;
mod format;
mod helpers;
mod known;
mod lookup;
mod names;
mod parse;
mod prototype;
mod result;
#[cfg(test)]
mod tests;

pub use bytes::BtfBytes;
pub use names::NameSet;
pub use parse::{Btf, BtfFunction};
pub use prototype::{ArgKind, FunctionShape, StructArgs, TrampolineObstacle, TrampolineRules};
