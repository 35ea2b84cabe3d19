// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel said in words.

use crate::render::RenderContext;
use crate::render::escape::push_escaped;
use crate::render::style::{Page, Style};
use crate::render::value::push_decimal;
use crate::session::{Message, Session, messages as of_session};

/// Number of messages that are shown without `-v`: the last ones.
const SHOWN: usize = 4;

/// Writes `kernel said "tmpfs: Bad value for 'mode'"`, a line for each message, and `said nearby` for
/// those that the culprit need not have said. Each line begins with `indent`.
pub(super) fn messages(
    page: &mut Page,
    session: &Session,
    indent: &str,
    context: &RenderContext<'_>,
) {
    let all = of_session(session, context.sources);
    let n_left_out = match context.verbosity {
        0 => all.len().saturating_sub(SHOWN),
        _ => 0,
    };
    if n_left_out > 0 {
        page.flow(Style::Note, |text| {
            text.push_str(indent);
            text.push_str("kernel said ");
            push_decimal(text, n_left_out as u64);
            text.push_str(" more before (-v shows it)");
        });
        page.end_line();
    }
    for message in &all[n_left_out..] {
        page.flow_text(Style::Plain, indent);
        self::message(page, message);
    }
}

fn message(page: &mut Page, message: &Message) {
    let said = if message.certain {
        "kernel said \""
    } else {
        "kernel said nearby \""
    };
    page.flow_text(Style::Plain, said);
    page.flow(Style::Strong, |text| push_escaped(text, &message.text));
    page.flow_text(Style::Plain, "\"");
    page.end_line();
}
