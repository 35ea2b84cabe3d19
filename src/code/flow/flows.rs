// SPDX-License-Identifier: BSD-2-Clause
//! Answers questions about the results of calls, with a cache.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::fate::{Flow, FlowQuestion, ResultFate};
use crate::code::arch;
use crate::code::functions::{Code, is_part};
use crate::spec::Addr;

/// Maximum number of functions that are kept. A full cache is cleared. A function takes about
/// 100 KiB, a large one 2 MiB.
const MAX_FLOWS: usize = 32;

/// Maximum number of answers that are kept, and recorded. Further ones are given, but not kept.
const MAX_ANSWERS: usize = 1 << 16;

/// The data flow of the functions that were asked about.
#[derive(Debug, Default)]
pub struct Flows {
    flows: RefCell<HashMap<Addr, Option<Rc<Flow>>>>,
    answers: RefCell<HashMap<FlowQuestion, Option<ResultFate>>>,
}

impl Flows {
    /// Answers a question. `None` if the caller's code is not known or cannot be followed, or if it
    /// does not make that call. If an untraced function between the two makes it, the answer is
    /// whether that function ignores the result, or `None`.
    pub fn answer(&self, code: &Code<'_>, question: &FlowQuestion) -> Option<ResultFate> {
        if let Some(known) = self.answers.borrow().get(question) {
            return *known;
        }
        let answer = match untraced_caller(code, question) {
            None => self.answer_in(code, question),
            Some(caller) => {
                let between = FlowQuestion {
                    caller,
                    ..*question
                };
                let answer = self.answer_in(code, &between);
                answer.filter(|fate| *fate == ResultFate::Ignored)
            }
        };
        let mut answers = self.answers.borrow_mut();
        if answers.len() < MAX_ANSWERS {
            answers.insert(*question, answer);
        }
        answer
    }

    fn answer_in(&self, code: &Code<'_>, question: &FlowQuestion) -> Option<ResultFate> {
        let is_callee = |target| {
            let found = code.kallsyms().resolve(target);
            found.is_some_and(|(symbol, offset)| {
                symbol.addr == question.callee && offset <= arch::MAX_ENTRY_OFFSET
            })
        };
        self.flow(code, question.caller)?
            .answer(question, is_callee)
    }

    /// Returns the questions that were answered so far, with their answers, in a fixed order.
    #[must_use]
    pub fn asked(&self) -> Vec<(FlowQuestion, ResultFate)> {
        let answers = self.answers.borrow();
        let mut asked: Vec<_> = answers
            .iter()
            .filter_map(|(question, answer)| Some((*question, (*answer)?)))
            .collect();
        asked.sort_unstable_by_key(|(question, _)| *question);
        asked
    }

    fn flow(&self, code: &Code<'_>, addr: Addr) -> Option<Rc<Flow>> {
        if let Some(known) = self.flows.borrow().get(&addr) {
            return known.clone();
        }
        let flow = Flow::of(code, addr).map(Rc::new);
        let mut flows = self.flows.borrow_mut();
        if flows.len() >= MAX_FLOWS {
            flows.clear();
        }
        flows.insert(addr, flow.clone());
        flow
    }
}

/// Returns the start of the function that made the call, if that is not the caller.
fn untraced_caller(code: &Code<'_>, question: &FlowQuestion) -> Option<Addr> {
    // A return address may be the first byte behind a function.
    let call = Addr(question.call_site?.0.checked_sub(1)?);
    let (symbol, _) = code.kallsyms().resolve(call)?;
    let is_other = symbol.is_function && symbol.addr != question.caller && !is_part(symbol.name);
    is_other.then_some(symbol.addr)
}
