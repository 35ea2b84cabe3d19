// SPDX-License-Identifier: BSD-2-Clause
//! Filters sessions by result and by the errors of their chain (`-x`, `-X`, `--any-error`).
//!
//! Only results that are failures by their type count. A positive 22 or a pointer that looks like
//! an error is no `EINVAL` (fault B5 of the reference). An earlier failure that was handled is not
//! on the chain.

use std::collections::BTreeSet;

use super::types::Session;
use crate::spec::ErrnoSet;
use crate::syscalls::decode;

/// The error conditions of a run. All of them must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFilter {
    /// The session's result must be in this set; `None`: any result.
    pub only: Option<ErrnoSet>,
    /// The session's result must not be in this set; `None`: any result.
    pub never: Option<ErrnoSet>,
    /// At least one failure on the chain must be in this set; `None`: no condition.
    pub any: Option<ErrnoSet>,
    /// No failure on the chain may be in this set; `None`: no condition.
    pub none: Option<ErrnoSet>,
    /// The session's system call must be one of these; empty: no condition.
    pub calls: BTreeSet<String>,
    /// The session's system call must not be one of these.
    pub no_calls: BTreeSet<String>,
}

impl ErrorFilter {
    /// Returns true if the session meets all conditions.
    #[must_use]
    pub fn passes(&self, session: &Session) -> bool {
        let is_result = |set: &ErrnoSet| {
            session
                .failed_call()
                .is_some_and(|call| set.contains(call.outcome))
        };
        let is_on_chain =
            |set: &ErrnoSet| session.chain_calls().any(|call| set.contains(call.outcome));
        self.only.as_ref().is_none_or(is_result)
            && !self.never.as_ref().is_some_and(is_result)
            && self.any.as_ref().is_none_or(is_on_chain)
            && !self.none.as_ref().is_some_and(is_on_chain)
            && self.is_call_wanted(session)
    }

    fn is_call_wanted(&self, session: &Session) -> bool {
        if self.calls.is_empty() && self.no_calls.is_empty() {
            return true;
        }
        let call = session.syscall.as_ref().and_then(|call| decode(call).name);
        call.map_or(self.calls.is_empty(), |call| {
            (self.calls.is_empty() || self.calls.contains(call)) && !self.no_calls.contains(call)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::{
        Call, Chain, ChainLink, ExecutionContext, LinkKind, MonotonicNs, SessionHeader,
        SessionLosses,
    };
    use super::{ErrorFilter, Session};
    use crate::spec::{EntryReason, ErrnoSet, HookId, Outcome, Pid};

    /// Builds a session whose chain has these outcomes, from the entry function down.
    fn session(outcomes: &[Outcome]) -> Session {
        let calls = outcomes.iter().map(|outcome| Call {
            func: HookId(0),
            parent: None,
            depth: 0,
            started: MonotonicNs(0),
            duration_ns: 0,
            result: 0,
            outcome: *outcome,
            returned: true,
            call_site: None,
            repeats: 1,
        });
        let link = |call| ChainLink {
            call,
            link: LinkKind::Translated,
        };
        let header = SessionHeader {
            id: 1,
            started: MonotonicNs(0),
            ended: MonotonicNs(1),
            tgid: Pid(1),
            tid: Pid(1),
            comm: Vec::new(),
            leader_comm: Vec::new(),
            execution_context: ExecutionContext::Task,
            context: None,
            workload: None,
        };
        let chain = Chain {
            calls: calls.collect(),
            links: (0..outcomes.len()).map(link).collect(),
            certain: true,
            trail: None,
            handled: Vec::new(),
            only_starts_dumps: false,
            stack: Vec::new(),
            losses: SessionLosses::default(),
        };
        Session {
            header,
            reason: EntryReason::KernelFunction,
            chain,
            notes: Vec::new(),
            syscall: None,
            arguments: None,
        }
    }

    fn set(text: &str) -> Option<ErrnoSet> {
        Some(text.parse().unwrap())
    }

    fn only(text: &str) -> ErrorFilter {
        ErrorFilter {
            only: set(text),
            ..ErrorFilter::default()
        }
    }

    fn never(text: &str) -> ErrorFilter {
        ErrorFilter {
            never: set(text),
            ..ErrorFilter::default()
        }
    }

    fn any(text: &str) -> ErrorFilter {
        ErrorFilter {
            any: set(text),
            ..ErrorFilter::default()
        }
    }

    fn none(text: &str) -> ErrorFilter {
        ErrorFilter {
            none: set(text),
            ..ErrorFilter::default()
        }
    }

    const EPERM: Outcome = Outcome::Errno(1);
    const EACCES: Outcome = Outcome::Errno(13);

    #[test]
    fn x_means_the_result_and_any_error_the_chain() {
        // A refused access: the function that checks the capability returns EPERM.
        let session = session(&[EACCES, EPERM]);
        assert!(only("EACCES").passes(&session) && !only("EPERM").passes(&session));
        assert!(!never("EACCES").passes(&session) && never("EPERM").passes(&session));
        for errno in ["EACCES", "EPERM"] {
            assert!(any(errno).passes(&session) && !none(errno).passes(&session));
        }
        assert!(!any("EIO").passes(&session) && none("EIO").passes(&session));
    }

    #[test]
    fn the_result_of_a_request_is_the_first_failure_below_the_call_that_brought_it() {
        let session = session(&[Outcome::Success, EACCES, EPERM]);
        assert!(only("EACCES").passes(&session) && !only("EPERM").passes(&session));
        assert!(!never("EACCES").passes(&session));
    }

    #[test]
    fn a_success_has_no_error() {
        let session = session(&[Outcome::Success]);
        assert!(never("NULL").passes(&session) && !only("NULL").passes(&session));
    }
}
