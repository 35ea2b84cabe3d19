// SPDX-License-Identifier: BSD-2-Clause
//! Address → compilation unit. `.debug_aranges` answers without a look at `.debug_info`; units
//! that are not listed there (some assembler, LTO, clang) are gone through once, and only when an
//! address asks for it.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;

use super::dwarf::{Abbreviations, DebugSections, Section, Unit, address_ranges, headers};

/// A unit: where its bytes begin in `.debug_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UnitAt(pub(super) usize);

/// Which unit an address belongs to.
#[derive(Debug)]
pub(super) struct UnitIndex {
    listed: Ranges,
    unlisted: OnceCell<Ranges>,
}

impl UnitIndex {
    pub(super) fn new(sections: DebugSections<'_>) -> Self {
        // What follows a damaged set is unlisted: it is found the slow way.
        let ranges = address_ranges(sections.get(Section::Aranges)).into_iter();
        let ranges = ranges.map(|(range, unit)| (range.start..range.end, UnitAt(unit)));
        Self {
            listed: Ranges::new(ranges.collect()),
            unlisted: OnceCell::new(),
        }
    }

    /// As it was found earlier: what is listed, and what is not.
    pub(super) fn known(listed: Vec<UnitRange>, unlisted: Vec<UnitRange>) -> Self {
        Self {
            listed: Ranges::new(listed),
            unlisted: OnceCell::from(Ranges::new(unlisted)),
        }
    }

    /// The units that may know about an address, the likeliest first.
    pub(super) fn find<'data>(
        &self,
        sections: impl FnOnce() -> DebugSections<'data>,
        addr: u64,
        into: &mut Vec<UnitAt>,
    ) {
        into.clear();
        self.listed.find(addr, into);
        if into.is_empty() {
            self.unlisted
                .get_or_init(|| self.look_for_unlisted(sections()))
                .find(addr, into);
        }
    }

    /// What is listed, and what is not.
    pub(super) fn all(&self, sections: DebugSections<'_>) -> (&[UnitRange], &[UnitRange]) {
        let unlisted = self
            .unlisted
            .get_or_init(|| self.look_for_unlisted(sections));
        (&self.listed.ranges, &unlisted.ranges)
    }

    /// The units listed in `.debug_aranges`, in order.
    pub(super) fn listed_units(&self) -> Vec<UnitAt> {
        let mut units: Vec<_> = self.listed.ranges.iter().map(|(_, unit)| *unit).collect();
        units.sort_unstable();
        units.dedup();
        units
    }

    fn look_for_unlisted(&self, sections: DebugSections<'_>) -> Ranges {
        let listed: HashSet<UnitAt> = self.listed_units().into_iter().collect();
        let mut ranges = Vec::new();
        let mut abbreviations = Abbreviations::default();
        for header in headers(sections.get(Section::Info)).flatten() {
            let at = UnitAt(header.start);
            if listed.contains(&at) {
                continue;
            }
            abbreviations.credit(header.n_bytes());
            let unit = Unit::read(sections, header, &mut abbreviations);
            let code = unit.and_then(|unit| unit.code()).unwrap_or_default();
            if ranges.len() + code.len() > MOST_RANGES {
                break;
            }
            ranges.extend(code.into_iter().map(|range| (range.start..range.end, at)));
        }
        Ranges::new(ranges)
    }
}

/// Code of a unit.
pub(super) type UnitRange = (Range<u64>, UnitAt);

/// Of units that are not listed. Each range takes 32 bytes; a kernel has some 10,000.
const MOST_RANGES: usize = 1 << 19;

/// A hostile table could make every range a candidate: a few are tried.
const MOST_CANDIDATES: usize = 8;

/// Ranges that may overlap, in order of their starts.
#[derive(Debug)]
struct Ranges {
    ranges: Vec<UnitRange>,
    /// How far each range and those before it reach: what ends before an address ends the search.
    reach: Vec<u64>,
}

impl Ranges {
    fn new(mut ranges: Vec<UnitRange>) -> Self {
        // Functions that the linker dropped are at 0.
        ranges.retain(|(range, _)| range.start != 0 && range.start < range.end);
        ranges.sort_unstable_by_key(|(range, unit)| (range.start, range.end, *unit));
        let reach = ranges.iter().scan(0, |reach, (range, _)| {
            *reach = range.end.max(*reach);
            Some(*reach)
        });
        Self {
            reach: reach.collect(),
            ranges,
        }
    }

    fn find(&self, addr: u64, into: &mut Vec<UnitAt>) {
        let end = self
            .ranges
            .partition_point(|(range, _)| range.start <= addr);
        let before = self.ranges[..end].iter().zip(&self.reach[..end]);
        let found = before
            .rev()
            .take_while(|(_, reach)| addr < **reach)
            .filter(|((range, _), _)| range.contains(&addr))
            .map(|((_, unit), _)| *unit);
        into.extend(found.take(MOST_CANDIDATES));
    }
}
