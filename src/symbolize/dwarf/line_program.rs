// SPDX-License-Identifier: BSD-2-Clause
//! Runs the line program of a unit: maps each piece of its code to a line.

use gimli::{DwForm, DwLne, DwLns};

use super::cursor::Cursor;
use super::forms::{self, Encoding, Value};
use super::sections::{DebugSections, LONGEST_TEXT, Section};
use super::unit::Unit;

/// The largest unit of a kernel has some 100,000 rows.
const MOST_ROWS: usize = 1 << 19;

/// Limit for the directories and for the files of one unit. The largest unit of a kernel has some
/// thousand.
const MOST_FILES: usize = 1 << 16;

/// A range of code that belongs to one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::symbolize) struct LineRow {
    pub(in crate::symbolize) start: u64,
    pub(in crate::symbolize) end: u64,
    /// File number in the unit.
    pub(in crate::symbolize) file: u32,
    pub(in crate::symbolize) line: u32,
}

/// The file names of a unit.
#[derive(Debug, Default)]
pub(in crate::symbolize) struct Files<'data> {
    version: u16,
    /// The texts are looked up on demand, because most files of most units define nothing in them.
    directories: Vec<Value<'data>>,
    files: Vec<(u64, Value<'data>)>,
}

/// The result of a line program. The rows are sorted by address and do not overlap.
#[derive(Debug, Default)]
pub(in crate::symbolize) struct Lines<'data> {
    pub(in crate::symbolize) files: Files<'data>,
    pub(in crate::symbolize) rows: Vec<LineRow>,
}

/// The header of a program, and its instructions.
struct LineProgram<'data> {
    instructions: Cursor<'data>,
    address: u8,
    min_instruction: u8,
    line_base: i8,
    line_range: u8,
    opcode_base: u8,
    opcode_lengths: &'data [u8],
}

impl<'data> Files<'data> {
    /// Returns directory and name of a file. The directory may be relative to that of the unit.
    pub(in crate::symbolize) fn get(
        &self,
        unit: &Unit<'data>,
        number: u64,
    ) -> Option<(&'data [u8], &'data [u8])> {
        if self.version >= 5 {
            let (directory, name) = self.files.get(usize::try_from(number).ok()?)?;
            let directory = self.directories.get(usize::try_from(*directory).ok()?);
            let directory = directory.and_then(|directory| text(&unit.sections, *directory));
            return Some((directory.unwrap_or_default(), text(&unit.sections, *name)?));
        }
        // Before DWARF 5, files and directories are counted from 1. Number 0 is the unit's own.
        let Some(index) = number.checked_sub(1) else {
            return Some((&[], unit.name?));
        };
        let (directory, name) = self.files.get(usize::try_from(index).ok()?)?;
        let directory = directory
            .checked_sub(1)
            .and_then(|index| self.directories.get(usize::try_from(index).ok()?))
            .and_then(|directory| text(&unit.sections, *directory));
        Some((directory.unwrap_or_default(), text(&unit.sections, *name)?))
    }
}

impl<'data> Lines<'data> {
    /// Runs the program of a unit. A unit without a program has no rows.
    pub(in crate::symbolize) fn read(unit: &Unit<'data>) -> Option<Self> {
        let mut lines = Lines::default();
        let Some(offset) = unit.line_program else {
            return Some(lines);
        };
        let mut program = LineProgram::read(unit, offset, &mut lines.files)?;
        let in_order = program.run(&mut lines)?;
        if !in_order {
            flatten(&mut lines.rows);
        }
        Some(lines)
    }

    /// Reads only the file names.
    pub(in crate::symbolize) fn files(unit: &Unit<'data>) -> Option<Files<'data>> {
        let mut files = Files::default();
        if let Some(offset) = unit.line_program {
            LineProgram::read(unit, offset, &mut files)?;
        }
        Some(files)
    }
}

/// Sorts rows and removes overlaps: a later row starts at the end of the earlier one.
fn flatten(rows: &mut Vec<LineRow>) {
    rows.sort_by_key(|row| row.start);
    let mut end = 0;
    for row in rows.iter_mut() {
        row.start = row.start.max(end);
        end = end.max(row.end);
    }
    rows.retain(|row| row.start < row.end);
}

impl<'data> LineProgram<'data> {
    fn read(unit: &Unit<'data>, offset: usize, files: &mut Files<'data>) -> Option<Self> {
        let section = unit.sections.get(Section::Line);
        let mut cursor = Cursor::new(section, offset);
        let (length, offset_size) = cursor.unit_length()?;
        let end = cursor.at().checked_add(length)?;
        let mut cursor = Cursor::new(section.get(..end)?, cursor.at());
        let version = cursor.u16()?;
        (2..=5).contains(&version).then_some(())?;
        let mut address = unit.encoding.address;
        if version >= 5 {
            address = cursor.u8()?;
            let _segment = cursor.u8()?;
        }
        matches!(address, 4 | 8).then_some(())?;
        let header_length = cursor.offset(offset_size)?;
        let start = cursor.at().checked_add(header_length)?;
        let min_instruction = cursor.u8()?;
        if version >= 4 {
            // Operations per instruction. Only VLIW machines have more than one.
            let _operations = cursor.u8()?;
        }
        let _default_is_statement = cursor.u8()?;
        let line_base = cursor.u8()? as i8;
        let line_range = cursor.u8()?;
        let opcode_base = cursor.u8()?;
        (line_range > 0 && opcode_base > 0).then_some(())?;
        let opcode_lengths = cursor.take(usize::from(opcode_base) - 1)?;
        let encoding = Encoding {
            version,
            address,
            offset: offset_size,
        };
        files.version = version;
        if version >= 5 {
            let mut entries = |push: &mut dyn FnMut(u64, Value<'data>) -> Option<()>| {
                read_table(&mut cursor, encoding, end, push)
            };
            entries(&mut |_, name| push_directory(files, name))?;
            entries(&mut |directory, name| push_file(files, directory, name))?;
        } else {
            read_old_tables(&mut cursor, files)?;
        }
        let mut instructions = Cursor::new(section.get(..end)?, start);
        // A start beyond the end of the unit is an error.
        instructions.skip(0)?;
        Some(Self {
            instructions,
            address,
            min_instruction,
            line_base,
            line_range,
            opcode_base,
            opcode_lengths,
        })
    }

    /// Runs the program; returns whether the rows are in order.
    fn run(&mut self, lines: &mut Lines<'data>) -> Option<bool> {
        let mut rows = Rows::new(&mut lines.rows);
        let min_instruction = u64::from(self.min_instruction);
        let const_advance = u64::from((255 - self.opcode_base) / self.line_range) * min_instruction;
        let (mut address, mut file, mut line) = (0_u64, 1_u32, 1_u32);
        let cursor = &mut self.instructions;
        while !cursor.is_at_end() {
            let opcode = cursor.u8()?;
            if opcode >= self.opcode_base {
                let adjusted = opcode - self.opcode_base;
                let advance = u64::from(adjusted / self.line_range) * min_instruction;
                address = address.wrapping_add(advance);
                let delta = i32::from(self.line_base) + i32::from(adjusted % self.line_range);
                line = line.wrapping_add_signed(delta);
                rows.push(address, file, line)?;
                continue;
            }
            match DwLns(opcode) {
                DwLns(0) => {
                    let length = usize::try_from(cursor.uleb()?).ok()?;
                    let end = cursor.at().checked_add(length)?;
                    let kind = if length == 0 { 0 } else { cursor.u8()? };
                    match DwLne(kind) {
                        gimli::DW_LNE_end_sequence => {
                            rows.end_sequence(address);
                            (address, file, line) = (0, 1, 1);
                        }
                        gimli::DW_LNE_set_address => {
                            // The length of the instruction determines the address size, whatever
                            // the header says.
                            let size = u8::try_from(length - 1).ok()?;
                            let size = if matches!(size, 4 | 8) {
                                size
                            } else {
                                self.address
                            };
                            address = cursor.number(size)?;
                        }
                        gimli::DW_LNE_define_file => {
                            let name = cursor.text()?;
                            let directory = cursor.uleb()?;
                            push_file(&mut lines.files, directory, Value::Text(name))?;
                        }
                        _ => {}
                    }
                    cursor.go_to(end);
                }
                gimli::DW_LNS_copy => rows.push(address, file, line)?,
                gimli::DW_LNS_advance_pc => {
                    let advance = cursor.uleb()?.wrapping_mul(min_instruction);
                    address = address.wrapping_add(advance);
                }
                gimli::DW_LNS_advance_line => {
                    line = line.wrapping_add_signed(cursor.sleb()? as i32);
                }
                gimli::DW_LNS_set_file => file = u32::try_from(cursor.uleb()?).ok()?,
                gimli::DW_LNS_set_column | gimli::DW_LNS_set_isa => {
                    cursor.uleb()?;
                }
                gimli::DW_LNS_const_add_pc => address = address.wrapping_add(const_advance),
                gimli::DW_LNS_fixed_advance_pc => {
                    address = address.wrapping_add(cursor.u16()?.into());
                }
                gimli::DW_LNS_negate_stmt
                | gimli::DW_LNS_set_basic_block
                | gimli::DW_LNS_set_prologue_end
                | gimli::DW_LNS_set_epilogue_begin => {}
                _ => {
                    let n_operands = self.opcode_lengths.get(usize::from(opcode) - 1)?;
                    for _ in 0..*n_operands {
                        cursor.uleb()?;
                    }
                }
            }
        }
        Some(rows.in_order)
    }
}

/// The rows of the sequences that were read so far.
struct Rows<'a> {
    rows: &'a mut Vec<LineRow>,
    /// Index of the first row of the current sequence.
    sequence: usize,
    in_order: bool,
}

impl<'a> Rows<'a> {
    fn new(rows: &'a mut Vec<LineRow>) -> Self {
        Self {
            rows,
            sequence: 0,
            in_order: true,
        }
    }

    #[inline]
    fn push(&mut self, start: u64, file: u32, line: u32) -> Option<()> {
        if self.rows.len() > self.sequence
            && let Some(last) = self.rows.last_mut()
        {
            if last.start == start {
                // If several rows have the same address, the last one counts.
                (last.file, last.line) = (file, line);
                return Some(());
            }
            if last.start > start {
                // Addresses must not decrease within a sequence; the row is ignored.
                return Some(());
            }
            if (last.file, last.line) == (file, line) {
                return Some(());
            }
            last.end = start;
        }
        (self.rows.len() < MOST_ROWS).then_some(())?;
        self.rows.push(LineRow {
            start,
            end: start,
            file,
            line,
        });
        Some(())
    }

    fn end_sequence(&mut self, end: u64) {
        let rows = self.rows.get(self.sequence..).unwrap_or_default();
        let is_real = rows
            .first()
            // Code that the linker dropped has address 0.
            .is_some_and(|first| first.start != 0 && first.start < end);
        if !is_real {
            self.rows.truncate(self.sequence);
            return;
        }
        if let Some(last) = self.rows.last_mut() {
            last.end = end.max(last.start);
        }
        if let Some(before) = self.sequence.checked_sub(1) {
            let pair = (self.rows.get(before), self.rows.get(self.sequence));
            self.in_order &= matches!(pair, (Some(one), Some(next)) if one.end <= next.start);
        }
        self.sequence = self.rows.len();
    }
}

impl Drop for Rows<'_> {
    /// Removes the rows of a sequence that has no end instruction, because their last address is
    /// unknown.
    fn drop(&mut self) {
        self.rows.truncate(self.sequence);
    }
}

/// Reads a DWARF 5 table: first the format of the entries, then the entries.
fn read_table<'data>(
    cursor: &mut Cursor<'data>,
    encoding: Encoding,
    end: usize,
    push: &mut dyn FnMut(u64, Value<'data>) -> Option<()>,
) -> Option<()> {
    let n_formats = cursor.u8()?;
    let mut formats = [(0_u64, DwForm(0)); u8::MAX as usize];
    let formats = formats.get_mut(..usize::from(n_formats))?;
    for format in formats.iter_mut() {
        *format = (cursor.uleb()?, DwForm(u16::try_from(cursor.uleb()?).ok()?));
    }
    let n_entries = cursor.uleb()?;
    // Entries without a byte would allow any number of entries.
    let smallest: u64 = formats
        .iter()
        .map(|(_, form)| forms::fixed_size(*form, encoding).map_or(1, u64::from))
        .sum();
    (n_entries == 0 || smallest > 0).then_some(())?;
    let most = end.saturating_sub(cursor.at()) as u64;
    (n_entries.checked_mul(smallest)? <= most).then_some(())?;
    for _ in 0..n_entries {
        let (mut directory, mut name) = (0, Value::Other);
        for (content, form) in formats.iter() {
            let value = forms::read(cursor, *form, 0, encoding)?;
            match gimli::DwLnct(u16::try_from(*content).unwrap_or(0)) {
                gimli::DW_LNCT_path => name = value,
                gimli::DW_LNCT_directory_index => directory = value.number().unwrap_or(0),
                _ => {}
            }
        }
        push(directory, name)?;
    }
    Some(())
}

fn push_directory<'data>(files: &mut Files<'data>, name: Value<'data>) -> Option<()> {
    (files.directories.len() < MOST_FILES).then(|| files.directories.push(name))
}

fn push_file<'data>(files: &mut Files<'data>, directory: u64, name: Value<'data>) -> Option<()> {
    (files.files.len() < MOST_FILES).then(|| files.files.push((directory, name)))
}

fn text<'data>(sections: &DebugSections<'data>, value: Value<'data>) -> Option<&'data [u8]> {
    match value {
        Value::Text(text) => (text.len() <= LONGEST_TEXT).then_some(text),
        Value::LineStrOffset(offset) => sections.text(Section::LineStr, offset),
        Value::StrOffset(offset) => sections.text(Section::Str, offset),
        Value::SharedStrOffset(offset) => sections.shared()?.text(Section::Str, offset),
        _ => None,
    }
}

/// Reads the tables of DWARF 2 to 4: directories, then files. An empty name ends each list.
fn read_old_tables<'data>(cursor: &mut Cursor<'data>, files: &mut Files<'data>) -> Option<()> {
    loop {
        let name = cursor.text()?;
        if name.is_empty() {
            break;
        }
        push_directory(files, Value::Text(name))?;
    }
    loop {
        let name = cursor.text()?;
        if name.is_empty() {
            return Some(());
        }
        let directory = cursor.uleb()?;
        let (_modified, _length) = (cursor.uleb()?, cursor.uleb()?);
        push_file(files, directory, Value::Text(name))?;
    }
}
