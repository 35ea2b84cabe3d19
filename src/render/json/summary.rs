// SPDX-License-Identifier: BSD-2-Clause
//! The last object of the JSON output. The order of the fields is the order of the keys.

use serde::Serialize;

use super::SCHEMA;
use crate::render::Summary;
use crate::spec::Errno;

/// The summary of a run.
#[derive(Debug, Serialize)]
pub(super) struct SummaryObject {
    schema: u32,
    kind: &'static str,
    started: u64,
    shown: u64,
    filtered: u64,
    succeeded: u64,
    dropped: DropsObject,
    open_at_end: u64,
    missed: MissedObject,
    untraced: UntracedTasksObject,
    functions: u64,
    run_time_ns: u64,
    detached: Vec<DetachedObject>,
    unexamined: Vec<UnexaminedObject>,
}

#[derive(Debug, Serialize)]
struct UnexaminedObject {
    syscall: &'static str,
    errno: u16,
    error: Option<&'static str>,
    count: u64,
}

#[derive(Debug, Serialize)]
struct DetachedObject {
    function: String,
    module: Option<String>,
    calls_per_second: u64,
    option: &'static str,
}

#[derive(Debug, Serialize)]
struct MissedObject {
    recursion: u64,
    probes: u64,
    stacks: u64,
}

#[derive(Debug, Serialize)]
struct UntracedTasksObject {
    no_room: u64,
    noticed_late: u64,
}

#[derive(Debug, Serialize)]
struct DropsObject {
    ring_full: u64,
    no_slot: u64,
    stalled: u64,
    task_exited: u64,
    abandoned: u64,
    undecodable: u64,
    unwritten: u64,
}

impl SummaryObject {
    pub(super) fn new(summary: &Summary) -> Self {
        let dropped = summary.dropped;
        Self {
            schema: SCHEMA,
            kind: "summary",
            started: summary.started,
            shown: summary.shown,
            filtered: summary.filtered,
            succeeded: summary.succeeded,
            dropped: DropsObject {
                ring_full: dropped.ring_full,
                no_slot: dropped.no_slot,
                stalled: dropped.stalled,
                task_exited: dropped.task_exited,
                abandoned: dropped.abandoned,
                undecodable: dropped.undecodable,
                unwritten: dropped.unwritten,
            },
            open_at_end: summary.open_at_end,
            missed: MissedObject {
                recursion: summary.missed.recursion,
                probes: summary.missed.probes,
                stacks: summary.missed.stacks,
            },
            untraced: UntracedTasksObject {
                no_room: summary.untraced.no_room,
                noticed_late: summary.untraced.noticed_late,
            },
            functions: summary.functions,
            run_time_ns: u64::try_from(summary.run_time.as_nanos()).unwrap_or(u64::MAX),
            detached: summary
                .detached
                .iter()
                .map(|of| DetachedObject {
                    function: of.function.clone(),
                    module: of.module.clone(),
                    calls_per_second: of.rate,
                    option: of.option,
                })
                .collect(),
            unexamined: summary
                .unexamined
                .iter()
                .map(|of| UnexaminedObject {
                    syscall: of.call,
                    errno: of.errno,
                    error: Errno(of.errno).name(),
                    count: of.count,
                })
                .collect(),
        }
    }
}
