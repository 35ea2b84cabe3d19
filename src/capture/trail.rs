// SPDX-License-Identifier: BSD-2-Clause
//! The trail of a culprit in a recording.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::recording::result_type;
use crate::code::{Errnos, ResultUse, TrailCallee, TrailFacts};
use crate::spec::Addr;

/// The facts for the trail of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTrail {
    /// Start address of the function.
    pub addr: u64,
    /// Errnos that its own code creates.
    pub makes: Vec<u16>,
    /// Whether it looks values up in a table of constants.
    pub has_table: bool,
    /// Whether it calls functions through pointers.
    pub has_indirect: bool,
    /// Functions that it calls directly.
    pub callees: Vec<RecordedCallee>,
}

/// A callee of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCallee {
    /// Name of the callee.
    pub name: String,
    /// Name of its module; `None` for the kernel itself.
    pub module: Option<String>,
    /// Start address.
    pub addr: u64,
    /// The result type, in the `Debug` format of `ResultType`.
    pub result: String,
    /// How the caller uses its result, in the `Debug` format of `ResultUse`.
    pub used: String,
    /// Errnos that its own code creates.
    pub makes: Vec<u16>,
    /// Errnos that functions below it create.
    pub below: Vec<u16>,
    /// Whether it may return other errnos too.
    pub is_open: bool,
    /// Whether it can be traced. Recordings of 0.1.0 and before do not say.
    #[serde(default = "is_traceable_by_default")]
    pub is_traceable: bool,
    /// Number of records that had arrived when it was traced first; `None` if it was not traced.
    pub traced_since: Option<u64>,
}

impl RecordedTrail {
    /// Converts the facts of a function. `traced_since` gives the number of records that had
    /// arrived when the function at an address was traced first.
    #[must_use]
    pub fn of(addr: Addr, facts: &TrailFacts, traced_since: impl Fn(Addr) -> Option<u64>) -> Self {
        Self {
            addr: addr.0,
            makes: facts.makes.as_slice().to_vec(),
            has_table: facts.has_table,
            has_indirect: facts.has_indirect,
            callees: facts
                .callees
                .iter()
                .map(|callee| RecordedCallee {
                    name: callee.name.clone(),
                    module: callee.module.clone(),
                    addr: callee.addr.0,
                    result: format!("{:?}", callee.result),
                    used: format!("{:?}", callee.used),
                    makes: callee.makes.as_slice().to_vec(),
                    below: callee.below.as_slice().to_vec(),
                    is_open: callee.is_open,
                    is_traceable: callee.is_traceable,
                    traced_since: traced_since(callee.addr),
                })
                .collect(),
        }
    }

    /// Converts back to the facts.
    ///
    /// # Errors
    ///
    /// When a result type or a use is unknown.
    pub fn facts(&self) -> Result<TrailFacts> {
        let callees = self.callees.iter().map(|callee| {
            Ok(TrailCallee {
                name: callee.name.clone(),
                module: callee.module.clone(),
                addr: Addr(callee.addr),
                result: result_type(&callee.result)?,
                used: result_use(&callee.used)?,
                makes: Errnos::of(callee.makes.iter().copied()),
                below: Errnos::of(callee.below.iter().copied()),
                is_open: callee.is_open,
                is_traceable: callee.is_traceable,
            })
        });
        Ok(TrailFacts {
            makes: Errnos::of(self.makes.iter().copied()),
            has_table: self.has_table,
            has_indirect: self.has_indirect,
            callees: callees.collect::<Result<_>>()?,
        })
    }
}

fn is_traceable_by_default() -> bool {
    true
}

fn result_use(text: &str) -> Result<ResultUse> {
    Ok(match text {
        "Ignored" => ResultUse::Ignored,
        "Unknown" => ResultUse::Unknown,
        "Tested" => ResultUse::Tested,
        _ => bail!("`{text}` is no use of a result"),
    })
}
