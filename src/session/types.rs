// SPDX-License-Identifier: BSD-2-Clause
//! The types of a finished session, from the call of an entry function to its return.

use std::rc::Rc;

use crate::events::FunctionArguments;
use crate::spec::{Addr, EntryReason, HookId, Ip, NoteValue, Outcome, Pid};
use crate::syscalls::SystemCall;

/// A point in time of the kernel's monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonotonicNs(pub u64);

/// The context in which a session ran. Calls in an interrupt never belong to the session of the
/// task that it interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExecutionContext {
    /// A task: process context.
    Task,
    /// A softirq.
    SoftIrq,
    /// A hardware interrupt.
    HardIrq,
    /// A non-maskable interrupt.
    Nmi,
}

/// One call of a traced function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Id of the called function, an index into the traced functions of the run.
    pub func: HookId,
    /// Index of the traced caller in [`Chain::calls`]; `None` for the entry function's call.
    pub parent: Option<usize>,
    /// Number of traced calls above this one: 0 for the entry function's call.
    pub depth: u16,
    /// When the function was called.
    pub started: MonotonicNs,
    /// Duration in nanoseconds; if `repeats` > 1, that of the last call.
    pub duration_ns: u64,
    /// The return register; meaningless if the call did not return.
    pub result: u64,
    /// The meaning of `result` by the function's result type; a success if the call did not return.
    pub outcome: Outcome,
    /// False if no return was seen: a noreturn function, a tail call, or a return that the kernel
    /// did not report.
    pub returned: bool,
    /// The return address of the call; `None` if the back end does not report it.
    pub call_site: Option<Addr>,
    /// Number of equal consecutive calls that this record stands for (same function, same failure);
    /// at least 1.
    pub repeats: u32,
}

/// Where the result of a link of the chain comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// The call returned what the next link had returned.
    PassedOn,
    /// The call turned the next link's failure into another one.
    Translated,
    /// No traced call below explains the result: the failure was made here, as far as was traced.
    Origin,
    /// The call carries no result of its own (such as void) or did not return.
    Transparent,
}

/// One link of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// Index into [`Chain::calls`].
    pub call: usize,
    /// Where the call's result comes from.
    pub link: LinkKind,
}

/// One row of the merged stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackRow {
    /// The instruction pointer in the stack; `None` if the stack has none for this row.
    pub ip: Option<Ip>,
    /// The traced call that this row shows, as an index into [`Chain::links`]; `None` for an
    /// untraced function.
    pub link: Option<usize>,
    /// True if the row is part of the tracing itself (trampoline, BPF program). Such rows are
    /// hidden by default.
    pub is_tracer: bool,
}

/// What was lost or cut inside one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionLosses {
    /// Number of calls beyond the depth limit; they are counted but not recorded.
    pub beyond_depth: u32,
    /// Number of call records that were overwritten by later ones.
    pub overwritten_calls: u32,
    /// Number of finished calls after a failure (mostly cleanup) that were discarded to keep the
    /// records before it.
    pub cut_calls: u32,
    /// Number of calls whose return was not seen.
    pub unreturned: u32,
    /// Number of returns whose call was not seen.
    pub unmatched_returns: u32,
    /// Number of kernel stacks that could not be taken or sent.
    pub missing_stacks: u32,
    /// Number of notes that were overwritten by later ones, or could not be sent.
    pub missing_notes: u32,
    /// 1 if the arguments of the system call could not be sent, else 0.
    pub missing_arguments: u32,
}

/// Something that happened in the session and is no call of a traced function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its source, as an index into the sources of the run.
    pub source: usize,
    /// When it happened.
    pub at: MonotonicNs,
    /// The innermost traced call that was open, as an index into [`Chain::calls`]; `None` if its
    /// record was not kept.
    pub inside: Option<usize>,
    /// Number of calls in [`Chain::calls`] that had started.
    pub n_started: usize,
    /// Its values, in the order of the source's fields.
    pub values: Vec<NoteValue>,
}

/// Where the culprit's failure may have come from besides the culprit itself: callees that this run
/// does not trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// Whether the culprit's own instructions make this error; `None` if the code does not tell.
    pub made_here: Option<bool>,
    /// Untraced functions that the culprit calls directly and that may have returned the error,
    /// most likely first.
    pub callees: Vec<UntracedCallee>,
    /// True if the culprit also calls functions through pointers.
    pub through_pointers: bool,
    /// The untraced function that made the error, if the code leaves no other: a direct callee of the
    /// culprit, or a function below that.
    pub maker: Option<UntracedMaker>,
}

/// An untraced function that alone can have made an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntracedMaker {
    /// The function.
    pub function: UntracedCallee,
    /// Name of the untraced function that called it; `None` if the culprit itself did.
    pub caller: Option<String>,
}

/// A function that is called by the culprit and not traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntracedCallee {
    /// Name of its symbol.
    pub name: String,
    /// Name of its module; `None` for the kernel image.
    pub module: Option<String>,
    /// Address of its start.
    pub addr: Addr,
    /// Whether it can be traced: its code has a place for tracers.
    pub is_traceable: bool,
}

impl Trail {
    /// Returns true if only the culprit itself can have made the error.
    #[must_use]
    pub fn ends_here(&self) -> bool {
        self.made_here != Some(false) && self.callees.is_empty() && !self.through_pointers
    }
}

/// The cgroup and the namespaces of a session's task, as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskContext {
    /// Id of its cgroup in the unified hierarchy.
    pub cgroup: u64,
    /// Inode number of its mount namespace; 0 if unknown.
    pub mntns: u32,
    /// Inode number of its PID namespace; 0 if unknown.
    pub pidns: u32,
    /// Inode number of its network namespace; 0 if unknown.
    pub netns: u32,
    /// Process and thread id inside its own PID namespace; `None` if it is in the initial one.
    pub inside: Option<(Pid, Pid)>,
}

/// The names for a [`TaskContext`], as far as they are known. Untrusted programs choose these
/// names: escape them before output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Path of the cgroup from the root of the hierarchy.
    pub cgroup: Option<String>,
    /// Name of the systemd unit.
    pub unit: Option<String>,
    /// The container that the task runs in.
    pub container: Option<ContainerName>,
}

/// A container, as described by the files of its runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerName {
    /// The runtime: `docker`, `containerd`, `cri-o`, `podman`, `systemd-nspawn`, `lxc`…
    pub runtime: String,
    /// Container id, in the form that the runtime uses.
    pub id: String,
    /// Container name; `None` if no file states it.
    pub name: Option<String>,
    /// The image that the container was created from; `None` if no file states it.
    pub image: Option<String>,
    /// Name of the pod that the container belongs to; `None` outside of a pod or if unknown.
    pub pod: Option<String>,
    /// Namespace of the pod; `None` if there is no pod or if unknown.
    pub namespace: Option<String>,
    /// User id of the owner of a rootless container; `None` for a container of the host.
    pub user: Option<u32>,
}

/// Who called, when, and in which context: what every session has, whatever was traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionHeader {
    /// Number of the session in this run, in the order in which sessions were assembled, from 1.
    pub id: u64,
    /// When the session was opened.
    pub started: MonotonicNs,
    /// When it ended.
    pub ended: MonotonicNs,
    /// Process id (thread group id).
    pub tgid: Pid,
    /// Thread id.
    pub tid: Pid,
    /// Name of the thread: raw bytes that the traced program chose. Escape them before output.
    pub comm: Vec<u8>,
    /// Name of the thread group's leader, as raw as `comm`.
    pub leader_comm: Vec<u8>,
    /// The context in which the session ran.
    pub execution_context: ExecutionContext,
    /// Cgroup and namespaces of the task; `None` if the record was lost, or in old recordings.
    pub context: Option<TaskContext>,
    /// The names for `context`; `None` if they were not looked up.
    pub workload: Option<Rc<Workload>>,
}

/// The traced calls of a session, and how its failure travelled through them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The recorded calls, in the order in which they were made; `calls[0]` is the entry
    /// function's.
    pub calls: Vec<Call>,
    /// The links from the entry function down to the culprit; never empty.
    pub links: Vec<ChainLink>,
    /// True if the last link is certainly the culprit: its failure has no other explanation among
    /// the traced functions, nor below it among the untraced ones.
    pub certain: bool,
    /// The trail of the culprit; `None` if nothing failed or the machine code is unknown.
    pub trail: Option<Trail>,
    /// Failed calls that do not explain the result, as indexes into `calls` in ascending order.
    pub handled: Vec<usize>,
    /// True if nothing failed: a netlink request started a dump, which its handler reports with
    /// `-EINTR`.
    pub only_starts_dumps: bool,
    /// Kernel stack and links, merged; outermost row first.
    pub stack: Vec<StackRow>,
    /// What was lost or cut in this session.
    pub losses: SessionLosses,
}

/// A finished session.
///
/// What is known of it besides the chain is in parts of their own, which code that does not need
/// them does not notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who called, and when.
    pub header: SessionHeader,
    /// Why the session was opened.
    pub reason: EntryReason,
    /// The traced calls.
    pub chain: Chain,
    /// What else happened, in order.
    pub notes: Vec<Note>,
    /// The system call that the session is about; `None` if it is about something else, if the
    /// arguments were not to be read, or in old recordings.
    pub syscall: Option<SystemCall>,
    /// The arguments of the entry function; `None` if it is a system call, or if they were not kept.
    pub arguments: Option<FunctionArguments>,
}

impl Session {
    /// Returns the call that made the session's failure, as far as was traced; `None` for a
    /// success.
    #[must_use]
    pub fn culprit(&self) -> Option<&Call> {
        let chain = &self.chain;
        let call = chain.calls.get(chain.links.last()?.call)?;
        call.outcome.is_failure().then_some(call)
    }

    /// Returns the call whose failure the session ends with: the first failed one of the chain. It is
    /// the entry function's if that failed. The entry function succeeds if it returns nothing, or if it
    /// is a system call that carries a netlink request which is answered with an error. `None` for a
    /// success.
    #[must_use]
    pub fn failed_call(&self) -> Option<&Call> {
        self.chain_calls().find(|call| call.outcome.is_failure())
    }

    /// Returns the calls of the chain, from the entry function down to the culprit.
    pub fn chain_calls(&self) -> impl Iterator<Item = &Call> {
        let links = self.chain.links.iter();
        links.filter_map(|link| self.chain.calls.get(link.call))
    }

    /// Returns the entry function's call; `None` if there are no calls.
    #[must_use]
    pub fn entry(&self) -> Option<&Call> {
        self.chain.calls.first()
    }
}
