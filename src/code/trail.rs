// SPDX-License-Identifier: BSD-2-Clause
//! Collects which callees of a failed function may have returned the error: by the errnos that
//! their code makes, and by what their types let them return.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;

use super::decode::ResultUse;
use super::errnos::Errnos;
use super::functions::{Code, FunctionCode};
use crate::kernel::traceable::PatchSite;
use crate::knowledge::callees::{CAN_FAIL, KNOWN, NEVER_FAILING};
use crate::spec::{Addr, ResultType};

/// Number of levels of calls below a callee that are searched for errnos.
const MAX_DEPTH: u32 = 4;

/// Maximum number of functions to examine below one callee.
const MAX_FUNCTIONS: usize = 120;

/// What the machine code of a failed function says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailFacts {
    /// Errnos that its own instructions make.
    pub makes: Errnos,
    /// Whether it reads values from a table of constants.
    pub has_table: bool,
    /// Whether it calls functions through pointers.
    pub has_indirect: bool,
    /// Its direct callees that can fail and whose result is not ignored.
    pub callees: Vec<TrailCallee>,
}

/// A direct callee that can fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailCallee {
    /// Name of its symbol.
    pub name: String,
    /// Name of its module; `None` for the kernel image.
    pub module: Option<String>,
    /// Address of its start.
    pub addr: Addr,
    /// Type of its result, which decides what counts as a failure.
    pub result: ResultType,
    /// What the caller does with the result.
    pub used: ResultUse,
    /// Errnos that its own instructions make.
    pub makes: Errnos,
    /// Errnos that its direct callees make, and theirs, a few levels down, if their types can
    /// return them.
    pub below: Errnos,
    /// Whether a function below it calls through a pointer or is unknown, so that it may return
    /// other errnos.
    pub is_open: bool,
    /// Whether it begins with an instruction that tracers patch. Parts of the kernel are built
    /// without (`lib/`, `kernel/trace/`).
    pub is_traceable: bool,
}

/// Computes the trails of functions, with a cache.
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
    /// Creates trails in `code`. `type_of` returns the result type of a function by name and
    /// module; `None` if the function is unknown.
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

    /// Returns what the code below the function at `addr` says; `None` if the code cannot be read.
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

    /// Returns the machine code that the trails are computed from.
    #[must_use]
    pub fn code(&self) -> &Code<'a> {
        &self.code
    }

    /// Returns the trails that were requested so far, in order of address.
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

    fn facts(&self, function: &FunctionCode) -> TrailFacts {
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
                is_traceable: self.is_traceable(callee.addr),
            });
        }
        facts
    }

    fn is_traceable(&self, addr: Addr) -> bool {
        let mut start = [0; PatchSite::REACH];
        // What cannot be read may be traceable.
        !self.code.text().read(addr, &mut start) || PatchSite::find(addr, &start).is_some()
    }

    /// Returns the result type of a function; `None` if it cannot fail or is uninteresting.
    fn can_fail(&self, name: &str, module: Option<&str>) -> Option<ResultType> {
        if never_fails(name) {
            return None;
        }
        let result = (self.type_of)(name, module).unwrap_or(ResultType::Unknown);
        result.can_fail().then_some(result)
    }

    /// Returns the errnos that a function makes, those that are made below it, and whether there
    /// may be others.
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

fn never_fails(name: &str) -> bool {
    NEVER_FAILING.iter().any(|start| name.starts_with(start))
        && !CAN_FAIL.iter().any(|start| name.starts_with(start))
}
