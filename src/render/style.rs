// SPDX-License-Identifier: BSD-2-Clause
//! Lines in pieces, each with its style, and the page that they make: widths are counted on what is
//! seen, colours are put in when a line ends, and blanks at its end never are.

use std::iter;

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// The culprit.
    Culprit,
    /// A failing result.
    Failure,
    /// A remark of ours.
    Note,
    /// What matters less: sources, addresses, rows of the tracing itself.
    Faint,
    /// A heading.
    Strong,
}

impl Style {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Culprit => Some("1;31"),
            Self::Failure => Some("31"),
            Self::Note => Some("33"),
            Self::Faint => Some("2"),
            Self::Strong => Some("1"),
        }
    }
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    style: Style,
    /// Where it ends, in bytes.
    end: usize,
    /// Characters seen from the line's start to the end of this piece.
    width: usize,
}

impl Line {
    /// A piece: what `say` appends.
    pub(super) fn piece(&mut self, style: Style, say: impl FnOnce(&mut String)) {
        let (start, before) = (self.text.len(), self.width());
        say(&mut self.text);
        self.pieces.push(Piece {
            style,
            end: self.text.len(),
            width: before + width(&self.text[start..]),
        });
    }

    pub(super) fn push(&mut self, style: Style, text: &str) {
        self.piece(style, |line| line.push_str(text));
    }

    /// Blanks up to a column.
    pub(super) fn pad_to(&mut self, column: usize) {
        let missing = column.saturating_sub(self.width());
        if missing == 0 {
            return;
        }
        self.text.extend(iter::repeat_n(' ', missing));
        self.pieces.push(Piece {
            style: Style::Plain,
            end: self.text.len(),
            width: column,
        });
    }

    /// Characters seen so far.
    pub(super) fn width(&self) -> usize {
        self.pieces.last().map_or(0, |piece| piece.width)
    }

    /// The last piece, not in the line any more.
    fn take_last(&mut self) -> String {
        self.pieces.pop();
        let start = self.pieces.last().map_or(0, |piece| piece.end);
        self.text.split_off(start)
    }

    /// Moves the line to the end of `page`, cut to `columns` where it is longer.
    fn end(&mut self, page: &mut String, columns: Option<usize>, color: bool) {
        if let Some(columns) = columns {
            self.cut(columns);
        }
        let shown = self.text.trim_end();
        if color {
            let mut start = 0;
            for piece in &self.pieces {
                let end = piece.end.min(shown.len());
                push_colored(page, piece.style, &shown[start..end]);
                start = end;
            }
        } else {
            page.push_str(shown);
        }
        page.push('\n');
        self.text.clear();
        self.pieces.clear();
    }

    fn cut(&mut self, columns: usize) {
        const ELLIPSIS: &str = "..";
        if self.width() <= columns {
            return;
        }
        let room = columns.saturating_sub(ELLIPSIS.len());
        let Some(at) = self.pieces.iter().position(|piece| piece.width > room) else {
            return;
        };
        let end = self.text.char_indices().nth(room);
        self.text
            .truncate(end.map_or(self.text.len(), |(end, _)| end));
        self.text.push_str(&ELLIPSIS[..columns.min(ELLIPSIS.len())]);
        self.pieces.truncate(at + 1);
        if let Some(last) = self.pieces.last_mut() {
            last.end = self.text.len();
        }
    }
}

fn push_colored(page: &mut String, style: Style, text: &str) {
    match style.code() {
        Some(code) if !text.trim().is_empty() => {
            page.extend(["\x1b[", code, "m", text, "\x1b[0m"]);
        }
        _ => page.push_str(text),
    }
}

/// The lines of a session.
#[derive(Debug)]
pub(super) struct Page {
    /// Lines that have ended.
    text: String,
    line: Line,
    columns: Option<usize>,
    color: bool,
}

/// What nearly all sessions take, in bytes.
const PAGE: usize = 4000;

/// What most lines take, in bytes and in pieces.
const LINE: (usize, usize) = (200, 12);

impl Page {
    pub(super) fn new(columns: Option<usize>, color: bool) -> Self {
        Self {
            text: String::with_capacity(PAGE),
            line: Line {
                text: String::with_capacity(LINE.0),
                pieces: Vec::with_capacity(LINE.1),
            },
            columns,
            color,
        }
    }

    /// Columns of the terminal.
    pub(super) fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// The line that has not ended.
    pub(super) fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    pub(super) fn end_line(&mut self) {
        self.line.end(&mut self.text, self.columns, self.color);
    }

    /// A piece of a sentence: where it has no room, it begins a line of its own, set in.
    pub(super) fn flow(&mut self, style: Style, say: impl FnOnce(&mut String)) {
        let used = self.line.width();
        self.line.piece(style, say);
        let Some(columns) = self.columns.filter(|columns| self.line.width() > *columns) else {
            return;
        };
        let text = self.line.take_last();
        if used == 0 || used + width(text.trim_end()) <= columns {
            self.line.push(style, &text);
        } else {
            self.end_line();
            self.line.push(Style::Plain, "    ");
            self.line.push(style, text.trim_start_matches([',', ' ']));
        }
    }

    /// The same for a text that is there already.
    pub(super) fn flow_text(&mut self, style: Style, text: &str) {
        self.flow(style, |line| line.push_str(text));
    }

    /// All lines that have ended.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Columns that a text takes. (Wide characters only occur in task names, in no column.)
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().count()
    }
}

#[cfg(test)]
mod tests;
