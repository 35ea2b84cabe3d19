// SPDX-License-Identifier: BSD-2-Clause
//! What is noted in sessions besides calls: tracepoints, and facts about calls of single functions.
//! `bpf/include/note_programs.bpf.h` has the programs.

use serde::{Deserialize, Serialize};

use crate::spec::{Addr, ResultType};

/// A place whose passing is noted. Its number is that of its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoteProbe {
    /// A tracepoint, by its perf event. Its record is noted.
    Tracepoint {
        /// Number of the event: `id` in tracefs.
        event: u64,
        /// Bytes of the record that are noted, texts included; at most [`MAX_EVENT_BYTES`].
        size: u32,
    },
    /// A raw tracepoint. Its arguments are noted.
    RawTracepoint {
        /// Its name.
        name: String,
        /// Number of arguments.
        n_args: u32,
    },
    /// The return of a kernel function: by kprobe.session, or by a trampoline.
    Return {
        /// Address of its symbol, if kprobe.session may be used.
        addr: Option<Addr>,
        /// Id of the function in the kernel's BTF.
        btf_id: u32,
        /// Number of argument slots, of 8 bytes each, before the result.
        arg_slots: u8,
        /// What is read.
        fact: Fact,
    },
    /// The call of a kernel function: by kprobe.session, or by a kprobe.
    Call {
        /// Address of its symbol, if kprobe.session may be used.
        addr: Option<Addr>,
        /// The function's name. A name is enough, as it must be of one function only.
        name: String,
        /// What is read.
        fact: Fact,
    },
}

impl NoteProbe {
    /// The address of its function's symbol; `None` if it is of no function.
    pub(crate) fn addr_mut(&mut self) -> Option<&mut Option<Addr>> {
        match self {
            Self::Return { addr, .. } | Self::Call { addr, .. } => Some(addr),
            Self::Tracepoint { .. } | Self::RawTracepoint { .. } => None,
        }
    }
}

/// Bytes of an event's record that a note holds at most. All of a note's bytes would be 0 bytes to
/// the program, which masks the size.
pub const MAX_EVENT_BYTES: u32 = 248;

/// Values of a fact (`MAX_FACT_VALUES` of `limits.h`).
pub const MAX_FACT_VALUES: usize = 10;

/// Pointers that are followed to read a value (`MAX_FACT_HOPS` of `limits.h`).
pub const MAX_FACT_HOPS: usize = 6;

/// Bytes of a text (`FACT_TEXT` of `limits.h`).
pub const FACT_TEXT: u32 = 64;

/// Bytes of a long text (`NOTE_BYTES` of `limits.h`).
pub const LONG_TEXT: u32 = 256;

/// Where the stack begins in a note, in bytes (`NOTE_STACK` of `limits.h`).
pub const NOTE_STACK: u32 = 128;

/// Facts about a call of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// When the call is noted.
    pub condition: FactCondition,
    /// What is read; at most [`MAX_FACT_VALUES`].
    pub values: Vec<FactValue>,
    /// Bytes of the note.
    pub len: u32,
    /// Whether the addresses of the stack are noted, from [`NOTE_STACK`] on.
    pub has_stack: bool,
}

/// When a call is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactCondition {
    /// Always.
    Always,
    /// If its result is a failure by this type.
    OnFailure(ResultType),
    /// If it returned a bool that is true.
    IfTrue,
    /// If the word that its first value begins with is not 0.
    IfGiven,
}

/// Where reading a value begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactBase {
    /// The word at this offset of the program's context: an argument, a register, or the result.
    Context(u32),
    /// The current task.
    Task,
}

/// How a value is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactValue {
    /// Where it begins.
    pub base: FactBase,
    /// Offsets in bytes; at each of them a word is read, which the next one is added to. At most
    /// [`MAX_FACT_HOPS`].
    pub hops: Vec<i32>,
    /// What is read in the end.
    pub end: FactEnd,
    /// Where it goes in the note, in bytes: a multiple of 8, or for texts of [`FACT_TEXT`].
    pub at: u32,
}

/// What is read in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactEnd {
    /// The last word.
    Number,
    /// The text at the last word and this offset.
    Text(i32),
    /// The same, of up to [`LONG_TEXT`] bytes. It is the note's only value and begins at 0.
    LongText(i32),
    /// The text that is put next into the `struct fc_log` at the last word. It is read at the end of
    /// the session, and is the note's only value.
    FcLog {
        /// Offset of `head`.
        head: i32,
        /// Offset of `buffer`.
        buffer: i32,
    },
}
