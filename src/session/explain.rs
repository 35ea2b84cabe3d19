// SPDX-License-Identifier: BSD-2-Clause
//! Explains an assembled session with facts about the kernel. The facts are values: the session says
//! what it needs to know, and the caller looks it up in a running kernel or in a recording.

use std::rc::Rc;

use super::merge::{self, AddrRole};
use super::provenance::Verdict;
use super::trail;
use super::types::{Call, Chain, Note, Session, SessionHeader, SessionLosses, Trail};
use crate::code::TrailFacts;
use crate::events::FunctionArguments;
use crate::select::TracedFunction;
use crate::spec::{Addr, EntryReason, HookId, Outcome, ResultType};
use crate::syscalls::SystemCall;

/// A session whose records are complete.
#[derive(Debug)]
pub struct Assembled {
    pub(super) header: SessionHeader,
    pub(super) reason: EntryReason,
    pub(super) calls: Vec<Call>,
    pub(super) verdict: Verdict,
    /// Innermost first; empty if there is none.
    pub(super) stack: Vec<Addr>,
    pub(super) losses: SessionLosses,
    pub(super) notes: Vec<Note>,
    pub(super) syscall: Option<SystemCall>,
    pub(super) arguments: Option<FunctionArguments>,
}

/// What is known of the kernel about one session.
#[derive(Clone, Debug, Default)]
pub struct SessionFacts {
    /// The roles of the addresses of [`Assembled::stack`], in the same order.
    pub roles: Vec<AddrRole>,
    /// The machine code of [`Assembled::culprit`].
    pub code: CulpritCode,
}

/// The machine code of a culprit.
#[derive(Clone, Debug, Default)]
pub enum CulpritCode {
    /// It was not looked up. Culprits are then not checked against it.
    #[default]
    NotAsked,
    /// It cannot be read.
    Unknown,
    /// It was read.
    Known {
        /// What it says.
        culprit: CodeLevel,
        /// What is known of the one callee that can have made the error, of the one that can have
        /// made it below that, and so on ([`only_callee`](super::only_callee)).
        below: Vec<CodeLevel>,
    },
}

/// The machine code of a function whose error may come from its callees.
#[derive(Clone, Debug)]
pub struct CodeLevel {
    /// What it says.
    pub facts: Rc<TrailFacts>,
    /// For each of its callees, in the same order: whether the error does not come from it. Its
    /// failure would have been recorded, or its caller does not pass it on.
    pub excluded: Vec<bool>,
}

impl Assembled {
    /// Returns the addresses of the kernel stack, innermost first.
    #[must_use]
    pub fn stack(&self) -> &[Addr] {
        &self.stack
    }

    /// Returns the function of the culprit, the innermost link that returned and failed, and how it
    /// failed. `None` if nothing failed.
    #[must_use]
    pub fn culprit(&self) -> Option<(HookId, Outcome)> {
        self.culprit_call().map(|call| (call.func, call.outcome))
    }

    fn culprit_call(&self) -> Option<&Call> {
        let links = self.verdict.chain.iter().rev();
        links
            .filter_map(|link| self.calls.get(link.call))
            .find(|call| call.returned && call.outcome.is_failure())
    }

    /// Returns the session. `functions` are those of the run.
    #[must_use]
    pub fn explain(self, functions: &[TracedFunction], facts: &SessionFacts) -> Session {
        let trail = self.trail(functions, &facts.code);
        // Without the machine code it is unknown whether an untraced callee failed, so the culprit
        // is not certain.
        let ends_here = match (&facts.code, &trail) {
            (_, Some(trail)) => trail.ends_here(),
            (CulpritCode::Unknown, None) => self.culprit_call().is_none(),
            (CulpritCode::NotAsked | CulpritCode::Known { .. }, None) => true,
        };
        let stack = merge::merge(
            &self.verdict.chain,
            &self.calls,
            functions,
            &self.stack,
            &facts.roles,
        );
        let Verdict {
            chain,
            certain,
            handled,
            only_starts_dumps,
        } = self.verdict;
        Session {
            header: self.header,
            reason: self.reason,
            chain: Chain {
                calls: self.calls,
                links: chain,
                certain: certain && ends_here,
                trail,
                handled,
                only_starts_dumps,
                stack,
                losses: self.losses,
            },
            notes: self.notes,
            syscall: self.syscall,
            arguments: self.arguments,
        }
    }

    fn trail(&self, functions: &[TracedFunction], code: &CulpritCode) -> Option<Trail> {
        let culprit = self.culprit_call()?;
        // No code of the kernel makes an errno that a seccomp filter has chosen.
        let function = functions.get(culprit.func.index());
        if function.is_some_and(|function| matches!(function.result, ResultType::Filter(_))) {
            return None;
        }
        match code {
            CulpritCode::Known { culprit: of, below } => {
                Some(trail::judge(culprit.outcome, of, below))
            }
            CulpritCode::NotAsked | CulpritCode::Unknown => None,
        }
    }
}
