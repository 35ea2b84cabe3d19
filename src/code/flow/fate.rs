// SPDX-License-Identifier: BSD-2-Clause
//! What becomes of the result of a call.

use super::graph::{self, Edge, Graph};
use super::operations::narrow;
use super::run::{self, Ends, States};
use super::source::Neighbourhood;
use super::state::State;
use super::value::Value;
use crate::code::functions::Code;
use crate::spec::{Addr, Outcome, ResultType};

/// A pointer to memory, as look-ups and allocations return it.
const POINTER: u64 = 0xffff_8880_1234_5000;

/// The errno of failed accesses to user memory. It is made behind exceptions, which are not
/// followed.
const EFAULT: u64 = (-14_i64) as u64;

/// What a call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Returned {
    /// The register for results.
    pub register: u64,
    /// What it means.
    pub kind: ResultType,
}

/// Whether the same call was made again before its caller returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Repetition {
    /// It was the last one.
    Last,
    /// It was made again, or that is not known.
    Again,
}

/// The question what a call that returned `value` has to do with its caller's `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowQuestion {
    /// Address of the caller's start.
    pub caller: Addr,
    /// Address of the callee's start.
    pub callee: Addr,
    /// Return address of the call. `None`: unknown; then all direct calls of the callee have to
    /// agree.
    pub call_site: Option<Addr>,
    /// What the callee returned.
    pub value: Returned,
    /// What the caller returned.
    pub result: Returned,
    /// Whether there was a later call like it.
    pub repetition: Repetition,
}

/// What becomes of a callee's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResultFate {
    /// The caller does not look at it.
    Ignored,
    /// It is neither the caller's result nor does it lead to that.
    Never,
    /// It may itself be the caller's result.
    PassedOn,
    /// The branch behind it leads to the caller's result, on all ways.
    Decides,
    /// The branch behind it leads to the caller's result or to something unknown, and the other
    /// branch does not lead there.
    MayDecide,
    /// The code does not tell.
    Unclear,
}

/// The data flow of one function.
#[derive(Debug)]
pub struct Flow {
    graph: Graph,
    /// What is known from the entry on.
    from_entry: States,
}

impl Flow {
    /// Reads the function that starts at `addr`. `None` if no function starts there, if it cannot
    /// be read or followed, or if this architecture is not known.
    #[must_use]
    pub fn of(code: &Code<'_>, addr: Addr) -> Option<Self> {
        let neighbourhood = Neighbourhood::new(code);
        let graph = graph::build(neighbourhood.function(addr)?, &neighbourhood)?;
        let (_, from_entry) = run::run(&graph, 0, State::at_entry(), None)?;
        Some(Self { graph, from_entry })
    }

    /// Returns the number of instructions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.graph.nodes.len()
    }

    /// Returns true if there are no instructions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.graph.nodes.is_empty()
    }

    /// Returns the return addresses of all calls.
    pub fn call_sites(&self) -> impl Iterator<Item = Addr> + '_ {
        let calls = self.graph.nodes.iter();
        calls
            .filter(|node| matches!(node.edge, Edge::Call { then: Some(_), .. }))
            .map(|node| Addr(node.behind))
    }

    /// Answers a question about this function. `None` if it does not make that call. `is_callee`
    /// says of a call's target whether that is the callee.
    #[must_use]
    pub fn answer(
        &self,
        question: &FlowQuestion,
        is_callee: impl Fn(Addr) -> bool,
    ) -> Option<ResultFate> {
        let mut fate = None;
        for (call, node) in self.graph.nodes.iter().enumerate() {
            let (target, then) = match node.edge {
                Edge::Call { target, then } => (target, then),
                Edge::Leave { target } => (target, None),
                _ => continue,
            };
            let is_asked = match question.call_site {
                Some(site) => site.0 == node.behind,
                None => target.is_some_and(|target| is_callee(Addr(target))),
            };
            if !is_asked {
                continue;
            }
            let Some(then) = then else {
                return Some(ResultFate::Unclear);
            };
            let one = self.fate(call as u32, then, question);
            match fate {
                None => fate = Some(one),
                Some(known) if known != one => return Some(ResultFate::Unclear),
                Some(_) => {}
            }
        }
        fate
    }

    fn fate(&self, call: u32, then: u32, question: &FlowQuestion) -> ResultFate {
        let follow = |value| {
            let mut state = State::clone(self.from_entry[then as usize].as_deref()?);
            state.set_result(Value::followed(value));
            let ended_by = (question.repetition == Repetition::Last).then_some(call);
            run::run(&self.graph, then, state, ended_by).map(|(ends, _)| ends)
        };
        let FlowQuestion { value, result, .. } = question;
        let Some(ends) = follow(value.register) else {
            return ResultFate::Unclear;
        };
        let success = || Some(Match::of(&follow(success_of(value.kind))?, *result));
        match judge(question, &ends, success) {
            ResultFate::Never | ResultFate::Unclear if self.is_told_aside(call, then, question) => {
                ResultFate::MayDecide
            }
            fate => fate,
        }
    }

    /// Returns true if the call returned `NULL`, and the caller then, and only then, returns what the
    /// call may have written to the frame: an error behind a pointer, as of `qdisc_create(…, &err)`.
    fn is_told_aside(&self, call: u32, then: u32, question: &FlowQuestion) -> bool {
        let FlowQuestion { value, result, .. } = question;
        let is_error_of_null =
            value.outcome() == Outcome::Null && matches!(result.outcome(), Outcome::Errno(_));
        if self.graph.taken.is_empty() || !is_error_of_null {
            return false;
        }
        let returns_it = |value| {
            let mut state = State::clone(self.from_entry[then as usize].as_deref()?);
            state.set_result(Value::constant(value));
            state.take_words_as_result(&self.graph.taken);
            let ended_by = (question.repetition == Repetition::Last).then_some(call);
            let (ends, _) = run::run(&self.graph, then, state, ended_by)?;
            Some(ends.has_other_followed)
        };
        returns_it(value.register) == Some(true) && returns_it(POINTER) == Some(false)
    }
}

/// How a function's ends fit to a result.
struct Match {
    /// The result that is followed is the function's.
    is_passed: bool,
    /// A constant that was made is.
    is_made: bool,
    /// The function may return another constant.
    has_others: bool,
}

impl Match {
    fn of(ends: &Ends, result: Returned) -> Self {
        let size = if result.kind == ResultType::Pointer {
            8
        } else {
            4
        };
        let fits = |value| narrow(value, size) == narrow(result.register, size);
        let mut constants = ends.constants.iter();
        Self {
            is_passed: constants
                .clone()
                .any(|constant| constant.is_followed && fits(constant.value)),
            is_made: constants
                .clone()
                .any(|constant| !constant.is_followed && fits(constant.value)),
            has_others: constants.any(|constant| !fits(constant.value)),
        }
    }
}

fn judge(
    question: &FlowQuestion,
    ends: &Ends,
    success: impl FnOnce() -> Option<Match>,
) -> ResultFate {
    let FlowQuestion { value, result, .. } = question;
    let found = Match::of(ends, *result);
    let is_kept = ends.has_other_followed || ends.constants.iter().any(|end| end.is_followed);
    if !ends.uses.is_tested && !ends.uses.has_escaped && !is_kept {
        return ResultFate::Ignored;
    }
    if found.is_passed {
        return ResultFate::PassedOn;
    }
    if ends.has_other_followed {
        return ResultFate::Unclear;
    }
    let is_same = value.outcome() == result.outcome();
    if !found.is_made {
        let is_elsewhere = ends.has_other && (ends.uses.has_escaped || !is_same);
        let is_of_exception = narrow(result.register, 4) == narrow(EFAULT, 4) && !is_same;
        return if is_elsewhere || is_of_exception || ends.has_lost_constants {
            ResultFate::Unclear
        } else {
            ResultFate::Never
        };
    }
    let Some(success) = success() else {
        return ResultFate::Unclear;
    };
    let is_end_of_success = success.is_made && !success.has_others;
    match (found.has_others, ends.has_other) {
        (false, false) if !is_end_of_success => ResultFate::Decides,
        (false, true) if !success.is_made => ResultFate::MayDecide,
        _ => ResultFate::Unclear,
    }
}

impl Returned {
    fn outcome(self) -> Outcome {
        self.kind.judge(self.register)
    }
}

/// Returns a value of a type that is no failure.
fn success_of(kind: ResultType) -> u64 {
    match kind {
        ResultType::Pointer => POINTER,
        _ => 0,
    }
}
