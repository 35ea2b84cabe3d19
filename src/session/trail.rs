// SPDX-License-Identifier: BSD-2-Clause
//! Determines where the trail ends: which untraced callees of the culprit may have returned the
//! error.

use std::cmp::Reverse;

use super::types::{Trail, UntracedCallee};
use crate::code::{ResultUse, TrailCallee, TrailFacts};
use crate::spec::{Outcome, ResultType};

const ENOMEM: u16 = 12;

/// Determines the trail of a culprit with this outcome. `traced` says of each callee of `facts`
/// whether it is traced.
pub(super) fn judge(outcome: Outcome, facts: &TrailFacts, traced: &[bool]) -> Trail {
    let made_here = match outcome {
        Outcome::Errno(errno) if facts.makes.contains(errno) => Some(true),
        Outcome::Errno(_) if facts.has_table => None,
        Outcome::Errno(_) => Some(false),
        // Zero and small numbers occur in every function, so they prove nothing.
        Outcome::Null | Outcome::Status(_) | Outcome::Success => None,
    };
    let mut suspects: Vec<(u8, &TrailCallee)> = facts
        .callees
        .iter()
        .enumerate()
        .filter(|(index, _)| !traced.get(*index).is_some_and(|is_traced| *is_traced))
        .filter_map(|(_, callee)| Some((suspicion(outcome, callee)?, callee)))
        .collect();
    // The sort is stable: callees with equal suspicion stay in the order of their calls.
    suspects.sort_by_key(|(suspicion, _)| Reverse(*suspicion));
    Trail {
        made_here,
        callees: suspects
            .into_iter()
            .map(|(_, callee)| UntracedCallee {
                name: callee.name.clone(),
                module: callee.module.clone(),
                is_traceable: callee.is_traceable,
            })
            .collect(),
        through_pointers: facts.has_indirect,
    }
}

/// Rates how likely this callee returned the value that led to `outcome`. A higher value is more
/// likely; `None` if it cannot have returned it.
fn suspicion(outcome: Outcome, callee: &TrailCallee) -> Option<u8> {
    let evidence = match (outcome, callee.result) {
        (Outcome::Errno(errno), ResultType::Pointer) => {
            let is_allocator = errno == ENOMEM && callee.name.contains("alloc");
            of_errno(errno, callee)
                .filter(|evidence| *evidence > UNKNOWN_CALLEES)
                .or(is_allocator.then_some(MADE_THERE))
        }
        (Outcome::Errno(errno), ResultType::Signed(_) | ResultType::UlongErrno) => {
            of_errno(errno, callee)
        }
        // Without a type, only an errno that it makes proves that the callee can fail.
        (Outcome::Errno(errno), ResultType::Unknown) => {
            of_errno(errno, callee).filter(|evidence| *evidence > UNKNOWN_CALLEES)
        }
        (Outcome::Null, ResultType::Pointer) => Some(MADE_BELOW),
        (Outcome::Status(_), ResultType::BlkStatus | ResultType::VmFault) => Some(MADE_BELOW),
        _ => None,
    }?;
    Some(evidence + u8::from(callee.used == ResultUse::Tested))
}

/// How strong the evidence against a callee is: its own instructions make the error, those of its
/// callees do, or it calls through pointers.
const MADE_THERE: u8 = 6;
const MADE_BELOW: u8 = 4;
const UNKNOWN_CALLEES: u8 = 2;

fn of_errno(errno: u16, callee: &TrailCallee) -> Option<u8> {
    if callee.makes.contains(errno) {
        Some(MADE_THERE)
    } else if callee.below.contains(errno) {
        Some(MADE_BELOW)
    } else {
        callee.is_open.then_some(UNKNOWN_CALLEES)
    }
}

#[cfg(test)]
mod tests;
