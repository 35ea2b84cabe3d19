// SPDX-License-Identifier: BSD-2-Clause
//! Converts bytes from the ring buffer to owned events. Any input gives an event or an error.

mod decode;
mod flight;
mod types;

#[cfg(test)]
mod tests;

pub use decode::{DecodeError, decode, decode_cgroup, is_told};
pub use flight::{FlightRecord, FlightSlot, decode_flight};
pub use types::{
    ArgumentsRecord, CallRecord, CgroupRecord, ContextRecord, Event, ExitRecord, FunctionArguments,
    NoteRecord, OutputRecord, SessionRecord, StackRecord, SyscallRecord,
};
