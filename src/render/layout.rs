// SPDX-License-Identifier: BSD-2-Clause
//! Columns of a session's rows: widths come from what is shown, and where the terminal is too
//! narrow the source is shortened from its left, then left out. Nothing wraps.

use super::style::{Line, Style, width};

/// One line of the stack, before it has widths.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// `>` culprit, `~` a row of the tracing itself.
    pub(super) mark: &'static str,
    pub(super) duration: String,
    pub(super) result: String,
    pub(super) result_style: Option<Style>,
    pub(super) address: String,
    pub(super) symbol: String,
    pub(super) symbol_style: Option<Style>,
    /// Without brackets: `kernel/bpf/syscall.c:123`.
    pub(super) source: String,
    pub(super) notes: Vec<String>,
}

/// Where the columns of a session begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Columns of the terminal.
    columns: Option<usize>,
    duration: usize,
    result: usize,
    address: usize,
    symbol: usize,
}

/// Columns that a source should have at least: `(syscall.c:1234)` and some more.
const SOURCE_ROOM: usize = 28;

/// Between columns.
const GAP: usize = 2;

impl Layout {
    pub(super) fn new(rows: &[Row], columns: Option<usize>) -> Self {
        let widest = |of: fn(&Row) -> &str| rows.iter().map(|row| width(of(row))).max();
        let column = |of| widest(of).unwrap_or(0);
        let mut layout = Self {
            columns,
            duration: column(|row| &row.duration).max(5),
            result: column(|row| &row.result),
            address: column(|row| &row.address),
            symbol: column(|row| {
                if row.source.is_empty() {
                    ""
                } else {
                    &row.symbol
                }
            }),
        };
        if let Some(columns) = columns {
            // One long symbol does not push the sources of all others out of the terminal.
            let room = columns.saturating_sub(layout.symbol_column() + GAP + SOURCE_ROOM);
            layout.symbol = layout.symbol.min(room);
        }
        layout
    }

    fn symbol_column(&self) -> usize {
        let gap = |column: usize| if column > 0 { column + GAP } else { 0 };
        GAP + self.duration + 1 + gap(self.result) + gap(self.address)
    }

    /// The lines of one row: itself, and a line for each note that it has no room for.
    pub(super) fn lines(&self, row: &Row) -> Vec<Line> {
        let mut line = Line::default();
        let culprit = if row.mark == ">" {
            Style::Culprit
        } else {
            Style::Faint
        };
        line.push(culprit, row.mark);
        line.pad_to((GAP + self.duration).saturating_sub(width(&row.duration)));
        line.push(Style::Plain, row.duration.as_str());
        line.pad_to(GAP + self.duration + 1);
        line.push(
            row.result_style.unwrap_or(Style::Plain),
            row.result.as_str(),
        );
        if !row.address.is_empty() {
            line.pad_to(self.symbol_column().saturating_sub(self.address + GAP));
            line.push(Style::Faint, row.address.as_str());
        }
        line.pad_to(self.symbol_column());
        line.push(
            row.symbol_style.unwrap_or(Style::Plain),
            row.symbol.as_str(),
        );
        self.push_source(&mut line, &row.source);
        let mut lines = vec![line];
        for note in &row.notes {
            self.push_note(&mut lines, note);
        }
        lines
    }

    fn push_source(&self, line: &mut Line, source: &str) {
        if source.is_empty() {
            return;
        }
        let start = line.width().max(self.symbol_column() + self.symbol) + GAP;
        let room = self
            .columns
            .map(|columns| columns.saturating_sub(start + 2));
        if let Some(source) = shorten(source, room) {
            line.pad_to(start);
            line.push(Style::Faint, format!("({source})"));
        }
    }

    fn push_note(&self, lines: &mut Vec<Line>, note: &str) {
        let Some(last) = lines.last_mut() else { return };
        let fits = self
            .columns
            .is_none_or(|columns| last.width() + GAP + 3 + width(note) <= columns);
        if fits {
            last.push(Style::Plain, "  ");
            last.push(Style::Note, format!("<- {note}"));
            return;
        }
        let mut own = Line::default();
        own.pad_to(self.symbol_column());
        own.push(Style::Note, format!("^ {note}"));
        lines.push(own);
    }
}

/// The source in so many columns: whole, else without its first directories, else not at all.
fn shorten(source: &str, room: Option<usize>) -> Option<String> {
    let Some(room) = room else {
        return Some(source.to_owned());
    };
    if width(source) <= room {
        return Some(source.to_owned());
    }
    let mut tail = source;
    while let Some((_, rest)) = tail.split_once('/') {
        tail = rest;
        if width(tail) + 3 <= room {
            return Some(format!("../{tail}"));
        }
    }
    (width(tail) <= room && tail != source).then(|| tail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn sources_lose_their_first_directories_before_they_go() {
        let check = |room, expected: Option<&str>| {
            assert_eq!(
                shorten("kernel/bpf/syscall.c:123", room).as_deref(),
                expected
            );
        };
        check(None, Some("kernel/bpf/syscall.c:123"));
        check(Some(24), Some("kernel/bpf/syscall.c:123"));
        check(Some(23), Some("../bpf/syscall.c:123"));
        check(Some(19), Some("../syscall.c:123"));
        check(Some(13), Some("syscall.c:123"));
        check(Some(12), None);
    }
}
