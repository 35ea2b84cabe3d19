// SPDX-License-Identifier: BSD-2-Clause
//! Finds the compilation unit of an address. `.debug_aranges` answers without reading
//! `.debug_info`. Units that are not listed there (some assembler, LTO, clang) are read once, when
//! an address first needs them.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;

use super::dwarf::{Abbreviations, DebugSections, Section, Unit, address_ranges, headers};

/// A unit, identified by its offset in `.debug_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UnitAt(pub(super) usize);

/// The code ranges of the units of an image.
#[derive(Debug)]
pub(super) struct UnitIndex {
    listed: Ranges,
    unlisted: OnceCell<Ranges>,
}

impl UnitIndex {
    pub(super) fn new(sections: DebugSections<'_>) -> Self {
        // The ranges after a damaged set count as unlisted and are found the slow way.
        let ranges = address_ranges(sections.get(Section::Aranges)).into_iter();
        let ranges = ranges.map(|(range, unit)| (range.start..range.end, UnitAt(unit)));
        Self {
            listed: Ranges::new(ranges.collect()),
            unlisted: OnceCell::new(),
        }
    }

    /// Uses ranges that were found earlier, listed and unlisted ones.
    pub(super) fn known(listed: Vec<UnitRange>, unlisted: Vec<UnitRange>) -> Self {
        Self {
            listed: Ranges::new(listed),
            unlisted: OnceCell::from(Ranges::new(unlisted)),
        }
    }

    /// Writes the units that may contain an address to `into`, the likeliest first.
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

    /// All ranges, listed and unlisted ones.
    pub(super) fn all(&self, sections: DebugSections<'_>) -> (&[UnitRange], &[UnitRange]) {
        let unlisted = self
            .unlisted
            .get_or_init(|| self.look_for_unlisted(sections));
        (&self.listed.ranges, &unlisted.ranges)
    }

    /// The units listed in `.debug_aranges`, sorted.
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

/// A code range of a unit.
pub(super) type UnitRange = (Range<u64>, UnitAt);

/// Maximum number of ranges of units that are not listed. Each takes 32 bytes; a kernel has some
/// 10,000.
const MOST_RANGES: usize = 1 << 19;

/// A malformed table could make every range a candidate, so only a few are tried.
const MOST_CANDIDATES: usize = 8;

/// Ranges that may overlap, sorted by start.
#[derive(Debug)]
struct Ranges {
    ranges: Vec<UnitRange>,
    /// The highest end among each range and those before it. The search stops where it is not above
    /// the address.
    reach: Vec<u64>,
}

impl Ranges {
    fn new(mut ranges: Vec<UnitRange>) -> Self {
        // Functions that the linker dropped have address 0.
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
