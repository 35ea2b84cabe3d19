// SPDX-License-Identifier: BSD-2-Clause
//! Where the trail ends, in words: what the culprit calls and nobody watched.

use crate::render::escape::escape;
use crate::render::style::Style;
use crate::render::value::result_text;
use crate::session::Trail;
use crate::spec::{Outcome, ResultType};

/// Callees named; JSON has them all.
const NAMED: usize = 4;

/// The line below the culprit, in pieces; none where the culprit alone can have made the error.
pub(super) fn trail_text(trail: &Trail, outcome: Outcome) -> Vec<(Style, String)> {
    if trail.ends_here() {
        return Vec::new();
    }
    let mut texts: Vec<String> = Vec::new();
    let is_made_below = trail.made_here == Some(false);
    if is_made_below {
        let error = result_text(ResultType::Unknown, 0, outcome);
        texts.push(format!("  its own code does not make {error}: "));
    }
    if trail.callees.is_empty() {
        texts.push(match (is_made_below, trail.through_pointers) {
            (true, true) => "what it calls through a pointer does".to_owned(),
            (true, false) => "it was handed one, in an argument or in memory".to_owned(),
            (false, _) => "  or what it calls through a pointer".to_owned(),
        });
        return noted(texts);
    }
    texts.push(
        if is_made_below {
            "an untraced callee does: "
        } else {
            "  or an untraced callee: "
        }
        .to_owned(),
    );
    let names = trail.callees.iter().take(NAMED);
    let names: Vec<String> = names.map(|callee| escape(callee.name.as_bytes())).collect();
    let n_more = trail.callees.len() - names.len();
    for (index, name) in names.iter().enumerate() {
        let is_last = index + 1 == names.len() && n_more == 0 && !trail.through_pointers;
        texts.push(format!("{name}{}", if is_last { " " } else { ", " }));
    }
    if n_more > 0 {
        let comma = if trail.through_pointers { ", " } else { " " };
        texts.push(format!("{n_more} more{comma}"));
    }
    if trail.through_pointers {
        texts.push("or one called through a pointer ".to_owned());
    }
    let them = if names.len() == 1 { "it" } else { "them" };
    texts.push(format!("(trace {them}:"));
    texts.extend(names.iter().map(|name| format!(" -a {name}")));
    if let Some(last) = texts.last_mut() {
        last.push(')');
    }
    noted(texts)
}

fn noted(texts: Vec<String>) -> Vec<(Style, String)> {
    texts.into_iter().map(|text| (Style::Note, text)).collect()
}
