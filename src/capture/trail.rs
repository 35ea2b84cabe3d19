// SPDX-License-Identifier: BSD-2-Clause
//! What the machine code said below a culprit, in a recording.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::recording::result_type;
use crate::code::{Errnos, ResultUse, TrailCallee, TrailFacts};
use crate::spec::Addr;

/// The trail below a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTrail {
    /// The function's address.
    pub addr: u64,
    /// Errnos that it makes itself.
    pub makes: Vec<u16>,
    /// It looks values up in a table.
    pub has_table: bool,
    /// It calls through pointers.
    pub has_indirect: bool,
    /// What it calls directly.
    pub callees: Vec<RecordedCallee>,
}

/// A callee of such a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCallee {
    /// Its name.
    pub name: String,
    /// Its module.
    pub module: Option<String>,
    /// Its address.
    pub addr: u64,
    /// The type of its result, as it prints for debugging.
    pub result: String,
    /// What becomes of its result, as it prints for debugging.
    pub used: String,
    /// Errnos that it makes itself.
    pub makes: Vec<u16>,
    /// Errnos that are made below it.
    pub below: Vec<u16>,
    /// It may return others.
    pub is_open: bool,
    /// The number of records that had come when it was traced; `None`: it was not.
    pub traced_since: Option<u64>,
}

impl RecordedTrail {
    /// Of a trail; `traced_since` tells for an address since when it is traced.
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
                    traced_since: traced_since(callee.addr),
                })
                .collect(),
        }
    }

    /// The trail again.
    ///
    /// # Errors
    /// When a word in it is unknown.
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

fn result_use(text: &str) -> Result<ResultUse> {
    Ok(match text {
        "Ignored" => ResultUse::Ignored,
        "Unknown" => ResultUse::Unknown,
        "Tested" => ResultUse::Tested,
        _ => bail!("`{text}` is no use of a result"),
    })
}
