// SPDX-License-Identifier: BSD-2-Clause
//! The records of the BPF programs as Rust values.

use crate::spec::Addr;
use crate::spec::MAX_ARGUMENT_WORDS;
use crate::syscalls::{Area, SystemCall};

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A kernel stack. The record of its session follows later.
    Stack(StackRecord),
    /// The workload of a session's task. The record of its session follows later.
    Context(ContextRecord),
    /// A session that ended.
    Session(Box<SessionRecord>),
    /// A cgroup that was created or removed.
    Cgroup(CgroupRecord),
    /// A note of a session. The record of its session follows later.
    Note(NoteRecord),
    /// The system call that a session is about. The record of its session follows later.
    Syscall(SyscallRecord),
    /// The arguments of the entry function, which is no system call. The record of its session follows
    /// later.
    Arguments(ArgumentsRecord),
    /// What a task wrote to its standard error.
    Output(OutputRecord),
    /// A process that ended.
    Exit(ExitRecord),
}

/// What a task wrote to its standard error by one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputRecord {
    /// When it had written, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// Number of bytes that it wrote.
    pub size: u64,
    /// Process id (thread group id).
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name of the thread, raw.
    pub comm: Vec<u8>,
    /// The first bytes of what it wrote, raw: less than 256, and as far as they could be read.
    pub text: Vec<u8>,
}

/// A process that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitRecord {
    /// When it ended, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// Process id (thread group id).
    pub tgid: u32,
    /// Thread id of its last thread.
    pub tid: u32,
    /// Name of its first thread, raw.
    pub comm: Vec<u8>,
    /// How it ended, as `waitpid` gives it: the exit status times 256, or the number of a signal,
    /// with 128 added if the kernel wrote a core file.
    pub code: u32,
}

/// The system call that a session is about, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyscallRecord {
    /// Number of the session on the wire.
    pub session: u64,
    /// The call.
    pub call: SystemCall,
}

/// The arguments of a session's entry function, which is no system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentsRecord {
    /// Number of the session on the wire.
    pub session: u64,
    /// The arguments.
    pub arguments: FunctionArguments,
}

/// Arguments of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionArguments {
    /// The first words of them. A function without that many has there what the registers happened to
    /// hold.
    pub words: [u64; MAX_ARGUMENT_WORDS],
    /// The texts that arguments point to, as they were at the end of the call, in the order of the
    /// parameters.
    pub texts: Vec<Area>,
}

/// What happened in a session and is no call of a traced function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteRecord {
    /// Number of the session on the wire.
    pub session: u64,
    /// When it happened, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// Number of the note in its session, from 0.
    pub number: u32,
    /// Number of its source.
    pub source: u32,
    /// Calls with a lower `seq` had started.
    pub next_seq: u32,
    /// `seq` of the innermost call that was open.
    pub inside: u32,
    /// A bit for each value that could not be read.
    pub unread: u32,
    /// What the source wrote.
    pub data: Vec<u8>,
}

/// The cgroup and the namespaces of a session's task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextRecord {
    /// Number of the session on the wire.
    pub session: u64,
    /// Id of the cgroup in the unified hierarchy.
    pub cgroup: u64,
    /// Inode number of the mount namespace; 0 if unknown.
    pub mntns: u32,
    /// Inode number of the PID namespace; 0 if unknown.
    pub pidns: u32,
    /// Inode number of the network namespace; 0 if unknown.
    pub netns: u32,
    /// Number of PID namespaces above the task's own.
    pub level: u32,
    /// Process id in the task's own PID namespace.
    pub ns_tgid: u32,
    /// Thread id in the task's own PID namespace.
    pub ns_tid: u32,
}

/// A cgroup of the unified hierarchy that was created or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupRecord {
    /// Id of the cgroup.
    pub id: u64,
    /// True if it was created, false if it was removed.
    pub is_made: bool,
    /// Path from the root of the hierarchy, with a leading slash. A long path is truncated.
    pub path: Vec<u8>,
}

/// A kernel stack that was captured at a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackRecord {
    /// Number of the session on the wire.
    pub session: u64,
    /// Number of the stack within the session, from 1.
    pub capture: u32,
    /// Addresses, innermost first.
    pub addrs: Vec<Addr>,
}

/// A session that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRecord {
    /// Number of the session on the wire.
    pub session: u64,
    /// Number of records of this session that were sent before this one.
    pub seq: u32,
    /// Number of notes that the session had, including those that were overwritten or lost.
    pub n_notes: u32,
    /// Whether its system call was sent, or lost on the way.
    pub has_syscall: bool,
    /// Start in nanoseconds of the monotonic clock.
    pub started_ns: u64,
    /// End in nanoseconds of the monotonic clock.
    pub ended_ns: u64,
    /// Process id in the initial PID namespace.
    pub tgid: u32,
    /// Thread id in the initial PID namespace.
    pub tid: u32,
    /// Thread name without padding.
    pub comm: Vec<u8>,
    /// Name of the thread group leader without padding.
    pub leader_comm: Vec<u8>,
    /// The context, as a value of `enum execution_context`.
    pub execution_context: u16,
    /// Why it was opened, as a value of `enum entry_reason`; 0 in recordings of older versions.
    pub reason: u16,
    /// Number of calls beyond the maximum depth, which were not recorded.
    pub beyond_depth: u32,
    /// Number of overwritten call records.
    pub overwritten_calls: u32,
    /// Number of call records that were discarded because the calls came after a failure.
    pub cut_calls: u32,
    /// Number of calls without a return.
    pub unreturned: u32,
    /// Number of returns without a call.
    pub unmatched_returns: u32,
    /// Number of stacks that could not be captured.
    pub missing_stacks: u32,
    /// The call records, in the order in which the calls started.
    pub calls: Vec<CallRecord>,
}

/// A call record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallRecord {
    /// Start in nanoseconds of the monotonic clock.
    pub started_ns: u64,
    /// Duration in nanoseconds.
    pub duration_ns: u64,
    /// Value of the return register.
    pub result: u64,
    /// Return address of the call; 0 if unknown.
    pub call_site: u64,
    /// Id of the function.
    pub func: u32,
    /// Position among the calls of the session, in the order of their start.
    pub seq: u32,
    /// Number of equal consecutive calls that this record represents.
    pub repeats: u32,
    /// Number of the stack that was captured at its failure; 0 if there is none.
    pub capture: u32,
    /// Number of traced calls above it.
    pub depth: u16,
    /// Lower half of the function's address if it is known only from the call; else 0.
    pub place: u32,
    /// Whether the BPF programs judged it a failure.
    pub failed: bool,
    /// Whether its return was seen.
    pub returned: bool,
}
