// SPDX-License-Identifier: BSD-2-Clause
//! Builds lines from styled pieces, and pages from lines. Widths count visible characters. Colours
//! are added when a line ends, and trailing blanks are removed.

use std::iter;

/// The role of a piece of text, which determines its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// The function of the culprit.
    Culprit,
    /// The result of a failed call.
    Failure,
    /// A note of the tracer.
    Note,
    /// Secondary text: sources, addresses, rows of the tracer itself.
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

/// A line that is being built.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    pieces: Vec<StyledPiece>,
}

#[derive(Clone, Copy, Debug)]
struct StyledPiece {
    style: Style,
    /// End of the piece in the line's text, in bytes.
    end: usize,
    /// Width from the start of the line to the end of this piece, in characters.
    width: usize,
}

impl Line {
    /// Adds a piece with the text that `say` appends.
    pub(super) fn piece(&mut self, style: Style, say: impl FnOnce(&mut String)) {
        let (start, before) = (self.text.len(), self.width());
        say(&mut self.text);
        self.pieces.push(StyledPiece {
            style,
            end: self.text.len(),
            width: before + width(&self.text[start..]),
        });
    }

    pub(super) fn push(&mut self, style: Style, text: &str) {
        self.piece(style, |line| line.push_str(text));
    }

    /// Adds blanks up to a column.
    pub(super) fn pad_to(&mut self, column: usize) {
        let missing = column.saturating_sub(self.width());
        if missing == 0 {
            return;
        }
        self.text.extend(iter::repeat_n(' ', missing));
        self.pieces.push(StyledPiece {
            style: Style::Plain,
            end: self.text.len(),
            width: column,
        });
    }

    /// Width of the line so far, in characters.
    pub(super) fn width(&self) -> usize {
        self.pieces.last().map_or(0, |piece| piece.width)
    }

    /// Removes the last piece and returns its text.
    fn take_last(&mut self) -> String {
        self.pieces.pop();
        let start = self.pieces.last().map_or(0, |piece| piece.end);
        self.text.split_off(start)
    }

    /// Moves the line to the end of `page`. A longer line is cut to `columns`.
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
    /// The finished lines.
    text: String,
    line: Line,
    columns: Option<usize>,
    color: bool,
}

/// Size in bytes that is enough for nearly all sessions.
const PAGE_CAPACITY: usize = 4000;

/// Size that is enough for most lines, in bytes and in pieces.
const LINE_CAPACITY: (usize, usize) = (200, 12);

impl Page {
    pub(super) fn new(columns: Option<usize>, color: bool) -> Self {
        Self {
            text: String::with_capacity(PAGE_CAPACITY),
            line: Line {
                text: String::with_capacity(LINE_CAPACITY.0),
                pieces: Vec::with_capacity(LINE_CAPACITY.1),
            },
            columns,
            color,
        }
    }

    /// Width of the terminal in columns; `None` means no limit.
    pub(super) fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// The unfinished line.
    pub(super) fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    pub(super) fn end_line(&mut self) {
        self.line.end(&mut self.text, self.columns, self.color);
    }

    /// Adds a piece of a sentence. If it does not fit, it starts a new, indented line.
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

    /// As [`Self::flow`], for an existing text.
    pub(super) fn flow_text(&mut self, style: Style, text: &str) {
        self.flow(style, |line| line.push_str(text));
    }

    /// Returns the finished lines.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Width of a text in columns. Wide characters count as one, because they only occur in task names,
/// which are not aligned.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().count()
    }
}

#[cfg(test)]
mod tests;
