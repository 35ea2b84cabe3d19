// SPDX-License-Identifier: BSD-2-Clause
//! What is said in words below the stack: who returned what and where, what was handled, what is
//! missing. In pieces, so that lines can break between them.

use crate::render::escape::escape;
use crate::render::style::Style;
use crate::render::value::{call_result, errno_in_words, result_text};
use crate::render::view::{self, CallView, HandledView, RowView};
use crate::session::SessionLosses;
use crate::symbolize::SourceLine;

pub(super) fn handled_line(view: &HandledView<'_>) -> Vec<(Style, String)> {
    let result = call_result(view.of.result_type(), view.of.call);
    let mut pieces = vec![
        (Style::Failure, format!("  {result}")),
        (Style::Plain, format!(" {}", name(&view.of))),
    ];
    if view.times > 1 {
        pieces.push((Style::Plain, format!(", {} times", view.times)));
    }
    if let Some(caller) = &view.caller {
        pieces.push((Style::Plain, format!(", called by {}", name(caller))));
    }
    if let Some(source) = &view.called_at {
        pieces.push((Style::Faint, format!(" ({})", source_text(source))));
    }
    pieces
}

pub(super) fn losses_text(losses: &SessionLosses) -> Vec<String> {
    let SessionLosses {
        beyond_depth,
        overwritten_calls,
        unreturned,
        unmatched_returns,
        missing_stacks,
    } = *losses;
    let counts = [
        (
            beyond_depth,
            "call too deep to record",
            "calls too deep to record",
        ),
        (
            overwritten_calls,
            "call overwritten by later ones",
            "calls overwritten by later ones",
        ),
        (
            unreturned,
            "call without a return",
            "calls without a return",
        ),
        (
            unmatched_returns,
            "return without a call",
            "returns without a call",
        ),
        (
            missing_stacks,
            "kernel stack missing",
            "kernel stacks missing",
        ),
    ];
    let lost = counts.into_iter().filter(|(count, ..)| *count > 0);
    lost.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect()
}

/// `map_check_btf returned -EINVAL (EINVAL: Invalid argument)`.
pub(super) fn returned(of: &CallView<'_>) -> Vec<(Style, String)> {
    let words = errno_in_words(of.call.outcome).map(|words| format!(" ({words})"));
    let call = format!("{} returned {}", name(of), result(of));
    [Some(call), words]
        .into_iter()
        .flatten()
        .map(|text| (Style::Plain, text))
        .collect()
}

/// Where in the culprit: the innermost line that is known.
pub(super) fn place_text(row: &RowView<'_>) -> Vec<String> {
    let (source, inlined) = match &row.frame {
        Some(frame) => view::innermost(frame),
        None => (row.place.source.clone(), None),
    };
    let Some(source) = source else {
        return Vec::new();
    };
    let verb = if row.place.is_definition {
        ", defined at"
    } else {
        " at"
    };
    let mut pieces = vec![format!("{verb} {}", source_text(&source))];
    pieces.extend(inlined.map(|name| format!(", in inlined {}", escape(name.as_bytes()))));
    pieces
}

pub(super) fn name(of: &CallView<'_>) -> String {
    let name = escape(of.name().as_bytes());
    match of.module() {
        Some(module) => format!("{name} [{}]", escape(module.as_bytes())),
        None => name,
    }
}

pub(super) fn result(of: &CallView<'_>) -> String {
    result_text(of.result_type(), of.call.result, of.call.outcome)
}

pub(super) fn source_text(source: &SourceLine) -> String {
    format!("{}:{}", escape(source.path.as_bytes()), source.line)
}
