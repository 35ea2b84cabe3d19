// SPDX-License-Identifier: BSD-2-Clause
//! What the machine code says about the results of calls, in a recording: questions and answers.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::recording::result_type;
use crate::code::{FlowQuestion, Repetition, ResultFate, Returned};
use crate::spec::Addr;

/// An answer about the result of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFate {
    /// Start address of the caller.
    pub caller: u64,
    /// Start address of the callee.
    pub callee: u64,
    /// Return address of the call; `None` if it was not known.
    pub call_site: Option<u64>,
    /// What the callee returned.
    pub value: RecordedResult,
    /// What the caller returned.
    pub result: RecordedResult,
    /// Whether it was the last call like it.
    pub is_last: bool,
    /// The answer, in the `Debug` format of `ResultFate`.
    pub fate: String,
}

/// What a function returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedResult {
    /// The register for results.
    pub register: u64,
    /// The result type, in the `Debug` format of `ResultType`.
    pub kind: String,
}

const ALL_FATES: [ResultFate; 6] = [
    ResultFate::Ignored,
    ResultFate::Never,
    ResultFate::PassedOn,
    ResultFate::Decides,
    ResultFate::MayDecide,
    ResultFate::Unclear,
];

impl RecordedFate {
    /// Converts a question with its answer.
    #[must_use]
    pub fn of((question, fate): &(FlowQuestion, ResultFate)) -> Self {
        let FlowQuestion {
            caller,
            callee,
            call_site,
            value,
            result,
            repetition,
        } = question;
        Self {
            caller: caller.0,
            callee: callee.0,
            call_site: call_site.map(|site| site.0),
            value: RecordedResult::of(*value),
            result: RecordedResult::of(*result),
            is_last: *repetition == Repetition::Last,
            fate: format!("{fate:?}"),
        }
    }

    /// Converts back.
    ///
    /// # Errors
    ///
    /// When a result type or the answer is unknown.
    pub fn answer(&self) -> Result<(FlowQuestion, ResultFate)> {
        let fate = ALL_FATES
            .iter()
            .find(|fate| format!("{fate:?}") == self.fate);
        let Some(fate) = fate else {
            bail!("`{}` is nothing that becomes of a result", self.fate);
        };
        let question = FlowQuestion {
            caller: Addr(self.caller),
            callee: Addr(self.callee),
            call_site: self.call_site.map(Addr),
            value: self.value.returned()?,
            result: self.result.returned()?,
            repetition: if self.is_last {
                Repetition::Last
            } else {
                Repetition::Again
            },
        };
        Ok((question, *fate))
    }
}

impl RecordedResult {
    fn of(returned: Returned) -> Self {
        Self {
            register: returned.register,
            kind: format!("{:?}", returned.kind),
        }
    }

    fn returned(&self) -> Result<Returned> {
        Ok(Returned {
            register: self.register,
            kind: result_type(&self.kind)?,
        })
    }
}
