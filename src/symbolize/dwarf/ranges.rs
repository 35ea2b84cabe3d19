// SPDX-License-Identifier: BSD-2-Clause
//! Lists of address ranges: `.debug_ranges` before DWARF 5, `.debug_rnglists` since.

use super::cursor::Cursor;
use super::forms::Value;
use super::sections::Section;
use super::unit::Unit;

/// Some code: from its first byte to the one behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::symbolize) struct AddressRange {
    pub(in crate::symbolize) start: u64,
    pub(in crate::symbolize) end: u64,
}

/// More entries of one list are nobody's.
const MOST_RANGES: usize = 1 << 16;

/// What any unit may read of lists, however short it is.
const LEAST_FUEL: usize = 256;

/// The ranges of an entry, and how many entries of lists its unit may still read. Entries may all
/// name the same long list, so that what a list costs has nothing to do with the size of the file.
#[derive(Debug)]
pub(in crate::symbolize) struct Extents {
    pub(in crate::symbolize) ranges: Vec<AddressRange>,
    /// `None`: the ranges are not asked for.
    fuel: Option<usize>,
}

impl Extents {
    /// For the entries of a unit: compilers write a list for each entry that has one, so that
    /// there are far fewer ranges than bytes of entries.
    pub(in crate::symbolize) fn of_unit(unit: &Unit<'_>) -> Self {
        Self {
            ranges: Vec::new(),
            fuel: Some(unit.header.n_bytes().saturating_add(LEAST_FUEL)),
        }
    }

    /// For who asks for the rest of an entry.
    pub(super) fn unwanted() -> Self {
        Self {
            ranges: Vec::new(),
            fuel: None,
        }
    }

    pub(super) fn are_wanted(&self) -> bool {
        self.fuel.is_some()
    }

    /// `None` when there is no fuel left.
    fn burn(&mut self) -> Option<()> {
        self.fuel = Some(self.fuel?.checked_sub(1)?);
        Some(())
    }

    /// What the linker dropped is at 0, or at the last addresses.
    pub(super) fn push(&mut self, start: u64, end: u64) {
        if start != 0 && start < end {
            self.ranges.push(AddressRange { start, end });
        }
    }
}

/// Appends the ranges that an entry's `DW_AT_ranges` names.
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
