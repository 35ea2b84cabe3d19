// SPDX-License-Identifier: BSD-2-Clause
//! Finds the functions that source files define, with and without code of their own.
//!
//! All units are searched, because a file may be included into a unit that has another name
//! (headers, and C files such as `kernel/sched/rt.c`).

use std::collections::{HashMap, HashSet};

use super::digest::{Definition, Digester, definitions};
use super::dwarf::{DebugSections, Section, headers};
use super::strings::Strings;
use crate::spec::NameGlob;

/// The functions that some source files define.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFunctions {
    /// Start addresses of the functions that have code, sorted.
    pub addrs: Vec<u64>,
    /// Number of functions without code, because they are inlined wherever they are called.
    pub n_inlined: usize,
    /// Number of units that could not be read, plus one if the search stopped at the limit of
    /// functions.
    pub n_damaged: usize,
}

/// Searches an image for the functions of the files that `wanted` matches.
pub(super) fn find(
    digester: &mut Digester,
    sections: DebugSections<'_>,
    strings: &mut Strings,
    wanted: &NameGlob,
) -> SourceFunctions {
    let mut selection = FunctionChoice::default();
    let mut found = Vec::new();
    let mut is_wanted: HashMap<u32, bool> = HashMap::new();
    for header in headers(sections.get(Section::Info)) {
        found.clear();
        let read =
            header.and_then(|header| definitions(digester, sections, header, strings, &mut found));
        if read.is_none() {
            selection.n_damaged += 1;
        }
        if selection.is_full() {
            selection.n_damaged += 1;
            break;
        }
        for definition in &found {
            let is_wanted = is_wanted.entry(definition.file).or_insert_with(|| {
                let path = strings.get(definition.file);
                path.is_some_and(|path| wanted.matches(&path))
            });
            if *is_wanted {
                selection.add(*definition);
            }
        }
    }
    selection.finish()
}

/// Collects the definitions that were chosen.
#[derive(Debug, Default)]
pub(super) struct FunctionChoice {
    addrs: Vec<u64>,
    /// File and line of functions that are inlined somewhere. A set is needed because functions of
    /// headers appear in many units.
    inlined: HashSet<(u32, u32)>,
    with_code: HashSet<(u32, u32)>,
    pub(super) n_damaged: usize,
}

/// Maximum number of functions. A kernel has some 100,000.
const MOST_FUNCTIONS: usize = 1 << 19;

impl FunctionChoice {
    /// Returns whether the image has more functions than any kernel.
    fn is_full(&self) -> bool {
        let n_functions = self.inlined.len().max(self.addrs.len());
        n_functions > MOST_FUNCTIONS
    }

    pub(super) fn add(&mut self, definition: Definition) {
        let place = (definition.file, definition.line);
        match definition.start {
            None => {
                self.inlined.insert(place);
            }
            Some(start) => {
                self.with_code.insert(place);
                self.addrs.push(start);
            }
        }
    }

    pub(super) fn finish(mut self) -> SourceFunctions {
        self.addrs.sort_unstable();
        self.addrs.dedup();
        SourceFunctions {
            n_inlined: self.inlined.difference(&self.with_code).count(),
            addrs: self.addrs,
            n_damaged: self.n_damaged,
        }
    }
}
