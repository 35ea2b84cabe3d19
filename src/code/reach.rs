// SPDX-License-Identifier: BSD-2-Clause
//! Finds the functions that are reachable through direct calls and jumps.

use std::collections::{HashMap, VecDeque};

use super::functions::Code;
use crate::knowledge::callees::SEARCH_ENDS;
use crate::spec::Addr;

/// The result of [`reachable`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The addresses of the functions, each with its distance in calls from the nearest entry
    /// function (0 for an entry function).
    pub functions: HashMap<Addr, u32>,
    /// Number of functions whose code could not be read.
    pub unreadable: usize,
}

/// Walks the calls from `entries` breadth first.
#[must_use]
pub fn reachable(code: &Code<'_>, entries: impl IntoIterator<Item = Addr>) -> Reached {
    let mut reached = Reached::default();
    let mut waiting: VecDeque<Addr> = VecDeque::new();
    for entry in entries {
        if reached.functions.insert(entry, 0).is_none() {
            waiting.push_back(entry);
        }
    }
    while let Some(addr) = waiting.pop_front() {
        let depth = reached.functions.get(&addr).map_or(0, |depth| depth + 1);
        let Some(function) = code.function(addr) else {
            reached.unreadable += 1;
            continue;
        };
        for callee in &function.callees {
            if reached.functions.contains_key(&callee.addr) {
                continue;
            }
            reached.functions.insert(callee.addr, depth);
            if !is_end(code, callee.addr) {
                waiting.push_back(callee.addr);
            }
        }
    }
    reached
}

fn is_end(code: &Code<'_>, addr: Addr) -> bool {
    let Some((symbol, _)) = code.kallsyms().resolve(addr) else {
        return true;
    };
    SEARCH_ENDS.iter().any(|end| match end.strip_suffix('*') {
        Some(prefix) => symbol.name.starts_with(prefix),
        None => symbol.name == *end,
    })
}
