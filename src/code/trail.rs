// SPDX-License-Identifier: BSD-2-Clause
//! Where a failure may have come from, below a function that no traced callee explains: its
//! callees, by what their code makes and what their type lets them return.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;

use super::decode::ResultUse;
use super::errnos::Errnos;
use super::functions::{Code, Function};
use crate::knowledge::callees::{DULL, KNOWN, NOT_DULL};
use crate::spec::{Addr, ResultType};

/// How many calls below a callee its errnos are looked for.
const MAX_DEPTH: u32 = 4;

/// How many functions are looked at below one callee.
const MAX_FUNCTIONS: usize = 120;

/// What is known of a function that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailFacts {
    /// Errnos that its own instructions make.
    pub makes: Errnos,
    /// It looks values up in a table of constants.
    pub has_table: bool,
    /// It calls through pointers.
    pub has_indirect: bool,
    /// Its direct callees that can fail and whose result is not ignored.
    pub callees: Vec<TrailCallee>,
}

/// A direct callee that can fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailCallee {
    /// Its name.
    pub name: String,
    /// Its module.
    pub module: Option<String>,
    /// Its start.
    pub addr: Addr,
    /// How its result is judged.
    pub result: ResultType,
    /// What the caller does with the result.
    pub used: ResultUse,
    /// Errnos that its own instructions make.
    pub makes: Errnos,
    /// Errnos that what it calls directly makes, some calls down, where types let them through.
    pub below: Errnos,
    /// Something below it calls through a pointer or is not known, so that it may return others.
    pub is_open: bool,
}

/// Trails of functions, each worked out once.
pub struct Trails<'a> {
    code: Code<'a>,
    type_of: &'a dyn Fn(&str, Option<&str>) -> Option<ResultType>,
    known: RefCell<HashMap<Addr, Option<Rc<TrailFacts>>>>,
}

impl fmt::Debug for Trails<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trails")
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

impl<'a> Trails<'a> {
    /// Trails in `code`; `type_of` tells how a function's result is judged, by name and module,
    /// and `None` where nothing is known of such a function.
    #[must_use]
    pub fn new(
        code: Code<'a>,
        type_of: &'a dyn Fn(&str, Option<&str>) -> Option<ResultType>,
    ) -> Self {
        Self {
            code,
            type_of,
            known: RefCell::default(),
        }
    }

    /// The trail below the function at `addr`; `None` where its code cannot be read.
    #[must_use]
    pub fn below(&self, addr: Addr) -> Option<Rc<TrailFacts>> {
        if let Some(known) = self.known.borrow().get(&addr) {
            return known.clone();
        }
        let facts = self
            .code
            .function(addr)
            .map(|function| Rc::new(self.facts(&function)));
        self.known.borrow_mut().insert(addr, facts.clone());
        facts
    }

    /// The code that they are in.
    #[must_use]
    pub fn code(&self) -> &Code<'a> {
        &self.code
    }

    /// The trails that were asked for so far.
    #[must_use]
    pub fn asked(&self) -> Vec<(Addr, Rc<TrailFacts>)> {
        let known = self.known.borrow();
        let mut asked: Vec<_> = known
            .iter()
            .filter_map(|(addr, facts)| Some((*addr, Rc::clone(facts.as_ref()?))))
            .collect();
        asked.sort_by_key(|(addr, _)| *addr);
        asked
    }

    fn facts(&self, function: &Function) -> TrailFacts {
        let mut facts = TrailFacts {
            makes: function.makes.clone(),
            has_table: function.has_table,
            has_indirect: function.has_indirect,
            callees: Vec::new(),
        };
        for callee in &function.callees {
            if callee.result == ResultUse::Ignored {
                continue;
            }
            let Some((symbol, _)) = self.code.kallsyms().resolve(callee.addr) else {
                continue;
            };
            let Some(result) = self.can_fail(symbol.name, symbol.module) else {
                continue;
            };
            let (makes, below, is_open) = match known_errnos(symbol.name) {
                Some(makes) => (Errnos::of(makes.iter().copied()), Errnos::default(), false),
                None => self.look_below(callee.addr),
            };
            facts.callees.push(TrailCallee {
                name: symbol.name.to_owned(),
                module: symbol.module.map(str::to_owned),
                addr: callee.addr,
                result,
                used: callee.result,
                makes,
                below,
                is_open,
            });
        }
        facts
    }

    /// The type of a result that can be a failure.
    fn can_fail(&self, name: &str, module: Option<&str>) -> Option<ResultType> {
        if is_dull(name) {
            return None;
        }
        let result = (self.type_of)(name, module).unwrap_or(ResultType::Unknown);
        result.can_fail().then_some(result)
    }

    /// What a function makes, what is made below it, and whether that may not be all.
    fn look_below(&self, addr: Addr) -> (Errnos, Errnos, bool) {
        let Some(top) = self.code.function(addr) else {
            return (Errnos::default(), Errnos::default(), true);
        };
        let mut below = Errnos::default();
        let mut is_open = top.has_indirect || top.has_table;
        let mut seen = HashSet::from([addr]);
        let mut level = vec![Rc::clone(&top)];
        for depth in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for callee in level.iter().flat_map(|function| &function.callees) {
                if callee.result == ResultUse::Ignored || !seen.insert(callee.addr) {
                    continue;
                }
                let Some((symbol, _)) = self.code.kallsyms().resolve(callee.addr) else {
                    continue;
                };
                if self.can_fail(symbol.name, symbol.module).is_none() {
                    continue;
                }
                if let Some(makes) = known_errnos(symbol.name) {
                    below.extend(&Errnos::of(makes.iter().copied()));
                    continue;
                }
                if depth + 1 == MAX_DEPTH || seen.len() > MAX_FUNCTIONS {
                    is_open = true;
                    continue;
                }
                match self.code.function(callee.addr) {
                    Some(function) => {
                        below.extend(&function.makes);
                        is_open |= function.has_indirect || function.has_table;
                        next.push(function);
                    }
                    None => is_open = true,
                }
            }
            level = next;
        }
        (top.makes.clone(), below, is_open)
    }
}

fn known_errnos(name: &str) -> Option<&'static [u16]> {
    let known = KNOWN.iter().find(|(start, _)| name.starts_with(start));
    known.map(|(_, errnos)| *errnos)
}

fn is_dull(name: &str) -> bool {
    DULL.iter().any(|dull| name.starts_with(dull))
        && !NOT_DULL.iter().any(|not| name.starts_with(not))
}
