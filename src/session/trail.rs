// SPDX-License-Identifier: BSD-2-Clause
//! Determines where the trail ends: which untraced callees of the culprit may have returned the
//! error.

use std::cmp::Reverse;

use super::explain::CodeLevel;
use super::types::{Trail, UntracedCallee, UntracedMaker};
use crate::code::{ResultUse, TrailCallee, TrailFacts};
use crate::spec::{Outcome, ResultType};

const ENOMEM: u16 = 12;

/// Determines the trail of a culprit with this outcome. `below` are the functions below it that
/// alone can have made its error, each a callee of the one before.
pub(super) fn judge(outcome: Outcome, culprit: &CodeLevel, below: &[CodeLevel]) -> Trail {
    let suspects = suspects(outcome, culprit);
    let mut caller = None;
    let mut maker = None;
    for level in [culprit].into_iter().chain(below) {
        let Some(callee) = only_callee(outcome, level) else {
            break;
        };
        let function = untraced(callee);
        let name = function.name.clone();
        maker = Some(UntracedMaker { function, caller });
        caller = Some(name);
    }
    Trail {
        made_here: made_here(outcome, &culprit.facts),
        callees: suspects.into_iter().map(untraced).collect(),
        through_pointers: culprit.facts.has_indirect,
        maker,
    }
}

/// Returns the callee that alone can have made the error of a function; `None` if the function itself
/// or another callee can have made it, too.
#[must_use]
pub fn only_callee(outcome: Outcome, level: &CodeLevel) -> Option<&TrailCallee> {
    let facts = &level.facts;
    if facts.has_indirect || made_here(outcome, facts) != Some(false) {
        return None;
    }
    match suspects(outcome, level).as_slice() {
        [callee] => Some(callee),
        _ => None,
    }
}

/// Returns whether the function's own instructions make the error; `None` if they do not tell.
fn made_here(outcome: Outcome, facts: &TrailFacts) -> Option<bool> {
    match outcome {
        Outcome::Errno(errno) if facts.makes.contains(errno) => Some(true),
        Outcome::Errno(_) if facts.has_table => None,
        Outcome::Errno(_) => Some(false),
        // Zero and small numbers occur in every function, so they prove nothing.
        Outcome::Null | Outcome::Status(_) | Outcome::Success => None,
    }
}

/// Returns the callees that may have returned the error, most likely first.
fn suspects(outcome: Outcome, level: &CodeLevel) -> Vec<&TrailCallee> {
    let callees = level.facts.callees.iter().enumerate();
    let mut suspects: Vec<(u8, &TrailCallee)> = callees
        .filter(|(index, _)| !level.excluded.get(*index).is_some_and(|is_not| *is_not))
        .filter_map(|(_, callee)| Some((suspicion(outcome, callee)?, callee)))
        .collect();
    // The sort is stable: callees with equal suspicion stay in the order of their calls.
    suspects.sort_by_key(|(suspicion, _)| Reverse(*suspicion));
    suspects.into_iter().map(|(_, callee)| callee).collect()
}

fn untraced(callee: &TrailCallee) -> UntracedCallee {
    UntracedCallee {
        name: callee.name.clone(),
        module: callee.module.clone(),
        addr: callee.addr,
        is_traceable: callee.is_traceable,
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
