// SPDX-License-Identifier: BSD-2-Clause
//! The failing sessions of a run. There are bounds, and what does not fit is counted.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::complaint::Line;
use super::facts::{Facts, Key};
use super::verdict::{self, Verdict};
use crate::session::{MonotonicNs, Session, Told};
use crate::spec::Pid;

/// Sessions that are kept whole. Of more, the last ones are, and one of each kind.
const MAX_SESSIONS: usize = 1024;

/// Kinds of failures that are told apart.
const MAX_KINDS: usize = 4096;

/// Processes that are counted.
const MAX_PROCESSES: usize = 1 << 16;

/// Equal failures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    /// How many there were, whether they are kept or not.
    pub(super) count: u64,
    pub(super) first: MonotonicNs,
    pub(super) last: MonotonicNs,
}

/// A failure that is kept.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) session: Session,
    pub(super) facts: Facts,
    /// Index of its kind; `None` if there were too many kinds.
    pub(super) kind: Option<usize>,
}

/// The events of a run.
#[derive(Debug, Default)]
pub struct Story {
    pub(super) failures: VecDeque<Failure>,
    pub(super) kinds: Vec<Kind>,
    numbers: HashMap<Key, usize>,
    processes: BTreeSet<Pid>,
    n_failures: u64,
    n_not_kept: u64,
}

impl Story {
    /// Adds a failing session.
    pub fn session(&mut self, session: Session) {
        let facts = Facts::of(&session);
        let kind = self.kind(&session, &facts);
        self.n_failures += 1;
        if self.processes.len() < MAX_PROCESSES {
            self.processes.insert(session.header.tgid);
        }
        if let Some(kind) = kind.and_then(|kind| self.kinds.get_mut(kind)) {
            if kind.count == 0 {
                kind.first = session.header.started;
            }
            kind.count += 1;
            kind.last = session.header.started;
        }
        if self.failures.len() >= MAX_SESSIONS {
            self.failures.pop_front();
            self.n_not_kept += 1;
        }
        self.failures.push_back(Failure {
            session,
            facts,
            kind,
        });
    }

    fn kind(&mut self, session: &Session, facts: &Facts) -> Option<usize> {
        let key = Key::of(session, facts);
        if let Some(known) = self.numbers.get(&key) {
            return Some(*known);
        }
        if self.kinds.len() >= MAX_KINDS {
            return None;
        }
        let number = self.kinds.len();
        self.kinds.push(Kind::default());
        self.numbers.insert(key, number);
        Some(number)
    }

    /// Returns the number of failures, and that of the processes that had them.
    #[must_use]
    pub fn counts(&self) -> (u64, usize) {
        (self.n_failures, self.processes.len())
    }

    /// Returns how many of the failures are not kept whole.
    #[must_use]
    pub fn n_not_kept(&self) -> u64 {
        self.n_not_kept
    }

    /// Returns the kept failures, in the order of their ends.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.failures.iter().map(|failure| &failure.session)
    }

    /// Ranks the failures by what the processes told. `lines` are those of [`Line::all`]; `said` is
    /// what the kernel said about a session.
    #[must_use]
    pub fn verdict<'s>(
        &'s self,
        told: &Told,
        lines: &'s [Line],
        said: &dyn Fn(&Session) -> Vec<Vec<u8>>,
    ) -> Verdict<'s> {
        verdict::rank(self, told, lines, said)
    }
}
