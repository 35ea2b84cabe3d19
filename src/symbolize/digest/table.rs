// SPDX-License-Identifier: BSD-2-Clause
//! Reads a table (see `encode`). Its bytes may come from a file and are not trusted.

use super::encode::{
    CALL_CHANGES, EncoderState, FILE_CHANGES, FILES_REMEMBERED, HEADER_SIZE, LINE_CHANGES,
    LineTableRow, MIN_LONG_LENGTH,
};
use crate::symbolize::dwarf::Cursor;

/// Maximum number of nested calls in an answer. No compiler emits longer chains; the table is then
/// treated as malformed.
const LONGEST_CHAIN: usize = 1 << 10;

/// One row of an answer. Texts are given by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::symbolize) struct Located {
    /// The inlined function; `None` for the function that contains the code.
    pub(in crate::symbolize) function: Option<u32>,
    /// The file; `None` if it is unknown.
    pub(in crate::symbolize) file: Option<u32>,
    pub(in crate::symbolize) line: u32,
}

/// A table, split into its parts.
#[derive(Clone, Copy, Debug)]
pub(in crate::symbolize) struct Table<'a> {
    base: u64,
    blocks: &'a [u8],
    files: &'a [u8],
    rows: &'a [u8],
    calls: &'a [u8],
}

impl<'a> Table<'a> {
    /// Splits the bytes of a table; returns `None` if they are too short.
    pub(in crate::symbolize) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes, 0);
        let base = cursor.u64()?;
        let mut number = || Some(cursor.u32()? as usize);
        let (n_blocks, n_files) = (number()?, number()?);
        let (n_rows, n_calls) = (number()?, number()?);
        debug_assert_eq!(cursor.at(), HEADER_SIZE);
        Some(Self {
            base,
            blocks: cursor.take(n_blocks.checked_mul(8)?)?,
            files: cursor.take(n_files.checked_mul(4)?)?,
            rows: cursor.take(n_rows)?,
            calls: cursor.take(n_calls)?,
        })
    }

    /// Writes the chain at an address to `into`, innermost first. Returns whether the address has a
    /// call or a file, or `None` if the table is damaged.
    pub(in crate::symbolize) fn look_up(&self, addr: u64, into: &mut Vec<Located>) -> Option<bool> {
        into.clear();
        let Some(row) = self.row(addr)? else {
            return Some(false);
        };
        if row.call == 0 && row.file == 0 {
            return Some(false);
        }
        let (mut file, mut line, mut call) = (row.file, row.line, row.call);
        while call != 0 {
            (into.len() < LONGEST_CHAIN).then_some(())?;
            let mut cursor = Cursor::new(self.calls, call as usize - 1);
            let distance = u32::try_from(cursor.uleb()?).ok()?;
            let name = u32::try_from(cursor.uleb()?).ok()?;
            into.push(Located {
                function: Some(name),
                file: self.file(file)?,
                line,
            });
            file = u32::try_from(cursor.uleb()?).ok()?;
            line = cursor.uleb()? as u32;
            call = match distance {
                0 => 0,
                distance => call.checked_sub(distance).filter(|call| *call > 0)?,
            };
        }
        into.push(Located {
            function: None,
            file: self.file(file)?,
            line,
        });
        Some(true)
    }

    /// Finds the row of an address; `Some(None)` if no row covers it, `None` if the table is
    /// damaged.
    fn row(&self, addr: u64) -> Option<Option<LineTableRow>> {
        let Some(offset) = addr.checked_sub(self.base) else {
            return Some(None);
        };
        let Ok(wanted) = u32::try_from(offset) else {
            return Some(None);
        };
        let (blocks, _) = self.blocks.as_chunks::<8>();
        let start = |block: &[u8; 8]| u64::from_le_bytes(*block) as u32;
        let index = blocks.partition_point(|block| start(block) <= wanted);
        let Some(block) = index.checked_sub(1).and_then(|index| blocks.get(index)) else {
            return Some(None);
        };
        let place = |block: &[u8; 8]| (u64::from_le_bytes(*block) >> 32) as usize;
        let end = blocks.get(index).map_or(self.rows.len(), place);
        let mut cursor = Cursor::new(self.rows.get(..end)?, place(block));
        let mut left = u64::from(wanted - start(block));
        let mut state = EncoderState::default();
        while !cursor.is_at_end() {
            let length = next(&mut cursor, &mut state)?;
            if left < length {
                return Some(Some(state.row));
            }
            left -= length;
        }
        Some(None)
    }

    /// Returns the text number of a file, `Some(None)` for file 0, or `None` if the table is
    /// damaged.
    fn file(&self, number: u32) -> Option<Option<u32>> {
        let Some(index) = number.checked_sub(1) else {
            return Some(None);
        };
        let (files, _) = self.files.as_chunks::<4>();
        files
            .get(index as usize)
            .map(|text| Some(u32::from_le_bytes(*text)))
    }
}

/// Reads a row into `state` and returns its length in bytes of code.
#[inline]
fn next(cursor: &mut Cursor<'_>, state: &mut EncoderState) -> Option<u64> {
    let head = cursor.u8()?;
    let mut length = u64::from(head) & (MIN_LONG_LENGTH - 1);
    if length == 0 {
        length = cursor.uleb()?.saturating_add(MIN_LONG_LENGTH);
    }
    let row = &mut state.row;
    if head & CALL_CHANGES != 0 {
        row.call = changed(row.call, cursor.uleb()?);
    }
    if head & FILE_CHANGES != 0 {
        row.file = u32::try_from(cursor.uleb()?).ok()?;
    }
    let remembered = &mut state.lines[row.file as usize % FILES_REMEMBERED];
    if head & LINE_CHANGES != 0 {
        *remembered = changed(*remembered, cursor.uleb()?);
    }
    row.line = *remembered;
    Some(length)
}

fn changed(number: u32, zigzag: u64) -> u32 {
    let distance = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
    i64::from(number).wrapping_add(distance) as u32
}
