// SPDX-License-Identifier: BSD-2-Clause
//! What the machine code says about the result of one call: whether it can be the reason of its
//! caller's failure.

use super::types::Call;
use crate::code::{FlowQuestion, Repetition, ResultFate, Returned};
use crate::select::TracedFunction;
use crate::spec::Ip;

/// A source of answers about the results of calls.
pub trait ResultFates {
    /// Returns what becomes of a callee's result; `None` if the code is unknown.
    fn fate(&self, question: &FlowQuestion) -> Option<ResultFate>;
}

/// Nothing is known of the machine code.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoCode;

impl ResultFates for NoCode {
    fn fate(&self, _question: &FlowQuestion) -> Option<ResultFate> {
        None
    }
}

/// The calls of a session, with what can be asked about them.
pub(super) struct CodeOfCalls<'a> {
    pub(super) calls: &'a [Call],
    pub(super) functions: &'a [TracedFunction],
    pub(super) source: &'a dyn ResultFates,
    /// Whether there may have been later calls that were not recorded.
    pub(super) has_gaps: bool,
}

impl CodeOfCalls<'_> {
    /// Returns what becomes of the result of a failed call in its caller, which failed too.
    pub(super) fn fate(&self, callee: usize) -> Option<ResultFate> {
        let call = &self.calls[callee];
        let caller = &self.calls[call.parent?];
        let is_failure = |call: &Call| call.returned && call.outcome.is_failure();
        if !is_failure(call) || !is_failure(caller) {
            return None;
        }
        let (function, of_caller) = (self.function(call)?, self.function(caller)?);
        // After a jump to the callee its result is the caller's. The return address is that of the
        // caller's own call, and may lie in a function that ignores both.
        let is_tail_call = call.call_site.is_some()
            && (caller.call_site == call.call_site
                || caller.call_site.is_none() && !is_inside(call, of_caller));
        if is_tail_call {
            return None;
        }
        self.source.fate(&FlowQuestion {
            caller: of_caller.addr(),
            callee: function.addr(),
            call_site: call.call_site,
            value: returned(call, function),
            result: returned(caller, of_caller),
            repetition: self.repetition(callee),
        })
    }

    /// Returns true if the answer is about the very call, not about all that are like it.
    pub(super) fn is_exact(&self, callee: usize) -> bool {
        self.calls[callee].call_site.is_some() && self.repetition(callee) == Repetition::Last
    }

    fn repetition(&self, callee: usize) -> Repetition {
        let call = &self.calls[callee];
        let is_like_it = |other: &Call| {
            other.parent == call.parent
                && other.func == call.func
                && (other.call_site.is_none() || other.call_site == call.call_site)
        };
        if self.has_gaps || self.calls[callee + 1..].iter().any(is_like_it) {
            Repetition::Again
        } else {
            Repetition::Last
        }
    }

    /// Returns the function of a call, if it is the kernel's.
    fn function(&self, call: &Call) -> Option<&TracedFunction> {
        let function = self.functions.get(call.func.index())?;
        (!function.hook.is_of_user()).then_some(function)
    }
}

/// Returns true if a function made this call, and not another one for it.
fn is_inside(call: &Call, function: &TracedFunction) -> bool {
    let site = call.call_site.map(Ip::return_to);
    site.is_some_and(|site| function.contains(site.location))
}

fn returned(call: &Call, function: &TracedFunction) -> Returned {
    Returned {
        register: call.result,
        kind: function.result,
    }
}
