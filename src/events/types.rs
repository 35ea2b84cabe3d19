// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel side reports, as values of our own.

use crate::spec::Addr;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A kernel stack of a session that is reported next.
    Stack(StackRecord),
    /// What the task of a session that is reported next is a part of.
    Context(ContextRecord),
    /// A finished session.
    Session(Box<SessionRecord>),
    /// A cgroup came or went.
    Cgroup(CgroupRecord),
}

/// What a session's task is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextRecord {
    /// The session's number on the wire.
    pub session: u64,
    /// Its cgroup's id in the unified hierarchy.
    pub cgroup: u64,
    /// Inode number of its mount namespace; 0: unknown.
    pub mntns: u32,
    /// Of its PID namespace.
    pub pidns: u32,
    /// Of its network namespace.
    pub netns: u32,
    /// PID namespaces above its own.
    pub level: u32,
    /// Its process id in its own PID namespace.
    pub ns_tgid: u32,
    /// Its thread id there.
    pub ns_tid: u32,
}

/// A cgroup of the unified hierarchy that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupRecord {
    /// Its id.
    pub id: u64,
    /// Whether it came; else it went.
    pub is_made: bool,
    /// Its path from the root of the hierarchy, with a leading slash; cut off where it is long.
    pub path: Vec<u8>,
}

/// A kernel stack taken where a failure was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackRecord {
    /// The session's number on the wire.
    pub session: u64,
    /// The stack's number within the session, from 1.
    pub capture: u32,
    /// Innermost first.
    pub addrs: Vec<Addr>,
}

/// A finished session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its number on the wire.
    pub session: u64,
    /// Records of this session sent before this one.
    pub seq: u32,
    /// Monotonic, nanoseconds.
    pub started_ns: u64,
    /// Monotonic, nanoseconds.
    pub ended_ns: u64,
    /// Process id.
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Thread name, without the padding.
    pub comm: Vec<u8>,
    /// Name of the thread group's leader.
    pub leader_comm: Vec<u8>,
    /// `enum lane`.
    pub lane: u32,
    /// Calls beyond the depth cap.
    pub beyond_depth: u32,
    /// Finished calls overwritten by later ones.
    pub overwritten_calls: u32,
    /// Finished calls given up because they were made after a failure.
    pub cut_calls: u32,
    /// Calls without a seen return.
    pub unreturned: u32,
    /// Returns without a seen call.
    pub unmatched_returns: u32,
    /// Stacks wanted and not had.
    pub missing_stacks: u32,
    /// Finished calls in the order in which they started.
    pub calls: Vec<CallRecord>,
}

/// A finished call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallRecord {
    /// Monotonic, nanoseconds.
    pub started_ns: u64,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// Return register.
    pub result: u64,
    /// Return address of the call; 0 where unknown.
    pub call_site: u64,
    /// Function id.
    pub func: u32,
    /// Order of start in the session.
    pub seq: u32,
    /// Equal calls in a row that this one stands for.
    pub repeats: u32,
    /// Number of the stack taken at its failure; 0 if none.
    pub capture: u32,
    /// Traced calls above it.
    pub depth: u16,
    /// Lower half of the function's address, where only a call tells it; else 0.
    pub place: u32,
    /// Judged a failure.
    pub failed: bool,
    /// Its return was seen.
    pub returned: bool,
}
