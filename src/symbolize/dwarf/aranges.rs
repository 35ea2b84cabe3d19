// SPDX-License-Identifier: BSD-2-Clause
//! `.debug_aranges`: the code ranges of each unit, without reading the units.

use super::cursor::Cursor;
use super::ranges::AddressRange;

/// Maximum number of ranges that are read. A kernel has some 10,000.
const MAX_RANGES: usize = 1 << 19;

/// Returns the ranges, each with the offset of its unit in `.debug_info`. Stops at the first
/// damaged set.
pub(in crate::symbolize) fn address_ranges(section: &[u8]) -> Vec<(AddressRange, usize)> {
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(end) = set(section, next, &mut found) {
        next = end;
    }
    found
}

/// Reads one set and returns the offset of the next one; `None` if the set is damaged.
fn set(section: &[u8], start: usize, found: &mut Vec<(AddressRange, usize)>) -> Option<usize> {
    let mut cursor = Cursor::new(section, start);
    let (length, offset) = cursor.unit_length()?;
    let end = cursor.at().checked_add(length)?;
    let mut cursor = Cursor::new(section.get(..end)?, cursor.at());
    (cursor.u16()? == 2).then_some(())?;
    let unit = cursor.offset(offset)?;
    let (address, segment) = (cursor.u8()?, cursor.u8()?);
    (matches!(address, 4 | 8) && segment == 0).then_some(())?;
    // Pairs are aligned to their size, counted from the start of the set.
    let pair = 2 * usize::from(address);
    cursor.go_to(start.checked_add((cursor.at() - start).next_multiple_of(pair))?);
    while let (Some(start), Some(length)) = (cursor.number(address), cursor.number(address)) {
        if (start, length) == (0, 0) {
            break;
        }
        let end = start.wrapping_add(length);
        // Code that the linker dropped has address 0.
        if start != 0 && start < end {
            (found.len() < MAX_RANGES).then_some(())?;
            found.push((AddressRange { start, end }, unit));
        }
    }
    Some(end)
}
