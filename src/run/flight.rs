// SPDX-License-Identifier: BSD-2-Clause
//! The flight recorder: decides when it is written out, and reads what was not written before. The
//! programs go on recording meanwhile.

mod reading;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::rc::Rc;

use anyhow::Result;

use self::reading::{FlightRead, Written, read};
use crate::bpf::FlightSlots;
use crate::config::{DumpTrigger, FlightConfig};
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::output::terminal::monotonic_ns;
use crate::prepare::preflight::check_pid_namespace;
use crate::select::TracedFunction;
use crate::session::{
    Call, DumpReason, ExecutionContext, FlightDump, FlightThread, MonotonicNs, Session,
    TaskContext, Workload, flight_threads,
};
use crate::spec::{Pid, nearest};

/// Checks that each glob of `--dump-on` matches a traced function.
///
/// # Errors
/// If one does not: the recorder would never be written out.
pub(crate) fn check(config: &FlightConfig, functions: &[TracedFunction]) -> Result<()> {
    for trigger in &config.on {
        let Some(glob) = &trigger.function else {
            continue;
        };
        if functions.iter().any(|function| is_of(trigger, function)) {
            continue;
        }
        let names = functions.iter().map(|function| &*function.name);
        let similar = nearest(glob.text(), names, 3);
        let message = format!("`{glob}` of --dump-on matches no traced function");
        return Err(Failure::hinted(
            if similar.is_empty() {
                message
            } else {
                format!("{message}; similar: {}", similar.join(", "))
            },
            "`--dry-run -v` without --dump-on lists what is traced; -a traces more",
        ));
    }
    Ok(())
}

/// Returns true if the trigger is for failures of this function.
fn is_of(trigger: &DumpTrigger, function: &TracedFunction) -> bool {
    let module = function.module.as_deref();
    let glob = trigger.function.as_ref();
    glob.is_none_or(|glob| glob.matches(&function.name, module))
}

/// Returns the names for a task's cgroup.
type WorkloadOf<'a> = &'a dyn Fn(&TaskContext) -> Option<Rc<Workload>>;

/// The flight recorder of a run.
pub(crate) struct FlightRecorder<'a> {
    config: &'a FlightConfig,
    functions: &'a [TracedFunction],
    workload: WorkloadOf<'a>,
    files: &'a KernelFiles,
    /// Sessions that were shown since they were last a reason.
    shown: u64,
    due: Option<DueDump>,
    written: Written,
}

/// A dump that is due.
#[derive(Debug)]
struct DueDump {
    reason: DumpReason,
    /// The cgroups of the sessions that are the reasons. If these are all in one container, the dump
    /// is limited to it. `None`: there is a reason for more.
    cgroups: Option<BTreeSet<u64>>,
}

impl<'a> FlightRecorder<'a> {
    pub(crate) fn new(
        config: &'a FlightConfig,
        functions: &'a [TracedFunction],
        workload: WorkloadOf<'a>,
        files: &'a KernelFiles,
    ) -> Self {
        Self {
            config,
            functions,
            workload,
            files,
            shown: 0,
            due: None,
            written: Written::default(),
        }
    }

    /// Decides whether a session that was shown is a reason to write out the calls.
    pub(crate) fn observe(&mut self, session: &Session) {
        let config = self.config;
        if let Some(failed) = config.on.iter().find_map(|on| self.failure(on, session)) {
            let reason = DumpReason::Error {
                func: failed.func,
                result: failed.result,
                outcome: failed.outcome,
                session: session.header.id,
            };
            let workload = session.header.workload.as_ref();
            let cgroup = session.header.context.map(|context| context.cgroup);
            let cgroup = cgroup.filter(|_| workload.is_none_or(|names| names.container.is_some()));
            self.ask_for(reason, cgroup);
        }
        self.shown += 1;
        if config.after.is_some_and(|after| self.shown >= after) {
            self.ask(DumpReason::Sessions(self.shown));
            self.shown = 0;
        }
    }

    /// Returns the last failed call that a trigger is for.
    fn failure<'s>(&self, on: &DumpTrigger, session: &'s Session) -> Option<&'s Call> {
        let calls = &session.chain.calls;
        let is_meant = |call: &Call| {
            let errors = on.errors.as_ref();
            call.returned
                && call.outcome.is_failure()
                && errors.is_none_or(|errors| errors.contains(call.outcome))
                && self
                    .functions
                    .get(call.func.index())
                    .is_some_and(|function| is_of(on, function))
        };
        if on.function.is_some() {
            return calls.iter().rfind(|call| is_meant(call));
        }
        // Of a session that succeeded, failed calls were handled.
        let links = session.chain.links.iter();
        let failed = links.rev().filter_map(|link| calls.get(link.call));
        failed.into_iter().find(|call| is_meant(call))
    }

    fn names_of(&self, cgroup: u64) -> Option<Rc<Workload>> {
        (self.workload)(&TaskContext {
            cgroup,
            ..TaskContext::default()
        })
    }

    /// Returns the id of the container that all these cgroups belong to, if they tell it.
    fn container_of(&self, cgroups: &BTreeSet<u64>) -> Option<String> {
        let mut ids = cgroups.iter().map(|cgroup| {
            let names = self.names_of(*cgroup)?;
            Some(names.container.as_ref()?.id.clone())
        });
        let first = ids.next()??;
        let is_first = |id: Option<String>| id.as_ref() == Some(&first);
        ids.all(is_first).then(|| first.clone())
    }

    /// Asks for the calls of all threads to be written out.
    pub(crate) fn ask(&mut self, reason: DumpReason) {
        self.ask_for(reason, None);
    }

    /// If there are several reasons, the first one is told.
    fn ask_for(&mut self, reason: DumpReason, cgroup: Option<u64>) {
        let due = self.due.get_or_insert_with(|| DueDump {
            reason,
            cgroups: Some(BTreeSet::new()),
        });
        match (&mut due.cgroups, cgroup) {
            (Some(cgroups), Some(cgroup)) => {
                cgroups.insert(cgroup);
            }
            (cgroups, _) => *cgroups = None,
        }
    }

    /// Reads the calls that were not written out before, if there is a reason to. `None` if there is
    /// none.
    pub(crate) fn take(&mut self, memory: &dyn FlightSlots) -> Option<FlightDump> {
        let DueDump { reason, cgroups } = self.due.take()?;
        let container = cgroups.and_then(|cgroups| self.container_of(&cgroups));
        let at = MonotonicNs(monotonic_ns().unwrap_or_default());
        let from = self.written.first_numbers(container.as_deref());
        let FlightRead {
            mut calls,
            next,
            overwritten,
            torn,
        } = read(memory, &from);
        let mut names = HashMap::new();
        for call in &calls {
            let cgroup = call.record.cgroup;
            names.entry(cgroup).or_insert_with(|| self.names_of(cgroup));
        }
        calls.retain(|call| {
            let names = names.get(&call.record.cgroup).and_then(Option::as_ref);
            let of = names.and_then(|names| names.container.as_ref());
            let of = of.filter(|_| call.is_of_task()).map(|of| &*of.id);
            (container.is_none() || container.as_deref() == of) && !self.written.has(of, call)
        });
        let records = calls.into_iter().map(|call| call.record);
        let (mut threads, unknown) = flight_threads(records, self.functions);
        for thread in &mut threads {
            thread.workload = names.get(&thread.cgroup).cloned().flatten();
        }
        self.name_leaders(&mut threads);
        let of_container = container.is_some();
        self.written.note(container, next);
        Some(FlightDump {
            reason,
            at,
            threads,
            overwritten,
            torn: torn + unknown,
            of_container,
        })
    }

    /// Names the leaders that made no calls themselves, if they are still there.
    fn name_leaders(&self, threads: &mut [FlightThread]) {
        if check_pid_namespace(self.files).is_err() {
            return;
        }
        let mut names: HashMap<Pid, Option<Vec<u8>>> = HashMap::new();
        for thread in threads {
            if thread.leader_comm.is_none() && thread.execution_context == ExecutionContext::Task {
                let name = names
                    .entry(thread.tgid)
                    .or_insert_with(|| self.comm(thread.tgid));
                thread.leader_comm.clone_from(name);
            }
        }
    }

    fn comm(&self, process: Pid) -> Option<Vec<u8>> {
        let mut comm = fs::read(self.files.path(format!("proc/{process}/comm"))).ok()?;
        comm.pop_if(|byte| *byte == b'\n');
        Some(comm)
    }
}

#[cfg(test)]
mod tests;
