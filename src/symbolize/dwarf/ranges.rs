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

/// More ranges of one entry are nobody's; hostile entries may all name the same long list.
const MOST_RANGES: usize = 1 << 16;

/// Appends the ranges that an entry's `DW_AT_ranges` names.
pub(super) fn read(unit: &Unit<'_>, value: Value<'_>, into: &mut Vec<AddressRange>) -> Option<()> {
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

/// What the linker dropped is at 0, or at the last addresses.
fn push(start: u64, end: u64, into: &mut Vec<AddressRange>) {
    if start != 0 && start < end {
        into.push(AddressRange { start, end });
    }
}

fn old(unit: &Unit<'_>, offset: usize, into: &mut Vec<AddressRange>) -> Option<()> {
    let size = unit.encoding.address;
    let last = if size == 4 {
        u64::from(u32::MAX)
    } else {
        u64::MAX
    };
    let mut base = unit.low;
    let mut cursor = Cursor::new(unit.sections.get(Section::Ranges), offset);
    for _ in 0..MOST_RANGES {
        let (start, end) = (cursor.number(size)?, cursor.number(size)?);
        if (start, end) == (0, 0) {
            return Some(());
        }
        if start == last {
            base = end;
        } else {
            push(base.wrapping_add(start), base.wrapping_add(end), into);
        }
    }
    None
}

fn new(unit: &Unit<'_>, offset: usize, into: &mut Vec<AddressRange>) -> Option<()> {
    let size = unit.encoding.address;
    let mut base = unit.low;
    let mut cursor = Cursor::new(unit.sections.get(Section::RngLists), offset);
    for _ in 0..MOST_RANGES {
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
        push(start, end, into);
    }
    None
}
