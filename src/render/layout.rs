// SPDX-License-Identifier: BSD-2-Clause
//! Columns of a session's rows: widths come from what is shown, and where the terminal is too
//! narrow the source is shortened from its left, then left out. Nothing wraps.

use super::style::{Line, Page, Style, width};

/// The rows of a session before they have widths, and the texts of all their cells.
#[derive(Debug)]
pub(super) struct Table {
    texts: String,
    rows: Vec<Row>,
}

/// Where a text of a table is, and the columns that it takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    start: usize,
    end: usize,
    width: usize,
}

/// One line of the stack, before it has widths.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// `>` culprit, `~` a row of the tracing itself.
    pub(super) mark: &'static str,
    pub(super) duration: Cell,
    pub(super) result: Cell,
    pub(super) result_style: Option<Style>,
    pub(super) address: Cell,
    pub(super) symbol: Cell,
    pub(super) symbol_style: Option<Style>,
    /// Without brackets: `kernel/bpf/syscall.c:123`.
    pub(super) source: Cell,
    pub(super) notes: Vec<Cell>,
}

/// In bytes: what the cells of most rows take.
const ROW: usize = 64;

impl Table {
    /// One with room for so many rows.
    pub(super) fn with_room(n_rows: usize) -> Self {
        Self {
            texts: String::with_capacity(n_rows * ROW),
            rows: Vec::with_capacity(n_rows),
        }
    }

    /// A cell: what `say` appends.
    pub(super) fn cell(&mut self, say: impl FnOnce(&mut String)) -> Cell {
        let start = self.texts.len();
        say(&mut self.texts);
        Cell {
            start,
            end: self.texts.len(),
            width: width(&self.texts[start..]),
        }
    }

    pub(super) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Writes a line for each row, and one for each note that has no room there.
    pub(super) fn write(&self, page: &mut Page) {
        let layout = Layout::new(&self.rows, page.columns());
        for row in &self.rows {
            layout.push_cells(page.line(), row, self);
            layout.push_source(page.line(), self.text(row.source));
            for note in &row.notes {
                layout.push_note(page, self.text(*note));
            }
            page.end_line();
        }
    }

    fn text(&self, cell: Cell) -> &str {
        &self.texts[cell.start..cell.end]
    }
}

/// Where the columns of a session begin.
#[derive(Clone, Copy, Debug)]
struct Layout {
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
    fn new(rows: &[Row], columns: Option<usize>) -> Self {
        let mut layout = Self {
            columns,
            duration: 5,
            result: 0,
            address: 0,
            symbol: 0,
        };
        for row in rows {
            layout.duration = layout.duration.max(row.duration.width);
            layout.result = layout.result.max(row.result.width);
            layout.address = layout.address.max(row.address.width);
            if row.source.width > 0 {
                layout.symbol = layout.symbol.max(row.symbol.width);
            }
        }
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

    /// All but the source and the notes.
    fn push_cells(&self, line: &mut Line, row: &Row, table: &Table) {
        let mut push = |column: usize, style: Style, text: &str| {
            if !text.is_empty() {
                line.pad_to(column);
                line.push(style, text);
            }
        };
        let culprit = if row.mark == ">" {
            Style::Culprit
        } else {
            Style::Faint
        };
        push(0, culprit, row.mark);
        push(
            GAP + self.duration - row.duration.width,
            Style::Plain,
            table.text(row.duration),
        );
        push(
            GAP + self.duration + 1,
            row.result_style.unwrap_or(Style::Plain),
            table.text(row.result),
        );
        push(
            self.symbol_column() - self.address - GAP,
            Style::Faint,
            table.text(row.address),
        );
        line.pad_to(self.symbol_column());
        line.push(
            row.symbol_style.unwrap_or(Style::Plain),
            table.text(row.symbol),
        );
    }

    fn push_source(&self, line: &mut Line, source: &str) {
        if source.is_empty() {
            return;
        }
        let start = line.width().max(self.symbol_column() + self.symbol) + GAP;
        let room = self
            .columns
            .map(|columns| columns.saturating_sub(start + 2));
        if let Some(parts) = shorten(source, room) {
            line.pad_to(start);
            line.piece(Style::Faint, |line| {
                line.push('(');
                line.extend(parts);
                line.push(')');
            });
        }
    }

    fn push_note(&self, page: &mut Page, note: &str) {
        let used = page.line().width();
        let fits = self
            .columns
            .is_none_or(|columns| used + GAP + 3 + width(note) <= columns);
        let before = if fits {
            page.line().pad_to(used + GAP);
            "<- "
        } else {
            page.end_line();
            page.line().pad_to(self.symbol_column());
            "^ "
        };
        page.line()
            .piece(Style::Note, |line| line.extend([before, note]));
    }
}

/// The source in so many columns, in two parts: whole, else without its first directories, else
/// not at all.
fn shorten(source: &str, room: Option<usize>) -> Option<[&str; 2]> {
    if room.is_none_or(|room| width(source) <= room) {
        return Some(["", source]);
    }
    let room = room?;
    let mut tail = source;
    while let Some((_, rest)) = tail.split_once('/') {
        tail = rest;
        if width(tail) + 3 <= room {
            return Some(["../", tail]);
        }
    }
    (width(tail) <= room && tail != source).then_some(["", tail])
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn sources_lose_their_first_directories_before_they_go() {
        let check = |room, expected: Option<&str>| {
            assert_eq!(
                shorten("kernel/bpf/syscall.c:123", room)
                    .map(|parts| parts.concat())
                    .as_deref(),
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
