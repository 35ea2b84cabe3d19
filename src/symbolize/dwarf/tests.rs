// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the smallest parts with malformed input: numbers, lists, line programs. Whole images
//! are compared with llvm-symbolizer (`symbolize/tests.rs`, `scripts/agree`).

use super::line_program::LineRow;
use super::{Abbreviations, Cursor, DebugSections, Header, Lines, Section, Unit, headers};

#[test]
fn numbers_of_any_length_are_read() {
    let number = |bytes: &[u8]| Cursor::new(bytes, 0).uleb();
    assert_eq!(number(&[0x7f]), Some(127));
    assert_eq!(number(&[0x80, 1]), Some(128));
    assert_eq!(number(&[0xe5, 0x8e, 0x26]), Some(624_485));
    // A padded number, and one that is longer than 64 bits: the excess is read and discarded.
    assert_eq!(number(&[0x81, 0x80, 0x80, 0]), Some(1));
    assert_eq!(
        number(&[[0xff; 40].as_slice(), &[1]].concat()),
        Some(u64::MAX)
    );
    assert_eq!(number(&[0x80, 0x80]), None);
    assert_eq!(number(&[]), None);
    let number = |bytes: &[u8]| Cursor::new(bytes, 0).sleb();
    assert_eq!(number(&[0x7f]), Some(-1));
    assert_eq!(number(&[0xc0, 0xbb, 0x78]), Some(-123_456));
    assert_eq!(number(&[0x3f]), Some(63));
    assert_eq!(number(&[0x40]), Some(-64));
    assert_eq!(number(&[0xff; 9]), None);
}

#[test]
fn a_unit_whose_length_makes_no_sense_ends_the_list() {
    // An unknown version loses only its own unit. A length beyond the end loses all units that
    // follow.
    let unknown = [7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 8];
    let known = [7, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8];
    let endless = [0xff, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8];
    let info = [unknown, known, endless, known].concat();
    let found: Vec<_> = headers(&info)
        .map(|header| header.map(|header| header.start))
        .collect();
    assert_eq!(found, [None, Some(11), None]);
    assert!(headers(&[0xf0, 0xff, 0xff, 0xff]).all(|header| header.is_none()));
}

/// Runs a line program (DWARF 4) with these instructions; `None` if it is malformed.
fn rows(header: [u8; 5], instructions: &[u8]) -> Option<Vec<LineRow>> {
    let [
        min_instruction,
        line_base,
        line_range,
        opcode_base,
        n_lengths,
    ] = header;
    let mut program = vec![4, 0];
    let mut tables = vec![min_instruction, 1, 1, line_base, line_range, opcode_base];
    tables.extend(
        [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]
            .iter()
            .take(n_lengths.into()),
    );
    tables.extend([0, 0]);
    program.extend((tables.len() as u32).to_le_bytes());
    program.extend(tables);
    program.extend(instructions);
    let line = [&(program.len() as u32).to_le_bytes()[..], &program].concat();
    // One abbreviation: a unit with `DW_AT_stmt_list` (`sec_offset`).
    let abbrev = [1, 0x11, 0, 0x10, 0x17, 0, 0, 0];
    let info = [12, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0, 0];
    let sections = DebugSections::new(|section| match section {
        Section::Abbrev => &abbrev,
        Section::Info => &info,
        Section::Line => &line,
        _ => &[],
    });
    let header = Header::read(&info, 0)?;
    let unit = Unit::read(sections, header, &mut Abbreviations::default())?;
    Lines::read(&unit).map(|lines| lines.rows)
}

const USUAL: [u8; 5] = [1, 0xfb, 14, 13, 12];

fn at(addr: u8) -> Vec<u8> {
    [&[0, 9, 2, addr][..], &[0; 7]].concat()
}

const END: [u8; 3] = [0, 1, 1];

#[test]
fn lines_are_read_as_gcc_writes_them() {
    // Line 3 at 0x10; line 4 at 0x12; copy; end after 4 more bytes.
    let program = [&at(0x10)[..], &[3, 2, 1], &[13 + 5 + 1 + 28], &[2, 4], &END].concat();
    let row = |start, end, line| LineRow {
        start,
        end,
        file: 1,
        line,
    };
    assert_eq!(
        rows(USUAL, &program),
        Some(vec![row(0x10, 0x12, 3), row(0x12, 0x16, 4)])
    );
    // The last row of an address counts, and equal rows are merged.
    let program = [&at(8)[..], &[1, 3, 6, 1, 2, 1, 1, 2, 1], &END].concat();
    assert_eq!(rows(USUAL, &program), Some(vec![row(8, 10, 7)]));
}

#[test]
fn line_programs_that_make_no_sense_have_no_lines() {
    for (header, instructions) in [
        ([1, 0xfb, 0, 13, 12], &[1][..]), // no line range
        ([1, 0xfb, 14, 0, 0], &[1]),      // no opcodes
        (USUAL, &[0, 0x80]),              // cut off
        (USUAL, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 2]),
        (USUAL, &[3]),
        (USUAL, &[9, 1]),
    ] {
        let rows = rows(header, instructions);
        assert_eq!(rows.unwrap_or_default(), [], "{instructions:?}");
    }
    // A sequence at 0 was dropped by the linker. A sequence without an end instruction has no rows.
    assert_eq!(
        rows(USUAL, &[&[1, 2, 1, 1][..], &END].concat()),
        Some(vec![])
    );
    assert_eq!(
        rows(USUAL, &[&at(8)[..], &[1, 2, 1, 1]].concat()),
        Some(vec![])
    );
    // With a minimum instruction length of 0, the address does not change.
    assert_eq!(
        rows(
            [0, 0xfb, 14, 13, 12],
            &[&at(8)[..], &[200, 201], &END].concat()
        ),
        Some(vec![])
    );
    // Addresses that decrease.
    let backwards = [&at(8)[..], &[1, 2, 4, 3, 1, 1], &at(4), &[1], &END].concat();
    assert!(rows(USUAL, &backwards).is_some());
}
