// SPDX-License-Identifier: BSD-2-Clause
//! Address → compilation unit. `.debug_aranges` answers without a look at `.debug_info`; units
//! that are not listed there (some assembler, LTO, clang) are gone through once, and only when an
//! address asks for it.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;

use gimli::{DebugInfoOffset, Dwarf, UnitSectionOffset};

use super::sections::Slice;

/// A unit: where its bytes begin in `.debug_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UnitAt(pub(super) usize);

/// Which unit an address belongs to.
#[derive(Debug)]
pub(super) struct UnitIndex {
    listed: Ranges,
    listed_units: HashSet<UnitAt>,
    unlisted: OnceCell<Ranges>,
}

impl UnitIndex {
    pub(super) fn new(dwarf: &Dwarf<Slice<'_>>) -> Self {
        let mut ranges = Vec::new();
        let mut listed_units = HashSet::new();
        // What follows a damaged set is unlisted: it is found the slow way.
        for header in dwarf.debug_aranges.headers().map_while(Result::ok) {
            let unit = UnitAt(header.debug_info_offset().0);
            let entries = header.entries().map_while(Result::ok);
            let before = ranges.len();
            ranges.extend(entries.map(|entry| (entry.range().begin..entry.range().end, unit)));
            if ranges.len() > before {
                listed_units.insert(unit);
            }
        }
        Self {
            listed: Ranges::new(ranges),
            listed_units,
            unlisted: OnceCell::new(),
        }
    }

    /// The units that may know about an address, the likeliest first.
    pub(super) fn find(&self, dwarf: &Dwarf<Slice<'_>>, addr: u64) -> Vec<UnitAt> {
        let listed = self.listed.find(addr);
        if !listed.is_empty() {
            return listed;
        }
        self.unlisted
            .get_or_init(|| self.unlisted(dwarf))
            .find(addr)
    }

    /// The units listed in `.debug_aranges`, in order.
    pub(super) fn listed_units(&self) -> Vec<UnitAt> {
        let mut units: Vec<_> = self.listed_units.iter().copied().collect();
        units.sort_unstable();
        units
    }

    fn unlisted(&self, dwarf: &Dwarf<Slice<'_>>) -> Ranges {
        let mut ranges = Vec::new();
        for header in dwarf.units().map_while(Result::ok) {
            let UnitSectionOffset(offset) = header.offset();
            if self.listed_units.contains(&UnitAt(offset)) {
                continue;
            }
            let Ok(unit) = dwarf.unit(header) else {
                continue;
            };
            let Ok(found) = dwarf.unit_ranges(&unit) else {
                continue;
            };
            let found = found.map_while(Result::ok);
            ranges.extend(found.map(|range| (range.begin..range.end, UnitAt(offset))));
        }
        Ranges::new(ranges)
    }
}

/// The bytes of a unit in `.debug_info`; `None` where its header is damaged.
pub(super) fn bytes(dwarf: &Dwarf<Slice<'_>>, unit: UnitAt) -> Option<Range<usize>> {
    let header = dwarf
        .debug_info
        .header_from_offset(DebugInfoOffset(unit.0))
        .ok()?;
    Some(unit.0..unit.0.checked_add(header.length_including_self())?)
}

/// Ranges that may overlap, in order of their starts.
#[derive(Debug)]
struct Ranges {
    ranges: Vec<(Range<u64>, UnitAt)>,
    /// The length of the longest: what starts further before an address does not hold it.
    longest: u64,
}

impl Ranges {
    fn new(mut ranges: Vec<(Range<u64>, UnitAt)>) -> Self {
        // Functions that the linker dropped are at 0.
        ranges.retain(|(range, _)| range.start != 0 && range.start < range.end);
        ranges.sort_unstable_by_key(|(range, unit)| (range.start, range.end, *unit));
        let longest = ranges
            .iter()
            .map(|(range, _)| range.end - range.start)
            .max();
        Self {
            ranges,
            longest: longest.unwrap_or(0),
        }
    }

    fn find(&self, addr: u64) -> Vec<UnitAt> {
        // A hostile table could make every range a candidate: a few are tried.
        const MOST_CANDIDATES: usize = 8;
        let end = self
            .ranges
            .partition_point(|(range, _)| range.start <= addr);
        self.ranges[..end]
            .iter()
            .rev()
            .take_while(|(range, _)| addr - range.start < self.longest)
            .filter(|(range, _)| range.contains(&addr))
            .map(|(_, unit)| *unit)
            .take(MOST_CANDIDATES)
            .collect()
    }
}
