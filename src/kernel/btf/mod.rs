// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's type information: reads the BTF of vmlinux and of modules for facts about
//! functions.
//!
//! One pass records the start of each type. Everything else reads the bytes in place, so that
//! 130,000 types cost one array of offsets. The bytes are not trusted: every read is checked, and
//! every walk along types is bounded. The module does not relocate types, and prints only
//! prototypes of functions.

#[cfg(test)]
pub(crate) mod builder;
mod by_name;
mod bytes;
mod declaration;
mod format;
mod helpers;
mod known;
mod lookup;
mod member_path;
mod names;
mod parameters;
mod parse;
mod prototype;
mod result;
#[cfg(test)]
mod tests;

pub use bytes::BtfBytes;
pub use member_path::{CURRENT_TASK, MemberPath, PathEnd};
pub use names::NameSet;
pub use parameters::Parameter;
pub use parse::{Btf, BtfFunction};
pub use prototype::{ArgKind, FunctionShape, StructArgs, TrampolineObstacle, TrampolineRules};
