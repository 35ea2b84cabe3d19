// SPDX-License-Identifier: BSD-2-Clause
//! The failing sessions of a run. There are bounds, and what does not fit is counted.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::complaint::Line;
use super::facts::{Facts, Key};
use super::verdict::{self, Verdict};
use crate::session::{MonotonicNs, Session, Told};
use crate::spec::Pid;

/// Sessions that are kept whole: of more, the last one of each kind, and the last ones.
const MAX_SESSIONS: usize = 1024;

/// Kinds of failures that are told apart. The last one of each is kept.
const MAX_KINDS: usize = 512;

/// Processes that are counted.
const MAX_PROCESSES: usize = 1 << 16;

/// Equal failures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    /// How many there were, whether they are kept or not.
    pub(super) count: u64,
    /// How many of them are kept.
    n_kept: usize,
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
    /// Failures of no kind that are not kept.
    n_forgotten: u64,
}

impl Story {
    /// Adds a failing session. `entry` is the name of its entry function.
    pub fn session(&mut self, session: Session, entry: &str) {
        let facts = Facts::of(&session, entry);
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
            kind.n_kept += 1;
            kind.last = session.header.started;
        }
        if self.failures.len() >= MAX_SESSIONS {
            self.make_room();
        }
        self.failures.push_back(Failure {
            session,
            facts,
            kind,
        });
    }

    /// Drops the oldest failure that a later one of its kind stands for, or that is of no kind. There is
    /// one: there are fewer kinds than failures.
    fn make_room(&mut self) {
        let kinds = &self.kinds;
        let n_kept = |kind: usize| kinds.get(kind).map_or(0, |kind| kind.n_kept);
        let mut failures = self.failures.iter();
        let place = failures.position(|failure| failure.kind.is_none_or(|kind| n_kept(kind) > 1));
        let dropped = place.and_then(|place| self.failures.remove(place));
        match dropped.map(|failure| failure.kind) {
            Some(Some(kind)) => self.kinds[kind].n_kept -= 1,
            Some(None) => self.n_forgotten += 1,
            None => {}
        }
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

    /// Returns how many failures are in no reason of the verdict: there were too many kinds.
    #[must_use]
    pub fn n_forgotten(&self) -> u64 {
        self.n_forgotten
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
