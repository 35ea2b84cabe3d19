// SPDX-License-Identifier: BSD-2-Clause
//! Basic value types that all stages use: addresses, ids, globs, errnos, results.
//!
//! This module does not read files, print, or depend on libbpf. A type belongs here if more than
//! one stage needs it with the same meaning.

mod backend;
mod duration;
mod entry;
mod errno;
mod errno_place;
mod errno_table;
mod event_glob;
mod glob;
mod hook;
mod ids;
mod location;
mod name_glob;
mod nearest;
mod note;
mod parameter;
mod place;
mod placeholder;
mod result;
#[cfg(test)]
mod tests;
mod usdt;
mod user_glob;

pub use backend::{BackendKind, Needs};
pub use duration::{BareUnit, parse_duration};
pub use entry::EntryReason;
pub use errno::{Errno, ErrnoSet};
pub use errno_place::ErrnoPlace;
pub use event_glob::EventGlob;
pub use glob::{FunctionName, GlobKind, GlobSpec};
pub use hook::Hook;
pub use ids::{Addr, HookId, Pid};
pub use location::{AddressSpace, Ip, Location, ObjectId};
pub use name_glob::{NameGlob, base_name};
pub use nearest::nearest;
pub use note::{FieldFormat, NoteField, NoteKind, NoteSource, NoteValue};
pub use parameter::{MAX_ARGUMENT_WORDS, Parameter, ParameterKind};
pub use place::{CodePlace, SymbolPlace, parse_hex};
pub use placeholder::Placeholder;
pub use result::{FilterResult, Outcome, ResultType};
pub use usdt::{
    ArgumentPlace, EnclosingFunction, MAX_USDT_ARGUMENTS, Register, ReturnPlace, TracedProbe,
    TracedSite, UsdtArgument, UsdtGlob, UsdtSite,
};
pub use user_glob::{UserGlob, UserObject};
