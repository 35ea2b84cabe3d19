// SPDX-License-Identifier: BSD-2-Clause
//! Builds the table of a unit.

use std::collections::HashMap;
use std::mem;

use super::encode::{Encoder, LineTableRow};
use super::paint::{innermost, pieces};
use super::walk::{InlinedCallEntry, NO_CALL, WantedEntries, walk};
use crate::symbolize::dwarf::{
    Abbreviations, DebugSections, EntryAt, Files, Function, Header, Headers, Lines, Section, Unit,
    function_at,
};
use crate::symbolize::strings::{PlaceHash, Strings};

/// How many references from entry to entry are followed to find the name of a function.
const LONGEST_REFERENCE: usize = 16;

/// How many bytes of other units' abbreviations may be read per byte of a unit.
const FOREIGN_BYTES: usize = 16;

/// Builds tables. It reuses buffers and caches from unit to unit.
#[derive(Debug, Default)]
pub(in crate::symbolize) struct Digester {
    abbreviations: Abbreviations,
    /// Abbreviations and headers of the units that were last searched for entries of other units.
    elsewhere: Elsewhere,
}

/// Finds entries in other units, of the same file (`own`) and of the shared file.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    abbreviations: Abbreviations,
    own: Headers,
    shared: Headers,
}

impl Digester {
    /// Builds the table of a unit; returns `None` if the unit is damaged.
    pub(in crate::symbolize) fn table(
        &mut self,
        sections: DebugSections<'_>,
        header: Header,
        strings: &mut Strings,
    ) -> Option<Vec<u8>> {
        self.abbreviations.credit(header.n_bytes());
        self.elsewhere
            .abbreviations
            .credit(FOREIGN_BYTES * header.n_bytes());
        let unit = Unit::read(sections, header, &mut self.abbreviations)?;
        let mut walked = walk(&unit, &self.abbreviations, WantedEntries::Calls)?;
        let lines = Lines::read(&unit)?;
        let painted = innermost(mem::take(&mut walked.spans));
        let mut making = Making {
            unit: &unit,
            files: &lines.files,
            names: UnitNames {
                unit: &unit,
                abbreviations: &self.abbreviations,
                elsewhere: &mut self.elsewhere,
                known: HashMap::default(),
            },
            strings,
            places: vec![0; walked.calls.len()],
            calls: &walked.calls,
            numbers: Vec::new(),
            encoder: Encoder::default(),
        };
        let mut fits = true;
        pieces(&lines.rows, &painted, |piece| {
            let (file, line) = piece.line.unwrap_or_default();
            let row = LineTableRow {
                call: making.call(piece.call),
                file: piece.line.map_or(0, |_| making.file(file.into())),
                line,
            };
            fits &= making.encoder.row(piece.start, piece.end, row).is_some();
        });
        let table = making.encoder.finish()?;
        fits.then_some(table)
    }

    pub(super) fn abbreviations(&mut self) -> &mut Abbreviations {
        &mut self.abbreviations
    }
}

struct Making<'a, 'data> {
    unit: &'a Unit<'data>,
    files: &'a Files<'data>,
    names: UnitNames<'a, 'data>,
    strings: &'a mut Strings,
    calls: &'a [InlinedCallEntry],
    /// Index in the table of each call, counted from 1; 0 if it was not added yet.
    places: Vec<u32>,
    /// Index in the table of each file of the unit, plus 1; 0 if it was not looked up yet.
    numbers: Vec<u32>,
    encoder: Encoder,
}

impl Making<'_, '_> {
    /// Returns the index of a call in the table. Adds the call, and the calls that it was inlined
    /// into, if they are missing.
    fn call(&mut self, call: u32) -> u32 {
        let mut missing = Vec::new();
        let mut next = call;
        let mut parent = 0;
        while next != NO_CALL {
            parent = self.places[next as usize];
            if parent != 0 {
                break;
            }
            missing.push(next);
            // Outer calls have smaller numbers, so the loop ends.
            next = self.calls[next as usize].parent;
        }
        if next == NO_CALL {
            parent = 0;
        }
        for number in missing.into_iter().rev() {
            let call = self.calls[number as usize];
            let name = self.names.name(call.origin, self.strings);
            let file = self.file(call.file);
            parent = self.encoder.call(parent, name, file, call.line);
            self.places[number as usize] = parent;
        }
        parent
    }

    /// Returns the index in the table of a file of the unit; 0 if the unit has no such file.
    fn file(&mut self, number: u64) -> u32 {
        /// Numbers below this are cached. No compiler emits larger ones.
        const FIRST_UNCACHED: u64 = 1 << 16;
        if let Some(known) = usize::try_from(number)
            .ok()
            .and_then(|at| self.numbers.get(at))
            && *known != 0
        {
            return *known - 1;
        }
        let path = self.files.get(self.unit, number);
        let found = path.map_or(0, |(directory, name)| {
            let unit = self.unit.directory.unwrap_or_default();
            self.encoder.file(self.strings.path(unit, directory, name))
        });
        if number < FIRST_UNCACHED {
            let at = number as usize;
            if self.numbers.len() <= at {
                self.numbers.resize(at + 1, 0);
            }
            self.numbers[at] = found + 1;
        }
        found
    }
}

/// Finds the names of functions by the entries that describe them.
pub(super) struct UnitNames<'a, 'data> {
    pub(super) unit: &'a Unit<'data>,
    pub(super) abbreviations: &'a Abbreviations,
    pub(super) elsewhere: &'a mut Elsewhere,
    pub(super) known: HashMap<EntryAt, u32, PlaceHash>,
}

impl<'data> UnitNames<'_, 'data> {
    fn name(&mut self, origin: Option<EntryAt>, strings: &mut Strings) -> u32 {
        let Some(origin) = origin else {
            return strings.name(b"?");
        };
        if let Some(known) = self.known.get(&origin) {
            return *known;
        }
        let text = self.text(origin).unwrap_or(b"?");
        let name = strings.name(text);
        self.known.insert(origin, name);
        name
    }

    fn text(&mut self, mut at: EntryAt) -> Option<&'data [u8]> {
        for _ in 0..LONGEST_REFERENCE {
            let function = match at {
                EntryAt::Here(at) if self.is_here(at) => {
                    function_at(self.unit, self.abbreviations, at)?
                }
                EntryAt::Here(at) => {
                    let info = self.unit.sections.get(Section::Info);
                    let header = self.elsewhere.own.find(info, at)?;
                    self.function_of_other(self.unit.sections, header, at)?
                }
                EntryAt::Shared(at) => {
                    let sections = self.unit.sections.shared()?;
                    let header = self
                        .elsewhere
                        .shared
                        .find(sections.get(Section::Info), at)?;
                    self.function_of_other(sections, header, at)?
                }
            };
            if let Some(name) = function.linkage_name.or(function.name) {
                return Some(name);
            }
            at = match (at, function.origin?) {
                // A reference within the shared file leads to an entry of the shared file.
                (EntryAt::Shared(_), EntryAt::Here(at)) => EntryAt::Shared(at),
                (_, at) => at,
            };
        }
        None
    }

    fn is_here(&self, at: usize) -> bool {
        (self.unit.header.start..self.unit.header.end).contains(&at)
    }

    fn function_of_other(
        &mut self,
        sections: DebugSections<'data>,
        header: Header,
        at: usize,
    ) -> Option<Function<'data>> {
        let abbreviations = &mut self.elsewhere.abbreviations;
        let unit = Unit::read(sections, header, abbreviations)?;
        function_at(&unit, abbreviations, at)
    }
}
