// SPDX-License-Identifier: BSD-2-Clause
//! The functions that a unit defines, grouped by source file.
//!
//! The DWARF entry of a function that was also inlined, or that was cloned (`.isra`, `.constprop`),
//! names only its abstract entry. The file is taken from the abstract entry.

use super::unit::Digester;
use super::walk::{WantedEntries, walk};
use crate::symbolize::dwarf::{
    Abbreviations, DebugSections, EntryAt, Function, Header, Lines, Unit, function_at,
};
use crate::symbolize::strings::Strings;

/// How many references from entry to entry are followed to find the file of a function.
const LONGEST_REFERENCE: usize = 4;

/// A function, or one part of a function that has several address ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::symbolize) struct Definition {
    /// The source file, as a text number of `Strings`.
    pub(in crate::symbolize) file: u32,
    pub(in crate::symbolize) line: u32,
    /// Start address of the code; `None` if the entry describes a function that is inlined.
    pub(in crate::symbolize) start: Option<u64>,
}

/// Appends the functions that a unit defines; returns `None` if the unit is damaged.
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
    let walked = walk(&unit, abbreviations, WantedEntries::Functions)?;
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

/// Returns the file number and the line of a function. If the entry has none, the entries that it
/// refers to are asked. The line is 0 if none is given.
fn defined<'data>(
    unit: &Unit<'data>,
    abbreviations: &Abbreviations,
    mut function: Function<'data>,
) -> Option<(u64, u64)> {
    for _ in 0..LONGEST_REFERENCE {
        if let Some(file) = function.file {
            return Some((file, function.line.unwrap_or(0)));
        }
        // The other unit numbers its files differently. No compiler refers to a third unit.
        let EntryAt::Here(at) = function.origin? else {
            return None;
        };
        function = function_at(unit, abbreviations, at)?;
    }
    None
}
