// SPDX-License-Identifier: BSD-2-Clause
//! `-x` and `-X`: which sessions are shown, by the errors of their chain.
//!
//! Only the chain counts, and only results that are failures by their type: an earlier failure
//! that was handled, a positive 22 or a pointer that looks like one are no `EINVAL` (fault B5 of
//! the reference).

use super::types::Session;
use crate::spec::ErrnoSet;

/// The errors a user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFilter {
    /// One of these must be on the chain; `None`: any.
    pub only: Option<ErrnoSet>,
    /// None of these may be on the chain.
    pub never: Option<ErrnoSet>,
}

impl ErrorFilter {
    /// Whether a session is to be shown.
    #[must_use]
    pub fn passes(&self, session: &Session) -> bool {
        let has = |set: &ErrnoSet| {
            session
                .chain
                .iter()
                .filter_map(|link| session.calls.get(link.call))
                .any(|call| set.contains(call.outcome))
        };
        self.only.as_ref().is_none_or(has) && !self.never.as_ref().is_some_and(has)
    }
}
