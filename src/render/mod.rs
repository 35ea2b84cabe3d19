// SPDX-License-Identifier: BSD-2-Clause
//! Renders finished sessions as text and JSON. Input is values and a `&mut dyn Write`; this code
//! does not read the time, the terminal or files, and it looks up no address: the caller asks
//! [`ips`] for the addresses of a session and passes in their frames. `view` determines what is
//! shown, once for all outputs. `value` is the only place that formats numbers.

mod arguments;
mod clock;
mod code_place;
mod containers;
mod doctor;
mod escape;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod golden;
mod json;
mod layout;
mod listing;
mod style;
mod summary;
mod text;
mod usdt_listing;
mod value;
mod view;

pub use clock::Clock;
pub use code_place::{write_json as write_place_json, write_rows as write_place_rows};
pub use containers::{
    ListedContainer, write_json as write_containers_json, write_text as write_containers_text,
};
pub use doctor::{Check, CheckSection, CheckState, Checkup};
pub use escape::escape;
pub use json::{
    write_flight as write_flight_json, write_session as write_session_json,
    write_summary as write_summary_json, write_verdict as write_verdict_json,
};
pub use listing::{
    ListedFunction, write_json as write_functions_json, write_text as write_functions_text,
};
pub use summary::{
    Detached, Drops, Missed, Summary, Unexamined, UntracedTasks, write as write_summary_text,
};
pub use text::{
    Detail, FailureCounts, one_line, write_end as write_end_text,
    write_flight as write_flight_text, write_known as write_known_text,
    write_others as write_others_text, write_reason as write_reason_text,
    write_session as write_session_text,
};
pub use usdt_listing::{ListedUsdt, write_json as write_usdt_json, write_text as write_usdt_text};
pub use view::{TracerRows, ips};

use crate::select::TracedFunction;
use crate::session::Session;
use crate::spec::NoteSource;
use crate::symbolize::Frames;

/// A session, and the frames of all instruction pointers that [`ips`] returns for it.
#[derive(Clone, Copy, Debug)]
pub struct SymbolizedSession<'a> {
    /// The session.
    pub session: &'a Session,
    /// What its instruction pointers point to.
    pub frames: &'a Frames,
}

/// What rendering needs in addition to the session.
#[derive(Clone, Copy, Debug)]
pub struct RenderContext<'a> {
    /// The traced functions, indexed by their ids.
    pub functions: &'a [TracedFunction],
    /// The sources of notes, indexed by their numbers.
    pub sources: &'a [NoteSource],
    /// Converts monotonic times to times of day.
    pub clock: Clock,
    /// Width of the terminal in columns; `None` if there is none, so that nothing is shortened.
    pub width: Option<usize>,
    /// Whether to use ANSI colours. The text is legible without them.
    pub color: bool,
    /// Level of `-v`: 1 adds raw addresses, 2 the rows of the tracer itself.
    pub verbosity: u8,
}
