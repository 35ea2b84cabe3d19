// SPDX-License-Identifier: BSD-2-Clause
//! The kernel side: open → configure → prepare → load → attach → poll.
//!
//! Only this module uses libbpf. Its `unsafe` code is in `sys` and in the generated skeleton.

mod arch;
pub mod attach;
mod beside;
mod body;
mod copier;
mod detach;
mod ending;
mod entry_texts;
mod failing;
mod flight;
#[cfg(test)]
pub(crate) mod headers;
mod kernel_stats;
mod note_probes;
mod note_shared;
mod notes;
mod object;
mod patch;
mod program;
mod refusal;
mod rlimit;
mod scope;
mod settings;
mod skel;
mod specialize;
mod sys;
mod tasks;
mod tracer;
mod usdt_sites;
mod user_files;
pub mod wire;

pub use ending::Detaching;
pub(crate) use entry_texts::entry_texts;
pub use failing::FailingCalls;
pub use flight::{FlightLayout, FlightMemory, FlightSlots};
pub use kernel_stats::{Hits, KernelStats, Misses};
pub use note_probes::{
    FACT_TEXT, Fact, FactBase, FactCondition, FactEnd, FactValue, LONG_TEXT, MAX_EVENT_BYTES,
    MAX_FACT_HOPS, MAX_FACT_VALUES, NOTE_STACK, NoteProbe,
};
pub use notes::AttachedNotes;
pub use refusal::{hint_of, is_forbidden};
pub use settings::{
    ErrorSettings, FileLayout, KernelLayout, PerCpu, Preempt, PreemptMasks, ProbePmu, ReadMemory,
    ScopeEntry, ScopeKind, ScopeRule, ScopeSettings, Settings, TaskLayout, TracingMultiTypes,
};
pub use sys::{KernelSupport, LsmProgram, lsm_programs, real_inode, silence_libbpf};
pub use tracer::{Attached, Moved, ObjectStorage, Sink, Tracer};
