// SPDX-License-Identifier: BSD-2-Clause
//! Lists of address ranges: `.debug_ranges` before DWARF 5, `.debug_rnglists` since.

use super::cursor::Cursor;
use super::forms::Value;
use super::sections::Section;
use super::unit::Unit;

/// A range of code; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::symbolize) struct AddressRange {
    pub(in crate::symbolize) start: u64,
    pub(in crate::symbolize) end: u64,
}

/// Maximum number of entries in one list. No compiler emits longer lists; they are treated as
/// malformed.
const MOST_RANGES: usize = 1 << 16;

/// Number of list entries that every unit may read, however short the unit is.
const LEAST_FUEL: usize = 256;

/// The ranges of an entry, and how many list entries its unit may still read. The limit is needed
/// because all entries may name the same long list, so that the cost would not depend on the size
/// of the file.
#[derive(Debug)]
pub(in crate::symbolize) struct Extents {
    pub(in crate::symbolize) ranges: Vec<AddressRange>,
    /// List entries that may still be read; `None` if the ranges are not needed.
    fuel: Option<usize>,
}

impl Extents {
    /// Collects ranges, with a limit that depends on the size of the unit. Compilers write one list
    /// per entry that has one, so there are far fewer ranges than bytes of entries.
    pub(in crate::symbolize) fn of_unit(unit: &Unit<'_>) -> Self {
        Self {
            ranges: Vec::new(),
            fuel: Some(unit.header.n_bytes().saturating_add(LEAST_FUEL)),
        }
    }

    /// Collects nothing, for callers that need only the other attributes.
    pub(super) fn unwanted() -> Self {
        Self {
            ranges: Vec::new(),
            fuel: None,
        }
    }

    pub(super) fn are_wanted(&self) -> bool {
        self.fuel.is_some()
    }

    /// Counts one list entry; returns `None` if the limit is reached.
    fn burn(&mut self) -> Option<()> {
        self.fuel = Some(self.fuel?.checked_sub(1)?);
        Some(())
    }

    /// Adds a range. Code that the linker dropped has address 0, or one of the highest addresses,
    /// and is ignored.
    pub(super) fn push(&mut self, start: u64, end: u64) {
        if start != 0 && start < end {
            self.ranges.push(AddressRange { start, end });
        }
    }
}

/// Appends the ranges of the list that `DW_AT_ranges` names.
pub(super) fn read(unit: &Unit<'_>, value: Value<'_>, into: &mut Extents) -> Option<()> {
    if unit.encoding.version < 5 {
        return old(unit, value.section_offset()?, into);
    }
    let offset = match value {
        Value::ListIndex(index) => {
            let size = unit.encoding.offset;
            let place = usize::try_from(index).ok()?.checked_mul(size.into())?;
            let place = unit.rnglists_base.checked_add(place)?;
            let mut cursor = Cursor::new(unit.sections.get(Section::RngLists), place);
            unit.rnglists_base.checked_add(cursor.offset(size)?)?
        }
        value => value.section_offset()?,
    };
    new(unit, offset, into)
}

fn old(unit: &Unit<'_>, offset: usize, into: &mut Extents) -> Option<()> {
    let size = unit.encoding.address;
    let last = if size == 4 {
        u64::from(u32::MAX)
    } else {
        u64::MAX
    };
    let mut base = unit.low;
    let mut cursor = Cursor::new(unit.sections.get(Section::Ranges), offset);
    for _ in 0..MOST_RANGES {
        into.burn()?;
        let (start, end) = (cursor.number(size)?, cursor.number(size)?);
        if (start, end) == (0, 0) {
            return Some(());
        }
        if start == last {
            base = end;
        } else {
            into.push(base.wrapping_add(start), base.wrapping_add(end));
        }
    }
    None
}

fn new(unit: &Unit<'_>, offset: usize, into: &mut Extents) -> Option<()> {
    let size = unit.encoding.address;
    let mut base = unit.low;
    let mut cursor = Cursor::new(unit.sections.get(Section::RngLists), offset);
    for _ in 0..MOST_RANGES {
        into.burn()?;
        let (start, end) = match gimli::DwRle(cursor.u8()?) {
            gimli::DW_RLE_end_of_list => return Some(()),
            gimli::DW_RLE_base_addressx => {
                base = unit.address(cursor.uleb()?)?;
                continue;
            }
            gimli::DW_RLE_base_address => {
                base = cursor.number(size)?;
                continue;
            }
            gimli::DW_RLE_startx_endx => {
                (unit.address(cursor.uleb()?)?, unit.address(cursor.uleb()?)?)
            }
            gimli::DW_RLE_startx_length => {
                let start = unit.address(cursor.uleb()?)?;
                (start, start.wrapping_add(cursor.uleb()?))
            }
            gimli::DW_RLE_offset_pair => {
                let (start, end) = (cursor.uleb()?, cursor.uleb()?);
                (base.wrapping_add(start), base.wrapping_add(end))
            }
            gimli::DW_RLE_start_end => (cursor.number(size)?, cursor.number(size)?),
            gimli::DW_RLE_start_length => {
                let start = cursor.number(size)?;
                (start, start.wrapping_add(cursor.uleb()?))
            }
            _ => return None,
        };
        into.push(start, end);
    }
    None
}
