// SPDX-License-Identifier: BSD-2-Clause
//! Arranges the calls of the flight recorder: by thread, and in the order in which they were made.

use std::collections::HashMap;
use std::rc::Rc;

use super::assemble::execution_context;
use super::types::{Call, ExecutionContext, MonotonicNs, Workload};
use crate::events::FlightRecord;
use crate::select::TracedFunction;
use crate::spec::{HookId, Outcome, Pid};

/// What the flight recorder held when it was written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightDump {
    /// Why it was written out.
    pub reason: DumpReason,
    /// When.
    pub at: MonotonicNs,
    /// The threads, the one whose last call ended last at the end.
    pub threads: Vec<FlightThread>,
    /// Number of calls that later ones overwrote, of all threads.
    pub overwritten: u64,
    /// Number of calls that could not be read, of all threads.
    pub torn: u64,
    /// Whether only the calls of one container are shown.
    pub of_container: bool,
}

/// Why the flight recorder was written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DumpReason {
    /// A call failed in a session that was shown.
    Error {
        /// The called function.
        func: HookId,
        /// The return register.
        result: u64,
        /// Its meaning.
        outcome: Outcome,
        /// Number of the session in this run.
        session: u64,
    },
    /// So many sessions were shown since the last time.
    Sessions(u64),
    /// SIGUSR1 came.
    Signal,
    /// The command ended with this status, which is not 0.
    CommandStatus(u8),
}

/// The calls of one thread, or of one kind of interrupt on one CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightThread {
    /// The context in which the calls ran.
    pub execution_context: ExecutionContext,
    /// The CPU of the last call.
    pub cpu: u32,
    /// Process id (thread group id); of an interrupt: that of the interrupted task.
    pub tgid: Pid,
    /// Thread id.
    pub tid: Pid,
    /// Name of the thread at its last call: raw bytes that the traced program chose. Escape them
    /// before output.
    pub comm: Vec<u8>,
    /// Name of the thread group's leader, as raw as `comm`; `None` if it is not known any more.
    pub leader_comm: Option<Vec<u8>>,
    /// Id of its cgroup in the unified hierarchy at the start of its last session.
    pub cgroup: u64,
    /// The names for its cgroup; `None` if they are not known.
    pub workload: Option<Rc<Workload>>,
    /// The calls, in the order in which they were made.
    pub calls: Vec<FlightCall>,
}

/// A call, and the session that it was made in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightCall {
    /// When the session started.
    pub session: MonotonicNs,
    /// Position among the calls of the session, in the order of their start.
    pub seq: u32,
    /// The call. It has no `parent`, since the caller may be open or overwritten.
    pub call: Call,
}

/// What identifies a [`FlightThread`]: the context, and the thread or the CPU.
type ThreadKey = (u16, u32, u32);

/// Arranges calls by thread. Returns the threads, and how many calls are of no traced function.
#[must_use]
pub fn flight_threads(
    records: impl IntoIterator<Item = FlightRecord>,
    functions: &[TracedFunction],
) -> (Vec<FlightThread>, u64) {
    let mut threads: HashMap<ThreadKey, FlightThread> = HashMap::new();
    let mut ends: HashMap<ThreadKey, u64> = HashMap::new();
    let mut unknown = 0;
    for record in records {
        let func = HookId(record.func);
        let Some(function) = functions.get(func.index()) else {
            unknown += 1;
            continue;
        };
        let key = key_of(&record);
        let end = record.started_ns.saturating_add(record.duration_ns);
        let last_end = ends.entry(key).or_insert(end);
        let is_last = end >= *last_end;
        *last_end = end.max(*last_end);
        let call = FlightCall {
            session: MonotonicNs(record.session_ns),
            seq: record.seq,
            call: Call {
                func,
                parent: None,
                depth: record.depth,
                started: MonotonicNs(record.started_ns),
                duration_ns: record.duration_ns,
                result: record.result,
                outcome: function.result.judge(record.result),
                returned: true,
                call_site: None,
                repeats: 1,
            },
        };
        let thread = threads.entry(key).or_insert_with(|| thread_of(&record));
        if is_last {
            thread.cpu = record.cpu;
            thread.cgroup = record.cgroup;
            thread.comm = name(record.comm);
        }
        thread.calls.push(call);
    }
    let mut threads: Vec<_> = threads.into_iter().collect();
    // Equal ends must not leave the order to the hash.
    threads.sort_by_key(|(key, _)| (ends.get(key).copied(), *key));
    let mut threads: Vec<FlightThread> = threads.into_iter().map(|(_, thread)| thread).collect();
    name_leaders(&mut threads);
    for thread in &mut threads {
        let calls = &mut thread.calls;
        calls.sort_by_key(|call| (call.session, call.seq, call.call.depth));
    }
    (threads, unknown)
}

/// Returns a name without padding.
fn name(comm: [u8; 16]) -> Vec<u8> {
    let end = comm.iter().position(|byte| *byte == 0);
    comm[..end.unwrap_or(comm.len())].to_vec()
}

fn key_of(record: &FlightRecord) -> ThreadKey {
    match execution_context(record.execution_context) {
        ExecutionContext::Task => (0, record.tgid, record.tid),
        _ => (record.execution_context, record.cpu, 0),
    }
}

fn thread_of(record: &FlightRecord) -> FlightThread {
    FlightThread {
        execution_context: execution_context(record.execution_context),
        cpu: record.cpu,
        tgid: Pid(record.tgid),
        tid: Pid(record.tid),
        comm: Vec::new(),
        leader_comm: None,
        cgroup: record.cgroup,
        workload: None,
        calls: Vec::new(),
    }
}

/// A leader is named by its own calls.
fn name_leaders(threads: &mut [FlightThread]) {
    let leaders: HashMap<Pid, Vec<u8>> = threads
        .iter()
        .filter(|thread| thread.execution_context == ExecutionContext::Task)
        .filter(|thread| thread.tid == thread.tgid)
        .map(|thread| (thread.tgid, thread.comm.clone()))
        .collect();
    for thread in threads {
        thread.leader_comm = leaders.get(&thread.tgid).cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::{FlightThread, flight_threads};
    use crate::events::FlightRecord;
    use crate::select::TracedFunction;
    use crate::session::ExecutionContext;
    use crate::spec::{Addr, Hook, HookId, Outcome, ResultType};

    fn functions() -> Vec<TracedFunction> {
        let function = |id: u32| TracedFunction {
            id: HookId(id),
            name: format!("function_{id}"),
            module: None,
            hook: Hook::KernelFunction(Addr(0)),
            size: 1,
            entry: None,
            result: ResultType::Signed(4),
            prototype: None,
            parameters: Vec::new(),
        };
        (0..2).map(function).collect()
    }

    fn comm(text: &str) -> [u8; 16] {
        let mut comm = [0; 16];
        comm[..text.len()].copy_from_slice(text.as_bytes());
        comm
    }

    fn record(tid: u32, session_ns: u64, seq: u32, started_ns: u64) -> FlightRecord {
        FlightRecord {
            started_ns,
            duration_ns: 10,
            session_ns,
            comm: comm(&format!("thread-{tid}")),
            seq,
            tid,
            tgid: 100,
            depth: seq as u16,
            ..FlightRecord::default()
        }
    }

    fn seqs(thread: &FlightThread) -> Vec<(u64, u32)> {
        let calls = thread.calls.iter();
        calls.map(|call| (call.session.0, call.seq)).collect()
    }

    #[test]
    fn calls_are_in_the_order_of_their_starts_though_callees_return_first() {
        let records = vec![
            record(101, 50, 1, 60),
            record(101, 50, 0, 50),
            record(101, 10, 0, 10),
        ];
        let (threads, unknown) = flight_threads(records, &functions());
        assert_eq!((threads.len(), unknown), (1, 0));
        assert_eq!(seqs(&threads[0]), [(10, 0), (50, 0), (50, 1)]);
    }

    #[test]
    fn the_thread_that_ran_last_comes_last_and_leaders_are_named_by_their_calls() {
        let records = vec![
            record(101, 50, 0, 50),
            record(100, 20, 0, 20),
            record(102, 30, 0, 30),
        ];
        let (threads, _) = flight_threads(records, &functions());
        let tids: Vec<u32> = threads.iter().map(|thread| thread.tid.0).collect();
        assert_eq!(tids, [100, 102, 101]);
        for thread in &threads {
            assert_eq!(thread.leader_comm.as_deref(), Some(&b"thread-100"[..]));
        }
    }

    #[test]
    fn a_thread_has_the_name_that_it_had_at_its_last_call() {
        let mut old = record(101, 10, 0, 10);
        old.comm = comm("bash");
        let (threads, _) = flight_threads(vec![record(101, 50, 0, 50), old], &functions());
        assert_eq!(threads[0].comm, b"thread-101");
    }

    #[test]
    fn interrupts_are_apart_from_the_task_that_they_interrupted_and_of_a_cpu() {
        let mut softirq = record(101, 50, 0, 50);
        softirq.execution_context = 1;
        softirq.cpu = 3;
        let mut same = softirq.clone();
        same.tid = 7;
        same.session_ns = 70;
        let records = vec![record(101, 40, 0, 40), softirq, same];
        let (threads, _) = flight_threads(records, &functions());
        assert_eq!(threads.len(), 2);
        let interrupt = &threads[1];
        assert_eq!(interrupt.execution_context, ExecutionContext::SoftIrq);
        assert_eq!((interrupt.cpu, interrupt.calls.len()), (3, 2));
    }

    #[test]
    fn results_are_judged_by_type_and_a_call_of_no_function_is_counted() {
        let mut failed = record(101, 10, 0, 10);
        failed.result = (-2_i64).cast_unsigned();
        let mut unknown = failed.clone();
        unknown.func = 2;
        let (threads, n_unknown) = flight_threads(vec![failed, unknown], &functions());
        assert_eq!(n_unknown, 1);
        assert_eq!(threads[0].calls[0].call.outcome, Outcome::Errno(2));
    }

    #[test]
    fn damaged_records_are_arranged_without_a_panic() {
        let extreme = |number: u32| FlightRecord {
            started_ns: u64::MAX,
            duration_ns: u64::MAX,
            session_ns: u64::MAX,
            tid: number,
            depth: u16::MAX,
            execution_context: u16::MAX,
            seq: u32::MAX,
            ..FlightRecord::default()
        };
        let (threads, _) = flight_threads((0..9).map(extreme), &functions());
        assert_eq!(threads.len(), 9);
    }
}
