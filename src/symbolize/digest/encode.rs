// SPDX-License-Identifier: BSD-2-Clause
//! Encodes pieces of code into the bytes of a table, in order of their addresses.
//!
//! A table consists of a header, a directory of blocks, the files, the rows of the blocks, and the
//! calls. The state is reset at the start of each block, so that a lookup decodes one block of a
//! few dozen rows:
//!
//! * row: a byte with the length (5 bits; 0: the length is 32 or more, and the excess follows) and
//!   flags for the values that changed since the row before. The changed values follow: call
//!   (signed distance), file, line (signed distance from the last line in the block of a file with
//!   the same number modulo 16);
//! * call: distance to the call that it was inlined into (0: none), name, file, line.
//!
//! Numbers have a variable length. Files and names are text numbers (`strings`).

use std::collections::HashMap;

use crate::symbolize::strings::PlaceHash;

/// Maximum number of rows in a block.
const MAX_BLOCK_ROWS: usize = 64;

/// A gap of at least this many bytes starts a new block. A shorter gap is a row without a line.
const MIN_BLOCK_GAP: u64 = 1 << 12;

/// The first length in bytes that does not fit into the first byte of a row.
pub(super) const MIN_LONG_LENGTH: u64 = 32;
pub(super) const CALL_CHANGES: u8 = 1 << 5;
pub(super) const FILE_CHANGES: u8 = 1 << 6;
pub(super) const LINE_CHANGES: u8 = 1 << 7;

/// Number of slots that hold the last line of a file; the slot is the file number modulo this.
pub(super) const FILES_REMEMBERED: usize = 16;

/// Size in bytes: base address, then the number of blocks, number of files, bytes of rows, and
/// bytes of calls.
pub(super) const HEADER_SIZE: usize = 8 + 4 * 4;

/// The contents of a row. Call and file are 0 if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LineTableRow {
    /// Index of the innermost call, counted from 1.
    pub(super) call: u32,
    /// Index of the file, counted from 1.
    pub(super) file: u32,
    pub(super) line: u32,
}

/// The state that the next row is encoded relative to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EncoderState {
    pub(super) row: LineTableRow,
    pub(super) lines: [u32; FILES_REMEMBERED],
}

/// Writes a table.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    base: Option<u64>,
    blocks: Vec<(u32, u32)>,
    rows: Vec<u8>,
    calls: Vec<u8>,
    files: Vec<u32>,
    /// Index in `files` of each text number.
    known: HashMap<u32, u32, PlaceHash>,
    state: EncoderState,
    in_block: usize,
    pending: Option<(u64, u64, LineTableRow)>,
}

impl Encoder {
    /// Returns the index of a file, counted from 1; `text` is the text number of its path.
    pub(super) fn file(&mut self, text: u32) -> u32 {
        let (files, known) = (&mut self.files, &mut self.known);
        let index = known.entry(text).or_insert_with(|| {
            files.push(text);
            files.len() as u32 - 1
        });
        *index + 1
    }

    /// Adds a call and returns its index, counted from 1. `parent` is 0 if there is none.
    pub(super) fn call(&mut self, parent: u32, name: u32, file: u32, line: u64) -> u32 {
        let place = self.calls.len() as u32 + 1;
        let distance = if parent == 0 { 0 } else { place - parent };
        for number in [distance.into(), name.into(), file.into(), line] {
            push(&mut self.calls, number);
        }
        place
    }

    /// Appends a piece of code, which starts at or after the end of all others. Returns `None` if
    /// a block would start 4 GiB or more above the first one.
    pub(super) fn row(&mut self, start: u64, end: u64, row: LineTableRow) -> Option<()> {
        if let Some((_, last_end, last)) = &mut self.pending
            && *last_end == start
            && *last == row
        {
            *last_end = end;
            return Some(());
        }
        let before = self.pending.replace((start, end, row));
        if let Some((first, last, row)) = before {
            self.write(first, last, row)?;
            if last < start && start - last < MIN_BLOCK_GAP {
                self.write(last, start, LineTableRow::default())?;
            } else if last < start {
                self.in_block = 0;
            }
        }
        Some(())
    }

    fn write(&mut self, start: u64, end: u64, row: LineTableRow) -> Option<()> {
        if self.in_block == 0 {
            let base = *self.base.get_or_insert(start);
            let place = u32::try_from(start - base).ok()?;
            self.blocks
                .push((place, u32::try_from(self.rows.len()).ok()?));
            self.state = EncoderState::default();
        }
        self.in_block = (self.in_block + 1) % MAX_BLOCK_ROWS;
        let last = self.state.row;
        let remembered = &mut self.state.lines[row.file as usize % FILES_REMEMBERED];
        let length = end - start;
        let mut head = if length < MIN_LONG_LENGTH {
            length as u8
        } else {
            0
        };
        for (changes, flag) in [
            (row.call != last.call, CALL_CHANGES),
            (row.file != last.file, FILE_CHANGES),
            (row.line != *remembered, LINE_CHANGES),
        ] {
            if changes {
                head |= flag;
            }
        }
        self.rows.push(head);
        if length >= MIN_LONG_LENGTH {
            push(&mut self.rows, length - MIN_LONG_LENGTH);
        }
        if head & CALL_CHANGES != 0 {
            push(
                &mut self.rows,
                zigzag(i64::from(row.call) - i64::from(last.call)),
            );
        }
        if head & FILE_CHANGES != 0 {
            push(&mut self.rows, row.file.into());
        }
        if head & LINE_CHANGES != 0 {
            push(
                &mut self.rows,
                zigzag(i64::from(row.line) - i64::from(*remembered)),
            );
        }
        *remembered = row.line;
        self.state.row = row;
        Some(())
    }

    /// Returns the bytes of the table; `None` if a count or an offset does not fit into 32 bits.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        if let Some((start, end, row)) = self.pending.take() {
            self.write(start, end, row)?;
        }
        let n_bytes = 8 * self.blocks.len() + 4 * self.files.len();
        let mut bytes =
            Vec::with_capacity(HEADER_SIZE + n_bytes + self.rows.len() + self.calls.len());
        bytes.extend(self.base.unwrap_or(0).to_le_bytes());
        for number in [
            self.blocks.len(),
            self.files.len(),
            self.rows.len(),
            self.calls.len(),
        ] {
            bytes.extend(u32::try_from(number).ok()?.to_le_bytes());
        }
        for (start, rows) in &self.blocks {
            bytes.extend(start.to_le_bytes());
            bytes.extend(rows.to_le_bytes());
        }
        for file in &self.files {
            bytes.extend(file.to_le_bytes());
        }
        bytes.extend(&self.rows);
        bytes.extend(&self.calls);
        Some(bytes)
    }
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}
