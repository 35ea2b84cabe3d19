// SPDX-License-Identifier: BSD-2-Clause
//! Answers addresses of an image with lines. The table of the unit comes from the index if there is
//! one. Otherwise it is built when an address first falls into the unit.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use super::digest::{Digester, Located, Table};
use super::dwarf::{Header, Section};
use super::functions::{self, SourceFunctions};
use super::guard::guarded;
use super::image::Image;
use super::index::Index;
use super::lines::{LineAnswer, Missing};
use super::paths::Paths;
use super::strings::Strings;
use super::tables::Tables;
use super::types::{Inlined, SourceLine};
use super::units::{UnitAt, UnitIndex};
use crate::spec::NameGlob;

/// Answers addresses of one image.
#[derive(Debug)]
pub(super) struct Engine {
    image: Arc<Image>,
    index: Option<Index>,
    units: UnitIndex,
    strings: Strings,
    tables: Tables,
    digester: Digester,
    apart: Apart,
    most_bytes: usize,
    candidates: Vec<UnitAt>,
    located: Vec<Located>,
}

impl Engine {
    /// Creates an engine that keeps at most about `most_bytes` bytes of the tables and texts that
    /// it made.
    pub(super) fn new(image: Arc<Image>, index: Option<Index>, most_bytes: usize) -> Self {
        let units = match &index {
            Some(index) => index.units(),
            None => UnitIndex::new(image.debug()),
        };
        // With an index, the paths are needed only if the index is damaged.
        let paths = match &index {
            Some(_) => None,
            None => Some(Paths::of_image(image.debug(), &units.listed_units())),
        };
        Self {
            image,
            index,
            units,
            strings: Strings::new(paths),
            tables: Tables::new(most_bytes),
            digester: Digester::default(),
            apart: Apart::default(),
            most_bytes,
            candidates: Vec::new(),
            located: Vec::new(),
        }
    }

    /// Answers addresses of the image, in the same order.
    pub(super) fn answers(&mut self, addrs: &[u64]) -> Vec<Result<LineAnswer, Missing>> {
        let mut answers = Vec::with_capacity(addrs.len());
        // Damaged DWARF may panic a parser. The run must survive that.
        let _ = guarded(|| answers.extend(addrs.iter().map(|addr| self.answer(*addr))));
        answers.resize(addrs.len(), Err(Missing::Damaged));
        answers
    }

    /// Returns the functions that are defined in the files whose path matches.
    pub(super) fn functions(&mut self, path: &NameGlob) -> SourceFunctions {
        let find = || match self.index.as_ref().and_then(|index| index.functions(path)) {
            Some(found) => found,
            None => {
                self.learn_paths();
                functions::find(
                    &mut self.digester,
                    self.image.debug(),
                    &mut self.strings,
                    path,
                )
            }
        };
        // Damaged DWARF may panic a parser. The run must survive that.
        guarded(find).unwrap_or(SourceFunctions {
            n_damaged: 1,
            ..SourceFunctions::default()
        })
    }

    /// Answers one address of the image.
    fn answer(&mut self, addr: u64) -> Result<LineAnswer, Missing> {
        if !self.image.has_code_at(addr) {
            return Err(Missing::OutsideImage);
        }
        let mut candidates = mem::take(&mut self.candidates);
        self.units
            .find(|| self.image.debug(), addr, &mut candidates);
        let mut answer = Err(Missing::NoUnit);
        for unit in &candidates {
            match self.answer_of(*unit, addr) {
                Some(Some(found)) => {
                    answer = Ok(found);
                    break;
                }
                Some(None) => answer = Err(Missing::NoLine),
                None => answer = Err(Missing::Damaged),
            }
        }
        self.candidates = candidates;
        answer
    }

    /// Asks one unit. Returns `Some(None)` if the unit has no line for the address, `None` if it is
    /// damaged.
    fn answer_of(&mut self, unit: UnitAt, addr: u64) -> Option<Option<LineAnswer>> {
        if let Some(index) = &mut self.index
            && let Some(table) = index.table(unit)
            && let Some(is_found) = table.look_up(addr, &mut self.located)
        {
            if !is_found {
                return Some(None);
            }
            // If the index is damaged, the image is asked.
            let answer = answer(&self.located, |number| index.text(number));
            if answer.is_some() {
                return Some(answer);
            }
        }
        if self.tables.get(unit).is_none() {
            self.make_table(unit);
        }
        let table = Table::new(self.tables.get(unit)??)?;
        match table.look_up(addr, &mut self.located)? {
            true => answer(&self.located, |number| self.strings.get(number)).map(Some),
            false => Some(None),
        }
    }

    fn make_table(&mut self, unit: UnitAt) {
        // Texts have no count of users. If they exceed the limit, all texts and tables are dropped.
        if self.strings.n_bytes() > self.most_bytes {
            self.strings.clear();
            self.tables.clear();
        }
        self.learn_paths();
        let sections = self.image.debug();
        let header = Header::read(sections.get(Section::Info), unit.0);
        let header = header.filter(|header| self.apart.take(header.start, header.end));
        let table =
            header.and_then(|header| self.digester.table(sections, header, &mut self.strings));
        self.tables.keep(unit, table);
    }

    fn learn_paths(&mut self) {
        if !self.strings.has_paths() {
            let units = self.units.listed_units();
            self.strings = Strings::new(Some(Paths::of_image(self.image.debug(), &units)));
        }
    }
}

/// Start and end of the units that tables were made of. A file may claim that a unit begins
/// anywhere. If units could overlap, each address could cost a pass over the whole file.
#[derive(Debug, Default)]
struct Apart(BTreeMap<usize, usize>);

impl Apart {
    /// Records a unit, unless it overlaps another one. Returns whether it was recorded or known.
    fn take(&mut self, start: usize, end: usize) -> bool {
        let before = self.0.range(..start).next_back();
        let behind = self.0.range(start..).next();
        let is_apart = before.is_none_or(|(_, before)| *before <= start)
            && behind
                .is_none_or(|(behind, other)| (*behind, *other) == (start, end) || end <= *behind);
        if is_apart {
            self.0.insert(start, end);
        }
        is_apart
    }
}

/// Converts rows, innermost first, into an answer, outermost first. Returns `None` if a text is
/// missing.
fn answer(
    located: &[Located],
    mut text: impl FnMut(u32) -> Option<Arc<str>>,
) -> Option<LineAnswer> {
    let (outermost, inlined) = located.split_last()?;
    let mut source = |row: &Located| match row.file {
        None => Some(None),
        Some(file) => Some(Some(SourceLine {
            path: text(file)?,
            line: row.line,
        })),
    };
    let outer = source(outermost)?;
    let sources: Option<Vec<_>> = inlined.iter().rev().map(source).collect();
    let rows = inlined.iter().rev().zip(sources?);
    let inlined: Option<Vec<_>> = rows
        .map(|(row, source)| {
            Some(Inlined {
                function: text(row.function?)?,
                source,
            })
        })
        .collect();
    Some(LineAnswer {
        source: outer,
        inlined: inlined?,
    })
}

#[cfg(test)]
mod tests {
    use super::Apart;

    #[test]
    fn a_unit_that_overlaps_another_one_is_not_read() {
        let mut apart = Apart::default();
        assert!(apart.take(100, 200));
        assert!(apart.take(200, 300) && apart.take(0, 100));
        // Reading a unit again does not count as an overlap.
        assert!(apart.take(100, 200));
        for (start, end) in [(50, 60), (199, 400), (100, 150), (0, 300), (250, 260)] {
            assert!(!apart.take(start, end), "{start} to {end}");
        }
        assert!(apart.take(300, 301));
    }
}
