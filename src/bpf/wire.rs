// SPDX-License-Identifier: BSD-2-Clause
//! The records of `bpf/include/events.h`, whose types libbpf-cargo generates from BTF, and the
//! constants that BTF does not contain. Sizes are asserted on both sides.

use std::mem::size_of;

pub use super::skel::types::{
    call_rec, flight_slot, rec_cgroup, rec_context, rec_exit, rec_hdr, rec_note, rec_output,
    rec_session, rec_stack, rec_syscall,
};
use crate::syscalls;

/// `REC_STACK`: a kernel stack.
pub const REC_STACK: u32 = 1;
/// `REC_SESSION`: a finished session.
pub const REC_SESSION: u32 = 2;
/// `REC_CONTEXT`: the cgroup and namespaces of a session's task.
pub const REC_CONTEXT: u32 = 3;
/// `REC_CGROUP`: a cgroup was created or removed.
pub const REC_CGROUP: u32 = 4;
/// `REC_NOTE`: a note of a session.
pub const REC_NOTE: u32 = 5;
/// `NUMBER_OF_FUNCTION`: the number that says that the arguments are of no system call.
pub const NUMBER_OF_FUNCTION: u32 = u32::MAX;

/// `REC_SYSCALL`: the system call that a session is about, or the arguments of another entry function.
pub const REC_SYSCALL: u32 = 6;
/// `REC_OUTPUT`: a task wrote to its standard error.
pub const REC_OUTPUT: u32 = 7;
/// `REC_EXIT`: a process ended.
pub const REC_EXIT: u32 = 8;
/// `MAX_SYSCALLS` of `limits.h`: numbers of system calls whose arguments may be known, of each table.
pub const MAX_SYSCALLS: usize = syscalls::MAX_NUMBER as usize;
/// `MAX_AREAS` of `limits.h`: arguments in memory that are read of one system call.
pub const MAX_AREAS: usize = 4;
/// `AREA_BYTES` of `limits.h`: bytes of such an argument.
pub const AREA_BYTES: usize = syscalls::AREA_BYTES;
/// `AREA_TEXT`: an argument that is read up to a NUL.
pub const AREA_TEXT: u8 = 1;
/// `AREA_SIZED`: an argument of a fixed size.
pub const AREA_SIZED: u8 = 2;
/// `AREA_COUNTED`: an argument whose size is another argument.
pub const AREA_COUNTED: u8 = 3;
/// `AREA_FILE`: the file of a descriptor.
pub const AREA_FILE: u8 = 4;
/// `AREA_DIRECTORY`: the same, of a path that is the next argument.
pub const AREA_DIRECTORY: u8 = 5;
/// `AREA_STRINGS`: an array of texts.
pub const AREA_STRINGS: u8 = 6;
/// `AREA_BUFFERS`: an array of buffers, whose number is another argument.
pub const AREA_BUFFERS: u8 = 7;
/// `AREA_MESSAGE`: a message of `sendmsg()`.
pub const AREA_MESSAGE: u8 = 8;
/// `AREA_NONE`: the argument was not read.
pub const AREA_NONE: i32 = -1;
/// `SESSION_HAS_SYSCALL`: the session's system call was sent, or lost.
pub const SESSION_HAS_SYSCALL: u32 = 2;
/// `CGROUP_MADE`: the cgroup was created.
pub const CGROUP_MADE: u32 = 1;
/// `CGROUP_REMOVED`: the cgroup was removed.
pub const CGROUP_REMOVED: u32 = 2;
/// `CALL_FAILED`: the call's result is classified as a failure.
pub const CALL_FAILED: u16 = 1;
/// `CALL_UNRETURNED`: the return of the call was not reported.
pub const CALL_UNRETURNED: u16 = 2;
/// `MAX_CALLS` of `limits.h`: size of the ring of finished calls, in records.
pub const MAX_CALLS: u32 = 64;
/// `MAX_CGROUP_PATH` of `limits.h`: bytes of a cgroup's path, including the NUL.
pub const MAX_CGROUP_PATH: u32 = 512;
/// `NOTE_BYTES` of `limits.h`: bytes of a note.
pub const NOTE_BYTES: u32 = 256;
/// `OUTPUT_BYTES` of `limits.h`: bytes of what a task wrote.
pub const OUTPUT_BYTES: u32 = 256;
/// `MAX_STACK` of `limits.h`: addresses of one stack.
pub const MAX_STACK: u32 = 127;
/// 64-bit words of a slot of the flight recorder.
pub const FLIGHT_WORDS: usize = 11;

/// The content of a slot of the flight recorder, which may be anything: see `flight.bpf.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlightWords(pub [u64; FLIGHT_WORDS]);

const _: () = assert!(size_of::<rec_hdr>() == 24);
const _: () = assert!(size_of::<rec_stack>() == 32 + 8 * MAX_STACK as usize);
const _: () = assert!(size_of::<call_rec>() == 56);
const _: () = assert!(size_of::<rec_session>() == 120 + 56 * MAX_CALLS as usize);
const _: () = assert!(size_of::<rec_context>() == 56);
const _: () = assert!(size_of::<rec_note>() == 56 + NOTE_BYTES as usize);
const _: () = assert!(size_of::<rec_syscall>() == 104 + MAX_AREAS * AREA_BYTES);
const _: () = assert!(size_of::<rec_output>() == 72 + OUTPUT_BYTES as usize);
const _: () = assert!(size_of::<rec_exit>() == 64);
const _: () = assert!(size_of::<rec_cgroup>() == 40 + MAX_CGROUP_PATH as usize);
const _: () = assert!(size_of::<flight_slot>() == 8 * FLIGHT_WORDS);
