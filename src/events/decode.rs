// SPDX-License-Identifier: BSD-2-Clause
//! Decodes the wire format of the BPF programs (`bpf/include/events.h`) with bounds checks.

use std::error::Error;
use std::fmt;
use std::mem::offset_of;

use super::types::{
    ArgumentsRecord, CallRecord, CgroupRecord, ContextRecord, Event, ExitRecord, FunctionArguments,
    NoteRecord, OutputRecord, SessionRecord, StackRecord, SyscallRecord,
};
use crate::bpf::wire::{
    AREA_BYTES, AREA_NONE, CALL_FAILED, CALL_UNRETURNED, CGROUP_MADE, CGROUP_REMOVED, MAX_AREAS,
    MAX_CALLS, MAX_CGROUP_PATH, MAX_STACK, NOTE_BYTES, NUMBER_OF_FUNCTION, OUTPUT_BYTES,
    REC_CGROUP, REC_CONTEXT, REC_EXIT, REC_NOTE, REC_OUTPUT, REC_SESSION, REC_STACK, REC_SYSCALL,
    SESSION_HAS_SYSCALL, call_rec, rec_cgroup, rec_context, rec_exit, rec_hdr, rec_note,
    rec_output, rec_session, rec_stack, rec_syscall,
};
use crate::spec::Addr;
use crate::syscalls::{Abi, Area, SystemCall};

/// Why bytes are not a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The record is shorter than its header or its counts require.
    Truncated,
    /// The kind of the record is unknown.
    UnknownKind(u32),
    /// A count or an index exceeds its limit.
    OutOfRange,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the record is cut short"),
            Self::UnknownKind(kind) => write!(f, "the record is of unknown kind {kind}"),
            Self::OutOfRange => f.write_str("a count in the record is beyond its limit"),
        }
    }
}

impl Error for DecodeError {}

/// Decodes one record.
///
/// # Errors
///
/// When the bytes are not a record of this version's format.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let reader = Reader(bytes);
    match reader.u32(offset_of!(rec_hdr, kind))? {
        REC_STACK => stack(reader).map(Event::Stack),
        REC_CONTEXT => context(reader).map(Event::Context),
        REC_CGROUP => cgroup(reader).map(Event::Cgroup),
        REC_NOTE => note(reader).map(Event::Note),
        REC_SYSCALL => arguments(reader),
        REC_OUTPUT => output(reader).map(Event::Output),
        REC_EXIT => exit(reader).map(Event::Exit),
        REC_SESSION => session(reader).map(|session| Event::Session(Box::new(session))),
        kind => Err(DecodeError::UnknownKind(kind)),
    }
}

/// Returns true if the record belongs to no session, but says what the program wrote or that it
/// ended.
#[must_use]
pub fn is_told(bytes: &[u8]) -> bool {
    let kind = Reader(bytes).u32(offset_of!(rec_hdr, kind));
    kind == Ok(REC_OUTPUT) || kind == Ok(REC_EXIT)
}

/// Decodes the record of a cgroup that was created or removed; `None` if it is another record.
#[must_use]
pub fn decode_cgroup(bytes: &[u8]) -> Option<CgroupRecord> {
    let reader = Reader(bytes);
    let is_one = reader.u32(offset_of!(rec_hdr, kind)) == Ok(REC_CGROUP);
    cgroup(reader).ok().filter(|_| is_one)
}

fn stack(reader: Reader<'_>) -> Result<StackRecord, DecodeError> {
    let n_addrs = reader.u32(offset_of!(rec_stack, n_addrs))?;
    if n_addrs > MAX_STACK {
        return Err(DecodeError::OutOfRange);
    }
    let addrs = reader.bytes(offset_of!(rec_stack, addrs), 8 * n_addrs as usize)?;
    Ok(StackRecord {
        session: reader.u64(offset_of!(rec_hdr, session))?,
        capture: reader.u32(offset_of!(rec_stack, capture))?,
        addrs: addrs
            .as_chunks()
            .0
            .iter()
            .map(|addr| Addr(u64::from_ne_bytes(*addr)))
            .collect(),
    })
}

fn context(reader: Reader<'_>) -> Result<ContextRecord, DecodeError> {
    Ok(ContextRecord {
        session: reader.u64(offset_of!(rec_hdr, session))?,
        cgroup: reader.u64(offset_of!(rec_context, cgroup))?,
        mntns: reader.u32(offset_of!(rec_context, mntns))?,
        pidns: reader.u32(offset_of!(rec_context, pidns))?,
        netns: reader.u32(offset_of!(rec_context, netns))?,
        level: reader.u32(offset_of!(rec_context, level))?,
        ns_tgid: reader.u32(offset_of!(rec_context, ns_tgid))?,
        ns_tid: reader.u32(offset_of!(rec_context, ns_tid))?,
    })
}

fn cgroup(reader: Reader<'_>) -> Result<CgroupRecord, DecodeError> {
    let is_made = match reader.u32(offset_of!(rec_cgroup, event))? {
        CGROUP_MADE => true,
        CGROUP_REMOVED => false,
        _ => return Err(DecodeError::OutOfRange),
    };
    let len = reader.u32(offset_of!(rec_cgroup, len))?;
    if len > MAX_CGROUP_PATH {
        return Err(DecodeError::OutOfRange);
    }
    Ok(CgroupRecord {
        id: reader.u64(offset_of!(rec_cgroup, id))?,
        is_made,
        path: reader.text(offset_of!(rec_cgroup, path), len as usize)?,
    })
}

fn note(reader: Reader<'_>) -> Result<NoteRecord, DecodeError> {
    let len = reader.u32(offset_of!(rec_note, len))?;
    if len > NOTE_BYTES {
        return Err(DecodeError::OutOfRange);
    }
    Ok(NoteRecord {
        session: reader.u64(offset_of!(rec_hdr, session))?,
        at_ns: reader.u64(offset_of!(rec_note, at_ns))?,
        number: reader.u32(offset_of!(rec_note, number))?,
        source: reader.u32(offset_of!(rec_note, source))?,
        next_seq: reader.u32(offset_of!(rec_note, next_seq))?,
        inside: reader.u32(offset_of!(rec_note, inside))?,
        unread: reader.u32(offset_of!(rec_note, unread))?,
        data: reader
            .bytes(offset_of!(rec_note, data), len as usize)?
            .to_vec(),
    })
}

/// Decodes the arguments of a system call, or of another entry function.
fn arguments(reader: Reader<'_>) -> Result<Event, DecodeError> {
    let mut arguments = [0; 6];
    for (index, argument) in arguments.iter_mut().enumerate() {
        *argument = reader.u64(offset_of!(rec_syscall, args) + 8 * index)?;
    }
    let n_areas = reader.u32(offset_of!(rec_syscall, n_areas))? as usize;
    if n_areas > MAX_AREAS {
        return Err(DecodeError::OutOfRange);
    }
    let areas: Result<_, _> = (0..n_areas).map(|index| area(reader, index)).collect();
    let session = reader.u64(offset_of!(rec_hdr, session))?;
    let number = reader.u32(offset_of!(rec_syscall, number))?;
    if number == NUMBER_OF_FUNCTION {
        return Ok(Event::Arguments(ArgumentsRecord {
            session,
            arguments: FunctionArguments {
                words: arguments,
                texts: areas?,
            },
        }));
    }
    Ok(Event::Syscall(SyscallRecord {
        session,
        call: SystemCall {
            abi: match reader.u32(offset_of!(rec_syscall, is_compat))? {
                0 => Abi::Native,
                _ => Abi::Compat,
            },
            number,
            arguments,
            areas: areas?,
        },
    }))
}

fn area(reader: Reader<'_>, index: usize) -> Result<Area, DecodeError> {
    let len = reader.u32(offset_of!(rec_syscall, lens) + 4 * index)? as i32;
    let Ok(len) = usize::try_from(len) else {
        return Ok(if len == AREA_NONE {
            Area::None
        } else {
            Area::Unreadable
        });
    };
    if len > AREA_BYTES {
        return Err(DecodeError::OutOfRange);
    }
    let start = offset_of!(rec_syscall, data) + AREA_BYTES * index;
    Ok(Area::Bytes(reader.bytes(start, len)?.to_vec()))
}

fn output(reader: Reader<'_>) -> Result<OutputRecord, DecodeError> {
    let len = reader.u32(offset_of!(rec_output, len))?;
    if len > OUTPUT_BYTES {
        return Err(DecodeError::OutOfRange);
    }
    Ok(OutputRecord {
        at_ns: reader.u64(offset_of!(rec_output, at_ns))?,
        size: reader.u64(offset_of!(rec_output, size))?,
        tgid: reader.u32(offset_of!(rec_output, tgid))?,
        tid: reader.u32(offset_of!(rec_output, tid))?,
        comm: reader.name(offset_of!(rec_output, comm))?,
        text: reader
            .bytes(offset_of!(rec_output, text), len as usize)?
            .to_vec(),
    })
}

fn exit(reader: Reader<'_>) -> Result<ExitRecord, DecodeError> {
    Ok(ExitRecord {
        at_ns: reader.u64(offset_of!(rec_exit, at_ns))?,
        tgid: reader.u32(offset_of!(rec_exit, tgid))?,
        tid: reader.u32(offset_of!(rec_exit, tid))?,
        comm: reader.name(offset_of!(rec_exit, comm))?,
        code: reader.u32(offset_of!(rec_exit, code))?,
    })
}

fn session(reader: Reader<'_>) -> Result<SessionRecord, DecodeError> {
    let (mut calls, overwritten_calls) = calls(reader)?;
    calls.sort_by_key(|call| call.seq);
    Ok(SessionRecord {
        session: reader.u64(offset_of!(rec_hdr, session))?,
        seq: reader.u32(offset_of!(rec_hdr, seq))?,
        n_notes: reader.u32(offset_of!(rec_hdr, n_notes))?,
        has_syscall: reader.u32(offset_of!(rec_session, flags))? & SESSION_HAS_SYSCALL != 0,
        started_ns: reader.u64(offset_of!(rec_session, started_ns))?,
        ended_ns: reader.u64(offset_of!(rec_session, ended_ns))?,
        tgid: reader.u32(offset_of!(rec_session, tgid))?,
        tid: reader.u32(offset_of!(rec_session, tid))?,
        comm: reader.name(offset_of!(rec_session, comm))?,
        leader_comm: reader.name(offset_of!(rec_session, leader_comm))?,
        execution_context: reader.u16(offset_of!(rec_session, execution_context))?,
        reason: reader.u16(offset_of!(rec_session, reason))?,
        beyond_depth: reader.u32(offset_of!(rec_session, beyond_depth))?,
        overwritten_calls,
        cut_calls: reader.u32(offset_of!(rec_session, cut))?,
        unreturned: reader.u32(offset_of!(rec_session, unreturned))?,
        unmatched_returns: reader.u32(offset_of!(rec_session, unmatched_returns))?,
        missing_stacks: reader.u32(offset_of!(rec_session, missing_stacks))?,
        calls,
    })
}

/// Decodes the valid call records of the ring, and returns how many were overwritten.
fn calls(reader: Reader<'_>) -> Result<(Vec<CallRecord>, u32), DecodeError> {
    let low = reader
        .u32(offset_of!(rec_session, peak))?
        .saturating_sub(MAX_CALLS);
    let top = reader.u32(offset_of!(rec_session, top))?;
    let n_sent = reader.u32(offset_of!(rec_session, n_calls))?;
    // In recordings of before, `peak` may be far above `top`: the range is empty then.
    let low = low.min(top);
    let n_valid = top - low;
    if n_valid > MAX_CALLS || n_sent > MAX_CALLS {
        return Err(DecodeError::OutOfRange);
    }
    let calls: Result<_, _> = (low..top)
        .map(|index| {
            let index = index % MAX_CALLS;
            if index >= n_sent {
                Err(DecodeError::OutOfRange)
            } else {
                call(reader, index)
            }
        })
        .collect();
    Ok((calls?, low))
}

fn call(reader: Reader<'_>, index: u32) -> Result<CallRecord, DecodeError> {
    let base = offset_of!(rec_session, calls) + size_of::<call_rec>() * index as usize;
    let flags = reader.u16(base + offset_of!(call_rec, flags))?;
    Ok(CallRecord {
        started_ns: reader.u64(base + offset_of!(call_rec, started_ns))?,
        duration_ns: reader.u64(base + offset_of!(call_rec, duration_ns))?,
        result: reader.u64(base + offset_of!(call_rec, result))?,
        call_site: reader.u64(base + offset_of!(call_rec, call_site))?,
        func: reader.u32(base + offset_of!(call_rec, func))?,
        seq: reader.u32(base + offset_of!(call_rec, seq))?,
        repeats: reader.u32(base + offset_of!(call_rec, repeats))?,
        capture: reader.u32(base + offset_of!(call_rec, capture))?,
        depth: reader.u16(base + offset_of!(call_rec, depth))?,
        place: reader.u32(base + offset_of!(call_rec, place))?,
        failed: flags & CALL_FAILED != 0,
        returned: flags & CALL_UNRETURNED == 0,
    })
}

/// Reads values at fixed offsets with bounds checks.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(self, offset: usize) -> Result<[u8; N], DecodeError> {
        self.0
            .get(offset..)
            .and_then(|rest| rest.first_chunk::<N>())
            .copied()
            .ok_or(DecodeError::Truncated)
    }

    fn u16(self, offset: usize) -> Result<u16, DecodeError> {
        self.array(offset).map(u16::from_ne_bytes)
    }

    fn u32(self, offset: usize) -> Result<u32, DecodeError> {
        self.array(offset).map(u32::from_ne_bytes)
    }

    fn u64(self, offset: usize) -> Result<u64, DecodeError> {
        self.array(offset).map(u64::from_ne_bytes)
    }

    /// Reads a thread name of up to 16 bytes, which a zero byte may end.
    fn name(self, offset: usize) -> Result<Vec<u8>, DecodeError> {
        self.text(offset, 16)
    }

    /// Reads up to `len` bytes, which a zero byte may end.
    fn text(self, offset: usize, len: usize) -> Result<Vec<u8>, DecodeError> {
        let bytes = self.bytes(offset, len)?;
        let end = bytes.iter().position(|byte| *byte == 0);
        Ok(bytes[..end.unwrap_or(len)].to_vec())
    }

    fn bytes(self, offset: usize, len: usize) -> Result<&'a [u8], DecodeError> {
        let bytes = self.0.get(offset..).and_then(|rest| rest.get(..len));
        bytes.ok_or(DecodeError::Truncated)
    }
}
