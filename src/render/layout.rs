// SPDX-License-Identifier: BSD-2-Clause
//! Lays out the rows of a session in columns. Widths depend on the contents. If the terminal is too
//! narrow, the source is shortened from the left, then omitted. Lines do not wrap.

use super::style::{Line, Page, Style, width};

/// The rows of a session before layout, and the texts of all their cells.
#[derive(Debug)]
pub(super) struct StackTable {
    texts: String,
    rows: Vec<TableRow>,
}

/// Byte range of a text in the table, and its width in columns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    start: usize,
    end: usize,
    width: usize,
}

/// One line of the stack before layout.
#[derive(Debug, Default)]
pub(super) struct TableRow {
    /// `>` for the culprit, `~` for a row of the tracer itself, else empty.
    pub(super) mark: &'static str,
    pub(super) duration: Cell,
    pub(super) result: Cell,
    pub(super) result_style: Option<Style>,
    pub(super) address: Cell,
    pub(super) symbol: Cell,
    pub(super) symbol_style: Option<Style>,
    /// Source without parentheses: `kernel/bpf/syscall.c:123`.
    pub(super) source: Cell,
    pub(super) notes: Vec<Cell>,
}

/// Size in bytes of the cells of most rows.
const ROW_CAPACITY: usize = 64;

impl StackTable {
    /// Creates a table with room for `n_rows` rows.
    pub(super) fn with_room(n_rows: usize) -> Self {
        Self {
            texts: String::with_capacity(n_rows * ROW_CAPACITY),
            rows: Vec::with_capacity(n_rows),
        }
    }

    /// Creates a cell with the text that `say` appends.
    pub(super) fn cell(&mut self, say: impl FnOnce(&mut String)) -> Cell {
        let start = self.texts.len();
        say(&mut self.texts);
        Cell {
            start,
            end: self.texts.len(),
            width: width(&self.texts[start..]),
        }
    }

    pub(super) fn push(&mut self, row: TableRow) {
        self.rows.push(row);
    }

    /// Writes a line for each row. A note that does not fit gets its own line.
    pub(super) fn write(&self, page: &mut Page) {
        let layout = ColumnWidths::new(&self.rows, page.columns());
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

/// Widths of the columns of a session.
#[derive(Clone, Copy, Debug)]
struct ColumnWidths {
    /// Width of the terminal; `None` means no limit.
    columns: Option<usize>,
    duration: usize,
    result: usize,
    address: usize,
    symbol: usize,
}

/// Columns to reserve for a source: `(syscall.c:1234)` and some more.
const SOURCE_ROOM: usize = 28;

/// Number of blanks between columns.
const COLUMN_GAP: usize = 2;

impl ColumnWidths {
    fn new(rows: &[TableRow], columns: Option<usize>) -> Self {
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
            // A long symbol must not push the sources of all other rows out of the terminal.
            let room = columns.saturating_sub(layout.symbol_column() + COLUMN_GAP + SOURCE_ROOM);
            layout.symbol = layout.symbol.min(room);
        }
        layout
    }

    fn symbol_column(&self) -> usize {
        let gap = |column: usize| if column > 0 { column + COLUMN_GAP } else { 0 };
        COLUMN_GAP + self.duration + 1 + gap(self.result) + gap(self.address)
    }

    /// Writes all cells except the source and the notes.
    fn push_cells(&self, line: &mut Line, row: &TableRow, table: &StackTable) {
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
            COLUMN_GAP + self.duration - row.duration.width,
            Style::Plain,
            table.text(row.duration),
        );
        push(
            COLUMN_GAP + self.duration + 1,
            row.result_style.unwrap_or(Style::Plain),
            table.text(row.result),
        );
        push(
            self.symbol_column() - self.address - COLUMN_GAP,
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
        let start = line.width().max(self.symbol_column() + self.symbol) + COLUMN_GAP;
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
            .is_none_or(|columns| used + COLUMN_GAP + 3 + width(note) <= columns);
        let before = if fits {
            page.line().pad_to(used + COLUMN_GAP);
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

/// Shortens the source to `room` columns and returns it in two parts. Directories are removed from
/// the left; `None` if it still does not fit.
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
