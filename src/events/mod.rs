// SPDX-License-Identifier: BSD-2-Clause
//! Bytes from the ring buffer → owned events. Total: any bytes give an event or an error.

mod decode;
mod types;

#[cfg(test)]
mod tests;

pub use decode::{DecodeError, decode, decode_cgroup};
pub use types::{CallRecord, CgroupRecord, ContextRecord, Event, SessionRecord, StackRecord};
