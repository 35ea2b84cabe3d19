// SPDX-License-Identifier: BSD-2-Clause
//! Lines that are cut, trimmed, coloured and indented.

use super::{Page, Style, width};

const BEHIND_WIDE: usize = 12;

fn check(columns: Option<usize>, color: bool, write: impl Fn(&mut Page), expected: &str) {
    let mut page = Page::new(columns, color);
    write(&mut page);
    page.end_line();
    assert_eq!(page.into_text(), format!("{expected}\n"));
}

#[test]
fn widths_count_characters_and_not_bytes() {
    assert_eq!(width(""), 0);
    assert_eq!(width("a long text of ASCII characters only"), 36);
    assert_eq!(width("né 日本"), 5);
    let wide = |page: &mut Page| {
        page.line().push(Style::Plain, "日本é");
        page.line().pad_to(BEHIND_WIDE);
        page.line().push(Style::Failure, "behind é");
    };
    check(None, false, wide, "日本é         behind é");
    check(Some(20), false, wide, "日本é         behind é");
    check(Some(19), false, wide, "日本é         behin..");
    check(Some(4), false, wide, "日本..");
    check(Some(1), false, wide, ".");
    check(Some(0), false, wide, "");
}

#[test]
fn blanks_go_at_the_end_only_and_however_many() {
    let blanks = |page: &mut Page| {
        page.line().push(Style::Failure, "a");
        page.line().pad_to(500);
    };
    check(None, false, blanks, "a");
    check(None, true, blanks, "\x1b[31ma\x1b[0m");
    let padded = |page: &mut Page| {
        page.line().pad_to(500);
        page.line().push(Style::Plain, "\u{3000}a \u{3000}");
        page.line().push(Style::Strong, "\u{2003}");
    };
    let expected = format!("{}\u{3000}a", " ".repeat(500));
    check(None, false, padded, &expected);
    check(None, true, padded, &expected);
}

#[test]
fn what_was_cut_keeps_its_colour_and_loses_what_follows() {
    let colored = |page: &mut Page| {
        page.line().push(Style::Strong, "ab");
        page.line().push(Style::Failure, "cdef");
        page.line().push(Style::Note, "ghi");
    };
    check(
        Some(6),
        true,
        colored,
        "\x1b[1mab\x1b[0m\x1b[31mcd..\x1b[0m",
    );
    check(Some(4), true, colored, "\x1b[1mab\x1b[0m\x1b[31m..\x1b[0m");
    check(Some(3), true, colored, "\x1b[1ma..\x1b[0m");
}

#[test]
fn a_piece_without_room_begins_a_line_and_the_first_one_stays() {
    let sentence = |page: &mut Page| {
        page.flow_text(Style::Strong, "début:");
        page.flow_text(Style::Plain, " one,  ");
        page.flow_text(Style::Plain, ", two");
    };
    check(None, false, sentence, "début: one,  , two");
    check(Some(18), false, sentence, "début: one,  , two");
    check(Some(17), false, sentence, "début: one,\n    two");
    check(Some(10), false, sentence, "début:\n    one,\n    two");
    check(Some(4), false, sentence, "dé..\n  ..\n  ..");
}
