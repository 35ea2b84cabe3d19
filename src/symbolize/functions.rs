// SPDX-License-Identifier: BSD-2-Clause
//! Source files → the functions that they define, with and without code of their own.
//!
//! All units are looked into: a file may be included into a unit that is called otherwise
//! (`kernel/sched/rt.c` is), as headers are.

use std::collections::{HashMap, HashSet};

use super::digest::{Definition, Digester, definitions};
use super::dwarf::{DebugSections, Section, headers};
use super::strings::Strings;
use crate::spec::NameGlob;

/// Functions that some source files define.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFunctions {
    /// Where those begin that have code.
    pub addrs: Vec<u64>,
    /// How many have none, because they are inlined wherever they are called.
    pub n_inlined: usize,
    /// How many units could not be read.
    pub n_damaged: usize,
}

/// The functions of the files that are wanted, out of an image.
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

/// Definitions that were chosen.
#[derive(Debug, Default)]
pub(super) struct FunctionChoice {
    addrs: Vec<u64>,
    /// Functions that are inlined somewhere: those of headers in many units.
    inlined: HashSet<(u32, u32)>,
    with_code: HashSet<(u32, u32)>,
    pub(super) n_damaged: usize,
}

/// A kernel has some 100,000.
const MOST_FUNCTIONS: usize = 1 << 19;

impl FunctionChoice {
    /// Whether there are more than any kernel has.
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
