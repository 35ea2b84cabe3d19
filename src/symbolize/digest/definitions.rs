// SPDX-License-Identifier: BSD-2-Clause
//! The functions that a unit defines, by source file.
//!
//! A function that was inlined as well, or cloned (`.isra`, `.constprop`), has its code in an entry
//! that says no more than which abstract entry it is an instance of: that one has the file.

use super::unit::Digester;
use super::walk::{Wanted, walk};
use crate::symbolize::dwarf::{
    Abbreviations, DebugSections, EntryAt, Function, Header, Lines, Unit, function_at,
};
use crate::symbolize::strings::Strings;

/// How often an entry may refer to another one for its file.
const LONGEST_REFERENCE: usize = 4;

/// A function, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::symbolize) struct Definition {
    /// The text of the file.
    pub(in crate::symbolize) file: u32,
    pub(in crate::symbolize) line: u32,
    /// Where code of it begins; `None`: it is inlined somewhere.
    pub(in crate::symbolize) start: Option<u64>,
}

/// Appends what a unit defines; `None` where it is damaged.
pub(in crate::symbolize) fn definitions(
    digester: &mut Digester,
    sections: DebugSections<'_>,
    header: Header,
    strings: &mut Strings,
    into: &mut Vec<Definition>,
) -> Option<()> {
    let abbreviations = digester.abbreviations();
    abbreviations.credit(header.n_bytes());
    let unit = Unit::read(sections, header, abbreviations)?;
    let walked = walk(&unit, abbreviations, Wanted::Functions)?;
    let files = Lines::files(&unit)?;
    let mut texts: Vec<Option<u32>> = Vec::new();
    for entry in &walked.functions {
        let Some((number, line)) = defined(&unit, abbreviations, entry.function) else {
            continue;
        };
        let at = usize::try_from(number).ok()?;
        let known = texts.get(at).copied().flatten();
        let file = match known {
            Some(file) => file,
            None => {
                let Some((directory, name)) = files.get(&unit, number) else {
                    continue;
                };
                let file = strings.path(unit.directory.unwrap_or_default(), directory, name);
                if texts.len() <= at {
                    texts.resize(at + 1, None);
                }
                texts[at] = Some(file);
                file
            }
        };
        let line = u32::try_from(line).unwrap_or(0);
        let definition = |start| Definition { file, line, start };
        if entry.function.is_inlined {
            into.push(definition(None));
        } else {
            let starts = walked
                .starts
                .get(entry.starts.0 as usize..entry.starts.1 as usize)?;
            into.extend(starts.iter().map(|start| definition(Some(*start))));
        }
    }
    Some(())
}

/// File and line of a function, as it says itself or what it is an instance of.
fn defined<'data>(
    unit: &Unit<'data>,
    abbreviations: &Abbreviations,
    mut function: Function<'data>,
) -> Option<(u64, u64)> {
    for _ in 0..LONGEST_REFERENCE {
        if let Some(file) = function.file {
            return Some((file, function.line.unwrap_or(0)));
        }
        // A file of another unit has another number; no compiler refers that far.
        let EntryAt::Here(at) = function.origin? else {
            return None;
        };
        function = function_at(unit, abbreviations, at)?;
    }
    None
}
