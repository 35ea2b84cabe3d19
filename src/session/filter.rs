// SPDX-License-Identifier: BSD-2-Clause
//! `-x`, `-X` and `--any-error`: which sessions are shown, by their result and by the errors of their
//! chain.
//!
//! Only results that are failures by their type count: a positive 22 or a pointer that looks like
//! one are no `EINVAL` (fault B5 of the reference). An earlier failure that was handled is not on
//! the chain.

use super::types::{Call, Session};
use crate::spec::ErrnoSet;

/// The errors a user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFilter {
    /// The result must be one of these; `None`: any.
    pub only: Option<ErrnoSet>,
    /// The result may be none of these.
    pub never: Option<ErrnoSet>,
    /// One of these must be on the chain; `None`: any.
    pub any: Option<ErrnoSet>,
    /// None of these may be on the chain.
    pub none: Option<ErrnoSet>,
}

impl ErrorFilter {
    /// Whether a session is to be shown.
    #[must_use]
    pub fn passes(&self, session: &Session) -> bool {
        let is_result =
            |set: &ErrnoSet| result_of(session).is_some_and(|call| set.contains(call.outcome));
        let is_on_chain = |set: &ErrnoSet| chain_of(session).any(|call| set.contains(call.outcome));
        self.only.as_ref().is_none_or(is_result)
            && !self.never.as_ref().is_some_and(is_result)
            && self.any.as_ref().is_none_or(is_on_chain)
            && !self.none.as_ref().is_some_and(is_on_chain)
    }
}

/// The call whose result is the session's: the entry function's. Where that is no failure (a request
/// of netlink is answered, and the call that brought it succeeds; or the function returns nothing)
/// it is the first one on the chain that is.
fn result_of(session: &Session) -> Option<&Call> {
    chain_of(session).find(|call| call.outcome.is_failure())
}

fn chain_of(session: &Session) -> impl Iterator<Item = &Call> {
    let links = session.chain.iter();
    links.filter_map(|link| session.calls.get(link.call))
}

#[cfg(test)]
mod tests {
    use super::super::types::{ChainLink, Lane, Link, MonotonicNs, SessionLosses};
    use super::{Call, ErrorFilter, Session};
    use crate::spec::{ErrnoSet, FuncId, Outcome, Pid};

    /// A chain of calls with these results, from the entry function down.
    fn session(outcomes: &[Outcome]) -> Session {
        let calls = outcomes.iter().map(|outcome| Call {
            func: FuncId(0),
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
            link: Link::Translated,
        };
        Session {
            id: 1,
            started: MonotonicNs(0),
            ended: MonotonicNs(1),
            tgid: Pid(1),
            tid: Pid(1),
            comm: Vec::new(),
            leader_comm: Vec::new(),
            lane: Lane::Task,
            context: None,
            workload: None,
            calls: calls.collect(),
            chain: (0..outcomes.len()).map(link).collect(),
            certain: true,
            trail: None,
            handled: Vec::new(),
            only_starts_dumps: false,
            stack: Vec::new(),
            losses: SessionLosses::default(),
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
        // A refused access: what looked for the capability says EPERM.
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
