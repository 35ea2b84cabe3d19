// SPDX-License-Identifier: BSD-2-Clause
//! A finished session: what happened between an entry function's call and its return.

use std::rc::Rc;

use crate::spec::{Addr, FuncId, Outcome, Pid};

/// A point of the kernel's monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonotonicNs(pub u64);

/// The context a session ran in; interrupts never enter the chain of the task they interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// An ordinary task.
    Task,
    /// A softirq.
    SoftIrq,
    /// A hardware interrupt.
    HardIrq,
    /// A non-maskable interrupt.
    Nmi,
}

/// One traced call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function called.
    pub func: FuncId,
    /// The traced call it was made from, an index into [`Session::calls`]; `None` for the entry.
    pub parent: Option<usize>,
    /// Number of traced calls above it: 0 for the entry.
    pub depth: u16,
    /// When it was called.
    pub started: MonotonicNs,
    /// How long it ran, in nanoseconds (of the last one where `repeats` > 1).
    pub duration_ns: u64,
    /// The return register; meaningless where the call did not return.
    pub result: u64,
    /// What the result means by the function's type.
    pub outcome: Outcome,
    /// False where no return was seen: noreturn, a tail call, a return the kernel did not report.
    pub returned: bool,
    /// The return address of the call, where the back end could tell.
    pub call_site: Option<Addr>,
    /// How many equal calls in a row this stands for (same function, same failure); ≥ 1.
    pub repeats: u32,
}

/// How a link of the chain came by its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// It returned what the next link had returned.
    PassedOn,
    /// It turned the next link's failure into another one.
    Translated,
    /// Nothing below it explains its result: the failure was made here, as far as was traced.
    Origin,
    /// It carries no result of its own (void and the like) or did not return.
    Transparent,
}

/// One link of the failing chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// Index into [`Session::calls`].
    pub call: usize,
    /// Where its result came from.
    pub link: Link,
}

/// One row of the merged stack, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackRow {
    /// The address, where the kernel's stack has one for this row.
    pub addr: Option<Addr>,
    /// Whether `addr` is a return address (the call is at `addr - 1`) or exact.
    pub is_return: bool,
    /// The traced call that this row shows: an index into [`Session::chain`].
    pub link: Option<usize>,
    /// Part of the tracing itself (trampoline, BPF program): left out by default.
    pub is_tracer: bool,
}

/// What was lost or cut inside one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionLosses {
    /// Calls beyond the depth cap: counted, not recorded.
    pub beyond_depth: u32,
    /// Finished calls whose record was overwritten by later ones.
    pub overwritten_calls: u32,
    /// Finished calls that were made after a failure (cleanup, mostly) and given up for the sake of
    /// the records before it.
    pub cut_calls: u32,
    /// Calls without a seen return.
    pub unreturned: u32,
    /// Returns without a seen call.
    pub unmatched_returns: u32,
    /// Kernel stacks wanted and not had.
    pub missing_stacks: u32,
}

/// Where the culprit's failure may have come from, beside the culprit itself: what it calls and
/// this run does not trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// Whether its own instructions make this very error; `None` where that cannot be told.
    pub made_here: Option<bool>,
    /// Functions that it calls directly, not traced, which may have returned the error; the
    /// likeliest first.
    pub callees: Vec<UntracedCallee>,
    /// It calls through pointers, too.
    pub through_pointers: bool,
}

/// A function that is not traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntracedCallee {
    /// Its name.
    pub name: String,
    /// Its module.
    pub module: Option<String>,
}

impl Trail {
    /// Whether only the culprit itself can have made the error.
    #[must_use]
    pub fn ends_here(&self) -> bool {
        self.made_here != Some(false) && self.callees.is_empty() && !self.through_pointers
    }
}

/// What a session's task is a part of, by numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskContext {
    /// Id of its cgroup in the unified hierarchy.
    pub cgroup: u64,
    /// Inode number of its mount namespace; 0: unknown.
    pub mntns: u32,
    /// Of its PID namespace.
    pub pidns: u32,
    /// Of its network namespace.
    pub netns: u32,
    /// Its process and thread ids as it sees them itself, where that is in a PID namespace of its
    /// own.
    pub inside: Option<(Pid, Pid)>,
}

/// The same by names, as far as they are known. All are chosen by others: escape them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Path of the cgroup from the root of the hierarchy.
    pub cgroup: Option<String>,
    /// The systemd unit.
    pub unit: Option<String>,
    /// The container.
    pub container: Option<ContainerName>,
}

/// A container, as far as files tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerName {
    /// `docker`, `containerd`, `cri-o`, `podman`, `systemd-nspawn`, `lxc`…
    pub runtime: String,
    /// Its id, as its runtime has it.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// The image that it was made from.
    pub image: Option<String>,
    /// The pod that it belongs to.
    pub pod: Option<String>,
    /// The namespace of the pod.
    pub namespace: Option<String>,
    /// The user whose it is; `None`: the host's.
    pub user: Option<u32>,
}

/// A finished session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Unique in this run, counted in the order in which sessions were reported, from 1.
    pub id: u64,
    /// When the entry function was called.
    pub started: MonotonicNs,
    /// When it returned.
    pub ended: MonotonicNs,
    /// Process id.
    pub tgid: Pid,
    /// Thread id.
    pub tid: Pid,
    /// The thread's name: raw bytes that the traced program chose, to be escaped when shown.
    pub comm: Vec<u8>,
    /// The name of the thread group's leader.
    pub leader_comm: Vec<u8>,
    /// Where it ran.
    pub lane: Lane,
    /// What its task is a part of; `None` where the record got lost, or in old recordings.
    pub context: Option<TaskContext>,
    /// The same by names, where anybody looked.
    pub workload: Option<Rc<Workload>>,
    /// The calls that were kept, in the order in which they were made; `calls[0]` is the entry.
    pub calls: Vec<Call>,
    /// From the entry function down to the culprit; never empty.
    pub chain: Vec<ChainLink>,
    /// Whether the last link of `chain` is sure to be the culprit: its failure has no other
    /// explanation among what was traced, nor below it among what was not.
    pub certain: bool,
    /// What the culprit's machine code says about where its failure may have come from; `None`
    /// where nothing failed or the code is not known.
    pub trail: Option<Trail>,
    /// Failing calls that do not explain the result, in the order in which they were made.
    pub handled: Vec<usize>,
    /// Nothing failed: a netlink request started a dump, which its handler says by `-EINTR`.
    pub only_starts_dumps: bool,
    /// Kernel stack and chain, merged.
    pub stack: Vec<StackRow>,
    /// What is missing.
    pub losses: SessionLosses,
}

impl Session {
    /// The call that made the session's failure, as far as was traced; `None` for a success.
    #[must_use]
    pub fn culprit(&self) -> Option<&Call> {
        let call = self
            .chain
            .last()
            .and_then(|link| self.calls.get(link.call))?;
        call.outcome.is_failure().then_some(call)
    }

    /// The entry function's call.
    #[must_use]
    pub fn entry(&self) -> Option<&Call> {
        self.calls.first()
    }
}
