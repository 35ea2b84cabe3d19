// SPDX-License-Identifier: BSD-2-Clause
//! The trail in words: untraced callees of the culprit that may have failed.

use crate::render::escape::push_escaped_text;
use crate::render::style::{Page, Style};
use crate::render::value::{push_decimal, push_result};
use crate::session::Trail;
use crate::spec::{Outcome, ResultType};

/// Maximum number of callees that are named. JSON has all of them.
const MAX_NAMED_CALLEES: usize = 4;

/// Writes the line below the culprit; writes nothing if only the culprit itself can have created
/// the error.
pub(super) fn trail(page: &mut Page, trail: &Trail, outcome: Outcome) {
    if trail.ends_here() {
        return;
    }
    let is_made_below = trail.made_here == Some(false);
    if is_made_below {
        page.flow(Style::Note, |text| {
            text.push_str("  its own code does not make ");
            push_result(text, ResultType::Unknown, 0, outcome);
            text.push_str(": ");
        });
    }
    if trail.callees.is_empty() {
        let text = match (is_made_below, trail.through_pointers) {
            (true, true) => {
                "what it calls through a pointer does, or it was handed one, in an argument or in memory"
            }
            (true, false) => "it was handed one, in an argument or in memory",
            (false, _) => "  or what it calls through a pointer",
        };
        page.flow_text(Style::Note, text);
    } else {
        let text = if is_made_below {
            "an untraced callee does: "
        } else {
            "  or an untraced callee: "
        };
        page.flow_text(Style::Note, text);
        callees(page, trail);
    }
    page.end_line();
}

/// Writes the names of the callees, and the options that trace them.
fn callees(page: &mut Page, trail: &Trail) {
    let named = &trail.callees[..trail.callees.len().min(MAX_NAMED_CALLEES)];
    let n_more = trail.callees.len() - named.len();
    for (index, callee) in named.iter().enumerate() {
        let is_last = index + 1 == named.len() && n_more == 0 && !trail.through_pointers;
        page.flow(Style::Note, |text| {
            push_escaped_text(text, &callee.name);
            if !callee.is_traceable {
                text.push_str(" (cannot be traced)");
            }
            text.push_str(if is_last { " " } else { ", " });
        });
    }
    if n_more > 0 {
        page.flow(Style::Note, |text| {
            push_decimal(text, n_more as u64);
            text.push_str(" more");
            text.push_str(if trail.through_pointers { ", " } else { " " });
        });
    }
    if trail.through_pointers {
        page.flow_text(Style::Note, "or one called through a pointer ");
    }
    let named: Vec<_> = named.iter().filter(|it| it.is_traceable).collect();
    let trace = match named.len() {
        0 => return,
        1 => "(trace it:",
        _ => "(trace them:",
    };
    page.flow_text(Style::Note, trace);
    for (index, callee) in named.iter().enumerate() {
        page.flow(Style::Note, |text| {
            text.push_str(" -a ");
            push_escaped_text(text, &callee.name);
            if index + 1 == named.len() {
                text.push(')');
            }
        });
    }
}
