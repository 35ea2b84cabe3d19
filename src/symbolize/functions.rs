// SPDX-License-Identifier: BSD-2-Clause
//! Source files → the functions that they define, with and without code of their own.
//!
//! A function that was inlined as well, or cloned (`.isra`, `.constprop`), has its code in an entry
//! that says no more than which abstract entry it is an instance of: that one has the file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, Error, Unit, UnitOffset};

use super::paths::{Paths, join};
use super::sections::Slice;
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

/// Units define functions of headers as well; a unit's own name tells which is worth a look when
/// no header is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In units that are called by a file that is meant.
    NamedUnits,
    /// In all units.
    AllUnits,
}

type OneUnit<'data> = Unit<Slice<'data>>;

/// The functions of the files that are wanted.
pub(super) fn find<'data>(
    dwarf: &Dwarf<Slice<'data>>,
    paths: &Paths,
    wanted: &NameGlob,
    units: Where,
) -> SourceFunctions {
    let mut found = Found::default();
    for header in dwarf.units().map_while(Result::ok) {
        let Ok(unit) = dwarf.unit(header) else {
            found.n_damaged += 1;
            continue;
        };
        if units == Where::AllUnits || wanted.matches(&paths.trim(&name(&unit))) {
            let mut files = Files {
                dwarf,
                unit: &unit,
                paths,
                wanted,
                known: HashMap::new(),
            };
            if files.add_functions(&mut found).is_err() {
                found.n_damaged += 1;
            }
        }
    }
    found.addrs.sort_unstable();
    found.addrs.dedup();
    SourceFunctions {
        n_inlined: found.inlined.difference(&found.with_code).count(),
        addrs: found.addrs,
        n_damaged: found.n_damaged,
    }
}

/// A function: where it is defined.
type Definition = (Arc<str>, u64);

#[derive(Default)]
struct Found {
    addrs: Vec<u64>,
    /// Functions that are inlined somewhere: those of headers in many units.
    inlined: HashSet<Definition>,
    with_code: HashSet<Definition>,
    n_damaged: usize,
}

fn name(unit: &OneUnit<'_>) -> String {
    let directory = unit
        .comp_dir
        .map(|text| text.to_string_lossy().into_owned());
    let name = unit.name.map(|text| text.to_string_lossy().into_owned());
    join(&directory.unwrap_or_default(), &name.unwrap_or_default())
}

/// The files of a unit, by their numbers.
struct Files<'a, 'data> {
    dwarf: &'a Dwarf<Slice<'data>>,
    unit: &'a OneUnit<'data>,
    paths: &'a Paths,
    wanted: &'a NameGlob,
    known: HashMap<u64, Option<Arc<str>>>,
}

/// What an entry of a function says.
#[derive(Default)]
struct Entry {
    file: Option<u64>,
    line: Option<u64>,
    origin: Option<UnitOffset>,
    is_inlined: bool,
    starts: Vec<u64>,
}

impl<'data> Files<'_, 'data> {
    fn add_functions(&mut self, found: &mut Found) -> Result<(), Error> {
        let mut entries = self.unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let read = self.entry(entry)?;
            if !read.is_inlined && read.starts.is_empty() {
                continue;
            }
            let Some(definition) = self.wanted(&read) else {
                continue;
            };
            if read.is_inlined {
                found.inlined.insert(definition);
            } else {
                found.with_code.insert(definition);
                found.addrs.extend(read.starts);
            }
        }
        Ok(())
    }

    fn entry(&self, entry: &DebuggingInformationEntry<Slice<'data>>) -> Result<Entry, Error> {
        let mut read = Entry::default();
        let mut ranges = false;
        let mut has_high = false;
        let mut low = None;
        for attribute in entry.attrs() {
            match (attribute.name(), attribute.value()) {
                (gimli::DW_AT_decl_file, AttributeValue::FileIndex(file)) => read.file = Some(file),
                (gimli::DW_AT_decl_file, value) => read.file = value.udata_value(),
                (gimli::DW_AT_decl_line, value) => read.line = value.udata_value(),
                (
                    gimli::DW_AT_abstract_origin | gimli::DW_AT_specification,
                    AttributeValue::UnitRef(offset),
                ) => read.origin = Some(offset),
                (gimli::DW_AT_inline, AttributeValue::Inline(inline)) => {
                    read.is_inlined =
                        inline == gimli::DW_INL_inlined || inline == gimli::DW_INL_declared_inlined;
                }
                (gimli::DW_AT_low_pc | gimli::DW_AT_entry_pc, value) => {
                    low = self.dwarf.attr_address(self.unit, value)?.or(low);
                }
                (gimli::DW_AT_high_pc, _) => has_high = true,
                (gimli::DW_AT_ranges, _) => ranges = true,
                _ => {}
            }
        }
        if ranges {
            let mut ranges = self.dwarf.die_ranges(self.unit, entry)?;
            while let Some(range) = ranges.next()? {
                read.starts.push(range.begin);
            }
        } else if has_high {
            read.starts.extend(low);
        }
        // What the linker dropped is at 0.
        read.starts.retain(|start| *start != 0);
        Ok(read)
    }

    /// Where a function of a wanted file is defined, as it says itself or what it is an instance
    /// of.
    fn wanted(&mut self, entry: &Entry) -> Option<Definition> {
        const LONGEST_CHAIN: usize = 4;
        let (mut file, mut line, mut origin) = (entry.file, entry.line, entry.origin);
        for _ in 0..LONGEST_CHAIN {
            if file.is_some() {
                break;
            }
            let read = self.unit.entry(origin?).ok()?;
            let read = self.entry(&read).ok()?;
            (file, line, origin) = (read.file, read.line, read.origin);
        }
        let file = file?;
        if !self.known.contains_key(&file) {
            let path = self.path(file).map(|path| self.paths.trim(&path));
            let wanted = path.filter(|path| self.wanted.matches(path));
            self.known.insert(file, wanted);
        }
        let path = self.known.get(&file)?.clone()?;
        Some((path, line.unwrap_or(0)))
    }

    fn path(&self, file: u64) -> Option<String> {
        let header = self.unit.line_program.as_ref()?.header();
        let file = header.file(file)?;
        let text = |value| {
            let text = self.dwarf.attr_string(self.unit, value).ok()?;
            Some(text.to_string_lossy().into_owned())
        };
        let name = text(file.path_name())?;
        let directory = file.directory(header).and_then(text).unwrap_or_default();
        let unit = self
            .unit
            .comp_dir
            .map(|text| text.to_string_lossy().into_owned());
        Some(join(&join(&unit.unwrap_or_default(), &directory), &name))
    }
}
