// SPDX-License-Identifier: BSD-2-Clause
//! A line in pieces, each with its style: widths are counted on what is seen, colours are put in
//! when the line is written, and blanks at its end never are.

use std::io::{self, Write};

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
#[derive(Debug, Default)]
pub(super) struct Line {
    pieces: Vec<(Style, String)>,
}

impl Line {
    pub(super) fn push(&mut self, style: Style, text: impl Into<String>) {
        self.pieces.push((style, text.into()));
    }

    /// Blanks up to a column.
    pub(super) fn pad_to(&mut self, column: usize) {
        let blanks = column.saturating_sub(self.width());
        self.push(Style::Plain, " ".repeat(blanks));
    }

    /// Characters seen so far.
    pub(super) fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    /// Writes the line, cut to `columns` where it is longer.
    pub(super) fn write(
        mut self,
        out: &mut dyn Write,
        columns: Option<usize>,
        color: bool,
    ) -> io::Result<()> {
        if let Some(columns) = columns {
            self.cut(columns);
        }
        while let Some((_, text)) = self.pieces.last_mut() {
            text.truncate(text.trim_end().len());
            if !text.is_empty() {
                break;
            }
            self.pieces.pop();
        }
        for (style, text) in &self.pieces {
            match style.code() {
                Some(code) if color && !text.trim().is_empty() => {
                    write!(out, "\x1b[{code}m{text}\x1b[0m")?;
                }
                _ => out.write_all(text.as_bytes())?,
            }
        }
        out.write_all(b"\n")
    }

    fn cut(&mut self, columns: usize) {
        const ELLIPSIS: &str = "..";
        if self.width() <= columns {
            return;
        }
        let mut room = columns.saturating_sub(ELLIPSIS.len());
        let mut kept = Vec::new();
        for (style, mut text) in self.pieces.drain(..) {
            let length = width(&text);
            if length > room {
                let end = text
                    .char_indices()
                    .nth(room)
                    .map_or(text.len(), |(at, _)| at);
                text.truncate(end);
                text.push_str(&ELLIPSIS[..columns.min(ELLIPSIS.len())]);
                kept.push((style, text));
                break;
            }
            room -= length;
            kept.push((style, text));
        }
        self.pieces = kept;
    }
}

/// Pieces of a sentence → lines that fit: a piece that has no room begins a line of its own, set in.
pub(super) fn flow(pieces: Vec<(Style, String)>, columns: Option<usize>) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    for (style, text) in pieces {
        let used = lines.last().map_or(0, Line::width);
        let fits = columns.is_none_or(|columns| used + width(text.trim_end()) <= columns);
        if fits || used == 0 {
            lines
                .last_mut()
                .into_iter()
                .for_each(|line| line.push(style, text.as_str()));
        } else {
            let mut line = Line::default();
            line.push(Style::Plain, "    ");
            line.push(style, text.trim_start_matches([',', ' ']));
            lines.push(line);
        }
    }
    lines
}

/// Columns that a text takes. (Wide characters only occur in task names, in no column.)
pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}
