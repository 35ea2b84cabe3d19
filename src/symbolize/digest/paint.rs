// SPDX-License-Identifier: BSD-2-Clause
//! Merges address ranges of inlined calls with line rows into pieces of code. Each piece has an
//! innermost call and a line.

use super::walk::{NO_CALL, Span};
use crate::symbolize::dwarf::LineRow;

/// Maximum number of nested calls at one address. No compiler inlines deeper; further spans are
/// ignored.
const MAX_INLINE_DEPTH: usize = 1 << 10;

/// A range of code that has one innermost call and one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodeRange {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Index of the innermost call, or [`NO_CALL`].
    pub(super) call: u32,
    /// File (by its number in the unit) and line; `None` if there is no line.
    pub(super) line: Option<(u32, u32)>,
}

/// Splits overlapping spans into disjoint ones, each with its innermost call. Inner calls win over
/// outer ones, and later ones over earlier ones.
pub(super) fn innermost(mut spans: Vec<Span>) -> Vec<Span> {
    // The sort is stable, and fast on spans that are mostly in order already.
    spans.sort_by_key(|span| span.start);
    let mut painted = Vec::with_capacity(spans.len());
    // The spans that cover the current address, the innermost last.
    let mut open: Vec<Span> = Vec::new();
    let mut at = 0;
    for span in spans {
        paint(&mut open, &mut at, span.start, &mut painted);
        at = at.max(span.start);
        let place = open.partition_point(|other| other.call <= span.call);
        if open.len() < MAX_INLINE_DEPTH {
            open.insert(place, span);
        }
    }
    paint(&mut open, &mut at, u64::MAX, &mut painted);
    painted
}

/// Emits the pieces from `at` up to `until` and removes the spans that end there.
fn paint(open: &mut Vec<Span>, at: &mut u64, until: u64, painted: &mut Vec<Span>) {
    while let Some(top) = open.last() {
        let end = top.end.min(until);
        if end > *at {
            painted.push(Span {
                start: *at,
                end,
                call: top.call,
            });
            *at = end;
        }
        if top.end > until {
            return;
        }
        open.pop();
    }
}

/// Calls `each` for every piece that the lines and the calls yield together, in order.
pub(super) fn pieces(lines: &[LineRow], calls: &[Span], mut each: impl FnMut(CodeRange)) {
    let (mut lines, mut calls) = (lines.iter().peekable(), calls.iter().peekable());
    let mut at = 0;
    loop {
        while lines.next_if(|line| line.end <= at).is_some() {}
        while calls.next_if(|call| call.end <= at).is_some() {}
        let (line, call) = (lines.peek(), calls.peek());
        let next = match (line, call) {
            (None, None) => return,
            (line, call) => {
                let start = line.map_or(u64::MAX, |line| line.start);
                start.min(call.map_or(u64::MAX, |call| call.start))
            }
        };
        at = at.max(next);
        let mut end = u64::MAX;
        let mut piece = CodeRange {
            start: at,
            end,
            call: NO_CALL,
            line: None,
        };
        if let Some(line) = line {
            if line.start <= at {
                piece.line = Some((line.file, line.line));
                end = end.min(line.end);
            } else {
                end = end.min(line.start);
            }
        }
        if let Some(call) = call {
            if call.start <= at {
                piece.call = call.call;
                end = end.min(call.end);
            } else {
                end = end.min(call.start);
            }
        }
        piece.end = end;
        at = end;
        each(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::{CodeRange, innermost, pieces};
    use crate::symbolize::digest::walk::{NO_CALL, Span};
    use crate::symbolize::dwarf::LineRow;

    fn span(start: u64, end: u64, call: u32) -> Span {
        Span { start, end, call }
    }

    fn painted(spans: &[Span]) -> Vec<(u64, u64, u32)> {
        let painted = innermost(spans.to_vec());
        painted
            .iter()
            .map(|span| (span.start, span.end, span.call))
            .collect()
    }

    #[test]
    fn inner_calls_cover_outer_ones() {
        assert_eq!(
            painted(&[
                span(10, 50, 0),
                span(20, 30, 1),
                span(22, 24, 2),
                span(40, 50, 3)
            ]),
            [
                (10, 20, 0),
                (20, 22, 1),
                (22, 24, 2),
                (24, 30, 1),
                (30, 40, 0),
                (40, 50, 3)
            ]
        );
        // A call with several ranges, and one that begins at the same address as its parent.
        assert_eq!(
            painted(&[
                span(10, 20, 0),
                span(30, 40, 0),
                span(30, 35, 1),
                span(12, 14, 1)
            ]),
            [
                (10, 12, 0),
                (12, 14, 1),
                (14, 20, 0),
                (30, 35, 1),
                (35, 40, 0)
            ]
        );
        // A child that extends beyond its parent, and siblings that overlap.
        assert_eq!(
            painted(&[span(10, 20, 0), span(15, 25, 1)]),
            [(10, 15, 0), (15, 25, 1)]
        );
        assert_eq!(
            painted(&[span(10, 20, 1), span(12, 22, 0)]),
            [(10, 12, 1), (12, 20, 1), (20, 22, 0)]
        );
        assert_eq!(painted(&[]), []);
    }

    #[test]
    fn calls_and_lines_are_cut_at_each_others_ends() {
        let lines = [
            LineRow {
                start: 10,
                end: 20,
                file: 1,
                line: 7,
            },
            LineRow {
                start: 20,
                end: 30,
                file: 1,
                line: 8,
            },
        ];
        let mut found = Vec::new();
        pieces(&lines, &[span(15, 25, 3), span(40, 41, 4)], |piece| {
            found.push(piece)
        });
        let piece = |start, end, call, line| CodeRange {
            start,
            end,
            call,
            line,
        };
        assert_eq!(
            found,
            [
                piece(10, 15, NO_CALL, Some((1, 7))),
                piece(15, 20, 3, Some((1, 7))),
                piece(20, 25, 3, Some((1, 8))),
                piece(25, 30, NO_CALL, Some((1, 8))),
                piece(40, 41, 4, None),
            ]
        );
    }
}
