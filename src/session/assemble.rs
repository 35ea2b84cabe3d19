// SPDX-License-Identifier: BSD-2-Clause
//! Assembles the records of one session. What they say becomes a [`Session`] with facts about the
//! kernel (`explain`).

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::mem;

use super::explain::Assembled;
use super::fates::{CodeOfCalls, NoCode, ResultFates};
use super::placement::Placement;
use super::provenance::{self, ToldRefusal};
use super::types::{
    Call, ChainLink, ExecutionContext, MonotonicNs, Note, SessionHeader, SessionLosses, TaskContext,
};
use crate::events::{
    CallRecord, ContextRecord, Event, FunctionArguments, NoteRecord, SessionRecord, StackRecord,
};
use crate::knowledge::refusals::TOLD_BY_DECIDER;
use crate::select::TracedFunction;
use crate::spec::{Addr, EntryReason, HookId, NoteSource, Outcome, Pid};
use crate::syscalls::SystemCall;

/// The records that a session sends before its session record.
#[derive(Debug, Default)]
struct PendingRecords {
    session: u64,
    stacks: Vec<StackRecord>,
    context: Option<ContextRecord>,
    notes: Vec<NoteRecord>,
    syscall: Option<SystemCall>,
    arguments: Option<FunctionArguments>,
}

/// Maximum number of sessions whose records wait for their session record. A session sends all its
/// records together, so more than a handful wait only if session records were lost. The oldest
/// entry is discarded first.
pub(super) const MAX_WAITING: usize = 256;

/// Maximum number of stacks that one session may send (`MAX_STACKS` of `limits.h`).
pub(super) const MAX_STACKS: usize = 8;

/// Maximum number of notes that one session may send (`MAX_NOTES` of `limits.h`).
const MAX_NOTES: usize = 16;

/// Collects the records of sessions and returns each session when it is complete.
pub struct Assembler<'f> {
    functions: &'f [TracedFunction],
    sources: &'f [NoteSource],
    /// In the order of arrival of the first record. Searched from the newest, which nearly always
    /// matches.
    waiting: VecDeque<PendingRecords>,
    n_sessions: u64,
    placement: Placement,
    fates: &'f dyn ResultFates,
}

impl fmt::Debug for Assembler<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembler")
            .field("waiting", &self.waiting.len())
            .field("n_sessions", &self.n_sessions)
            .finish_non_exhaustive()
    }
}

/// A session record whose bytes could be decoded but whose parts contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the record of a session does not fit together")
    }
}

impl Error for Malformed {}

impl<'f> Assembler<'f> {
    /// Creates an assembler for a run that traces `functions`. The index of a function is its id.
    #[must_use]
    pub fn new(functions: &'f [TracedFunction]) -> Self {
        Self {
            functions,
            sources: &[],
            waiting: VecDeque::new(),
            n_sessions: 0,
            placement: Placement::default(),
            fates: &NoCode,
        }
    }

    /// Sets the sources of notes. The index of a source is its number.
    pub fn set_sources(&mut self, sources: &'f [NoteSource]) {
        self.sources = sources;
    }

    /// Sets the source of what the machine code says about the results of calls.
    pub fn set_fates(&mut self, fates: &'f dyn ResultFates) {
        self.fates = fates;
    }

    /// Sets the placement that translates the addresses of modules that were not loaded when their
    /// functions were selected.
    pub fn place(&mut self, placement: Placement) {
        self.placement = placement;
    }

    /// Takes one event and returns the session that it completes, or `None` if it completes none.
    ///
    /// # Errors
    /// Returns [`Malformed`] if the session record contradicts itself; that session is lost.
    pub fn feed(&mut self, event: Event) -> Result<Option<Assembled>, Malformed> {
        match event {
            Event::Stack(stack) => {
                let waiting = self.waiting(stack.session);
                if waiting.stacks.len() < MAX_STACKS {
                    waiting.stacks.push(stack);
                }
                Ok(None)
            }
            Event::Context(context) => {
                self.waiting(context.session).context = Some(context);
                Ok(None)
            }
            Event::Note(note) => {
                let waiting = self.waiting(note.session);
                if waiting.notes.len() < MAX_NOTES {
                    waiting.notes.push(note);
                }
                Ok(None)
            }
            Event::Syscall(record) => {
                self.waiting(record.session).syscall = Some(record.call);
                Ok(None)
            }
            Event::Arguments(record) => {
                self.waiting(record.session).arguments = Some(record.arguments);
                Ok(None)
            }
            // These belong to no session.
            Event::Cgroup(_) | Event::Output(_) | Event::Exit(_) => Ok(None),
            Event::Session(mut record) => self.finish(&mut record).map(Some),
        }
    }

    /// Returns the entry of a session in `waiting`. Creates it if needed, and discards the oldest
    /// entry if there are [`MAX_WAITING`].
    fn waiting(&mut self, session: u64) -> &mut PendingRecords {
        let known = self.place_of(session);
        let place = known.unwrap_or_else(|| {
            if self.waiting.len() >= MAX_WAITING {
                self.waiting.pop_front();
            }
            self.waiting.push_back(PendingRecords {
                session,
                ..PendingRecords::default()
            });
            self.waiting.len() - 1
        });
        &mut self.waiting[place]
    }

    fn place_of(&self, session: u64) -> Option<usize> {
        self.waiting
            .iter()
            .rposition(|waiting| waiting.session == session)
    }

    fn finish(&mut self, record: &mut SessionRecord) -> Result<Assembled, Malformed> {
        let place = self.place_of(record.session);
        let waiting = place.and_then(|place| self.waiting.remove(place));
        let PendingRecords {
            session: _,
            mut stacks,
            context,
            notes,
            syscall,
            arguments,
        } = waiting.unwrap_or_default();
        self.placement.settle(self.functions, record, &mut stacks);
        let calls = self.calls(&record.calls)?;
        let notes = self.notes(notes, &record.calls);
        let code = CodeOfCalls {
            calls: &calls,
            functions: self.functions,
            source: self.fates,
            has_gaps: record.cut_calls > 0,
        };
        let verdict = provenance::explain(&code, &self.told_refusals(&notes));
        let stack = stack_of(&verdict.chain, &record.calls, stacks);
        let missing_arguments =
            u32::from(record.has_syscall && syscall.is_none() && arguments.is_none());
        let missing_notes = record.n_notes.saturating_sub(notes.len() as u32);
        self.n_sessions += 1;
        let reason = self.reason(record, &calls);
        let header = SessionHeader {
            id: self.n_sessions,
            started: MonotonicNs(record.started_ns),
            ended: MonotonicNs(record.ended_ns),
            tgid: Pid(record.tgid),
            tid: Pid(record.tid),
            comm: mem::take(&mut record.comm),
            leader_comm: mem::take(&mut record.leader_comm),
            execution_context: execution_context(record.execution_context),
            context: context.map(context_of),
            workload: None,
        };
        Ok(Assembled {
            header,
            reason,
            calls,
            verdict,
            stack,
            losses: SessionLosses {
                missing_notes,
                missing_arguments,
                ..losses(record)
            },
            notes,
            syscall,
            arguments,
        })
    }

    /// Returns why the session was opened. In recordings of older versions only the entry function
    /// tells.
    fn reason(&self, record: &SessionRecord, calls: &[Call]) -> EntryReason {
        let of_entry = || self.functions.get(calls.first()?.func.index())?.entry;
        EntryReason::from_wire(record.reason)
            .or_else(of_entry)
            .unwrap_or(EntryReason::KernelFunction)
    }

    /// Returns the notes in order. Those of sources that this run does not have are left out.
    fn notes(&self, mut records: Vec<NoteRecord>, calls: &[CallRecord]) -> Vec<Note> {
        records.sort_by_key(|record| record.number);
        let note = |record: NoteRecord| {
            let source = record.source as usize;
            let decoded = self.sources.get(source)?;
            let inside = calls.binary_search_by_key(&record.inside, |call| call.seq);
            Some(Note {
                source,
                at: MonotonicNs(record.at_ns),
                inside: inside.ok(),
                n_started: calls.partition_point(|call| call.seq < record.next_seq),
                values: decoded.decode(&record.data, record.unread),
            })
        };
        records.into_iter().filter_map(note).collect()
    }

    /// Returns the notes of functions that only the function calls that refuses.
    fn told_refusals(&self, notes: &[Note]) -> Vec<ToldRefusal> {
        let is_told = |note: &&Note| {
            let source = self.sources.get(note.source);
            source.is_some_and(|source| TOLD_BY_DECIDER.contains(&source.name.as_str()))
        };
        let told = notes.iter().filter(is_told).filter_map(|note| {
            Some(ToldRefusal {
                inside: note.inside?,
                n_started: note.n_started,
            })
        });
        told.collect()
    }

    /// Builds the call tree. Records are in the order of their starts, so the caller of a call is
    /// the last record before it with a depth that is one less.
    fn calls(&self, records: &[CallRecord]) -> Result<Vec<Call>, Malformed> {
        let mut open: Vec<usize> = Vec::new();
        let mut calls: Vec<Call> = Vec::with_capacity(records.len());
        for record in records {
            let depth = usize::from(record.depth);
            let is_entry = calls.is_empty();
            if is_entry != (depth == 0) {
                return Err(Malformed);
            }
            // If the caller's record was overwritten, its level is missing. The next level above
            // then counts as the caller.
            open.truncate(depth.min(open.len()));
            calls.push(self.call(record, open.last().copied())?);
            open.push(calls.len() - 1);
        }
        if calls.is_empty() {
            Err(Malformed)
        } else {
            Ok(calls)
        }
    }

    fn call(&self, record: &CallRecord, parent: Option<usize>) -> Result<Call, Malformed> {
        let func = HookId(record.func);
        let function = self.functions.get(func.index()).ok_or(Malformed)?;
        let outcome = if record.returned {
            function.result.judge(record.result)
        } else {
            Outcome::Success
        };
        Ok(Call {
            func,
            parent,
            depth: record.depth,
            started: MonotonicNs(record.started_ns),
            duration_ns: record.duration_ns,
            result: record.result,
            outcome,
            returned: record.returned,
            call_site: (record.call_site != 0).then_some(Addr(record.call_site)),
            repeats: record.repeats.max(1),
        })
    }
}

/// Returns the stack that was taken at the innermost call of the chain that has one.
fn stack_of(
    chain: &[ChainLink],
    records: &[CallRecord],
    mut stacks: Vec<StackRecord>,
) -> Vec<Addr> {
    let taken = chain.iter().rev().find_map(|link| {
        let capture = records.get(link.call)?.capture;
        let is_of_call = |stack: &StackRecord| capture != 0 && stack.capture == capture;
        stacks.iter().position(is_of_call)
    });
    taken.map_or_else(Vec::new, |taken| stacks.swap_remove(taken).addrs)
}

fn context_of(record: ContextRecord) -> TaskContext {
    let ContextRecord {
        session: _,
        cgroup,
        mntns,
        pidns,
        netns,
        level,
        ns_tgid,
        ns_tid,
    } = record;
    TaskContext {
        cgroup,
        mntns,
        pidns,
        netns,
        inside: (level > 0).then_some((Pid(ns_tgid), Pid(ns_tid))),
    }
}

pub(super) fn execution_context(number: u16) -> ExecutionContext {
    match number {
        1 => ExecutionContext::SoftIrq,
        2 => ExecutionContext::HardIrq,
        3 => ExecutionContext::Nmi,
        _ => ExecutionContext::Task,
    }
}

fn losses(record: &SessionRecord) -> SessionLosses {
    SessionLosses {
        beyond_depth: record.beyond_depth,
        overwritten_calls: record.overwritten_calls,
        cut_calls: record.cut_calls,
        unreturned: record.unreturned,
        unmatched_returns: record.unmatched_returns,
        missing_stacks: record.missing_stacks,
        missing_notes: 0,
        missing_arguments: 0,
    }
}
