// SPDX-License-Identifier: BSD-2-Clause
//! The flight recorder in the JSON output. The order of the fields is the order of the keys.

use serde::Serialize;

use super::SCHEMA;
use super::context::ContainerObject;
use super::objects::{CallObject, context_name};
use crate::render::RenderContext;
use crate::render::value::result_text;
use crate::render::view::CallView;
use crate::session::{DumpReason, FlightCall, FlightDump, FlightThread, Workload};
use crate::spec::{Outcome, ResultType};

/// What the flight recorder held.
#[derive(Debug, Serialize)]
pub(super) struct FlightObject {
    schema: u32,
    kind: &'static str,
    time: String,
    time_ns: u64,
    reason: ReasonObject,
    calls: u64,
    overwritten: u64,
    torn: u64,
    of_container: bool,
    threads: Vec<ThreadObject>,
}

/// Why it was written out. What does not belong to the trigger is `null`.
#[derive(Debug, Default, Serialize)]
struct ReasonObject {
    /// `error`, `sessions`, `signal`, or `command_status`.
    trigger: &'static str,
    function: Option<String>,
    module: Option<String>,
    result: Option<String>,
    errno: Option<u16>,
    session: Option<u64>,
    sessions: Option<u64>,
    status: Option<u8>,
}

#[derive(Debug, Serialize)]
struct ThreadObject {
    #[serde(rename = "lane")]
    execution_context: &'static str,
    cpu: u32,
    tgid: u32,
    tid: u32,
    comm: String,
    leader_comm: Option<String>,
    cgroup_id: u64,
    cgroup: Option<String>,
    unit: Option<String>,
    container: Option<ContainerObject>,
    calls: Vec<FlightCallObject>,
}

#[derive(Debug, Serialize)]
struct FlightCallObject {
    session_started_ns: u64,
    seq: u32,
    depth: u16,
    started_ns: u64,
    duration_ns: u64,
    #[serde(flatten)]
    call: CallObject,
}

impl FlightObject {
    pub(super) fn new(dump: &FlightDump, context: &RenderContext<'_>) -> Self {
        let threads = dump.threads.iter();
        Self {
            schema: SCHEMA,
            kind: "flight",
            time: context.clock.rfc3339(dump.at),
            time_ns: dump.at.0,
            reason: ReasonObject::new(&dump.reason, context),
            calls: threads
                .clone()
                .map(|thread| thread.calls.len() as u64)
                .sum(),
            overwritten: dump.overwritten,
            torn: dump.torn,
            of_container: dump.of_container,
            threads: threads
                .map(|thread| ThreadObject::new(thread, context))
                .collect(),
        }
    }
}

impl ReasonObject {
    fn new(reason: &DumpReason, context: &RenderContext<'_>) -> Self {
        match reason {
            DumpReason::Error {
                func,
                result,
                outcome,
                session,
            } => {
                let function = context.functions.get(func.index());
                let result_type = function.map_or(ResultType::Unknown, |function| function.result);
                Self {
                    trigger: "error",
                    function: function.map(|function| function.name.clone()),
                    module: function.and_then(|function| function.module.clone()),
                    result: Some(result_text(result_type, *result, *outcome)),
                    errno: match outcome {
                        Outcome::Errno(number) => Some(*number),
                        Outcome::Success | Outcome::Null | Outcome::Status(_) => None,
                    },
                    session: Some(*session),
                    ..Self::default()
                }
            }
            DumpReason::Sessions(count) => Self {
                trigger: "sessions",
                sessions: Some(*count),
                ..Self::default()
            },
            DumpReason::Signal => Self {
                trigger: "signal",
                ..Self::default()
            },
            DumpReason::CommandStatus(status) => Self {
                trigger: "command_status",
                status: Some(*status),
                ..Self::default()
            },
        }
    }
}

impl ThreadObject {
    fn new(thread: &FlightThread, context: &RenderContext<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Workload {
            cgroup,
            unit,
            container,
        } = thread.workload.as_deref().cloned().unwrap_or_default();
        Self {
            execution_context: context_name(thread.execution_context),
            cpu: thread.cpu,
            tgid: thread.tgid.0,
            tid: thread.tid.0,
            comm: text(&thread.comm),
            leader_comm: thread.leader_comm.as_deref().map(text),
            cgroup_id: thread.cgroup,
            cgroup,
            unit,
            container: container.map(ContainerObject::new),
            calls: thread
                .calls
                .iter()
                .map(|call| FlightCallObject::new(call, context))
                .collect(),
        }
    }
}

impl FlightCallObject {
    fn new(call: &FlightCall, context: &RenderContext<'_>) -> Self {
        Self {
            session_started_ns: call.session.0,
            seq: call.seq,
            depth: call.call.depth,
            started_ns: call.call.started.0,
            duration_ns: call.call.duration_ns,
            call: CallObject::new(&CallView::new(&call.call, context)),
        }
    }
}
