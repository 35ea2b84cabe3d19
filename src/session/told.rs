// SPDX-License-Identifier: BSD-2-Clause
//! What the programs of a run say themselves: what they write to their standard error, and how they
//! end.

use std::collections::VecDeque;

use super::types::MonotonicNs;
use crate::events::{ExitRecord, OutputRecord};
use crate::spec::Pid;

/// The most outputs that are kept, and the most exits.
const MAX_KEPT: usize = 4096;

/// What a task wrote to its standard error by one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskOutput {
    /// When it had written.
    pub at: MonotonicNs,
    /// Process id (thread group id).
    pub tgid: Pid,
    /// Thread id.
    pub tid: Pid,
    /// Name of the thread: raw bytes that the program chose. Escape them before output.
    pub comm: Vec<u8>,
    /// The first bytes of what it wrote, at most 256, as raw as `comm`.
    pub text: Vec<u8>,
    /// Number of bytes that it wrote.
    pub total: u64,
}

/// A process that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskExit {
    /// When it ended.
    pub at: MonotonicNs,
    /// Process id (thread group id).
    pub tgid: Pid,
    /// Thread id of its last thread.
    pub tid: Pid,
    /// Name of its first thread: raw bytes that the program chose. Escape them before output.
    pub comm: Vec<u8>,
    /// How it ended, as `waitpid` gives it: the exit status times 256, or the number of a signal,
    /// with 128 added if the kernel wrote a core file.
    pub code: u32,
}

impl From<OutputRecord> for TaskOutput {
    fn from(record: OutputRecord) -> Self {
        Self {
            at: MonotonicNs(record.at_ns),
            tgid: Pid(record.tgid),
            tid: Pid(record.tid),
            comm: record.comm,
            text: record.text,
            total: record.size,
        }
    }
}

impl From<ExitRecord> for TaskExit {
    fn from(record: ExitRecord) -> Self {
        Self {
            at: MonotonicNs(record.at_ns),
            tgid: Pid(record.tgid),
            tid: Pid(record.tid),
            comm: record.comm,
            code: record.code,
        }
    }
}

/// What programs said so far: the last 4096 outputs and the last 4096 exits.
#[derive(Clone, Debug, Default)]
pub struct Told {
    outputs: VecDeque<TaskOutput>,
    exits: VecDeque<TaskExit>,
}

impl Told {
    /// Adds what a task wrote, and drops the oldest output if there is no room.
    pub fn wrote(&mut self, output: TaskOutput) {
        push(&mut self.outputs, output);
    }

    /// Adds the end of a process, and drops the oldest one if there is no room.
    pub fn ended(&mut self, exit: TaskExit) {
        push(&mut self.exits, exit);
    }

    /// Returns what was written, in the order in which it was received. That is nearly the order of
    /// time; what one process writes last may come when it ends.
    #[must_use]
    pub fn outputs(&self) -> &VecDeque<TaskOutput> {
        &self.outputs
    }

    /// Returns the processes that ended, in the order in which they did.
    #[must_use]
    pub fn exits(&self) -> &VecDeque<TaskExit> {
        &self.exits
    }
}

fn push<T>(kept: &mut VecDeque<T>, value: T) {
    if kept.len() >= MAX_KEPT {
        kept.pop_front();
    }
    kept.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEPT, TaskExit, Told};
    use crate::session::MonotonicNs;
    use crate::spec::Pid;

    #[test]
    fn the_last_ones_are_kept() {
        let mut told = Told::default();
        for number in 0..MAX_KEPT as u32 + 3 {
            told.ended(TaskExit {
                at: MonotonicNs(number.into()),
                tgid: Pid(number),
                tid: Pid(number),
                comm: b"a".to_vec(),
                code: 256,
            });
        }
        assert_eq!(told.exits().len(), MAX_KEPT);
        assert_eq!(told.exits().front().unwrap().tgid, Pid(3));
        assert!(told.outputs().is_empty());
    }
}
