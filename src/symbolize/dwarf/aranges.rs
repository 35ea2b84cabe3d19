// SPDX-License-Identifier: BSD-2-Clause
//! `.debug_aranges`: which code each unit has, without a look at the units.

use super::cursor::Cursor;
use super::ranges::AddressRange;

/// So many ranges are read; a kernel has some 10,000.
const MOST: usize = 1 << 19;

/// The ranges, each with the place of its unit in `.debug_info`; up to the first damaged set.
pub(in crate::symbolize) fn address_ranges(section: &[u8]) -> Vec<(AddressRange, usize)> {
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(end) = set(section, next, &mut found) {
        next = end;
    }
    found
}

/// Reads one set; where the next begins.
fn set(section: &[u8], start: usize, found: &mut Vec<(AddressRange, usize)>) -> Option<usize> {
    let mut cursor = Cursor::new(section, start);
    let (length, offset) = cursor.unit_length()?;
    let end = cursor.at().checked_add(length)?;
    let mut cursor = Cursor::new(section.get(..end)?, cursor.at());
    (cursor.u16()? == 2).then_some(())?;
    let unit = cursor.offset(offset)?;
    let (address, segment) = (cursor.u8()?, cursor.u8()?);
    (matches!(address, 4 | 8) && segment == 0).then_some(())?;
    // Pairs are aligned to their size, from the start of the set.
    let pair = 2 * usize::from(address);
    cursor.go_to(start.checked_add((cursor.at() - start).next_multiple_of(pair))?);
    while let (Some(start), Some(length)) = (cursor.number(address), cursor.number(address)) {
        if (start, length) == (0, 0) {
            break;
        }
        let end = start.wrapping_add(length);
        // What the linker dropped is at 0.
        if start != 0 && start < end {
            (found.len() < MOST).then_some(())?;
            found.push((AddressRange { start, end }, unit));
        }
    }
    Some(end)
}
