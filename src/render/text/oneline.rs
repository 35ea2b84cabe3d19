// SPDX-License-Identifier: BSD-2-Clause
//! A failure in one line, for watching a machine.

use super::phrases::{push_decider, push_source};
use super::syscall;
use crate::render::escape::push_escaped;
use crate::render::style::{Page, Style};
use crate::render::value::push_decimal;
use crate::render::view::{self, TracerRows};
use crate::render::{RenderContext, SymbolizedSession};

/// Returns the line of a failure without its time and its end: thread name, process, call, result,
/// culprit and its source line.
#[must_use]
pub fn one_line(shown: SymbolizedSession<'_>, context: &RenderContext<'_>) -> String {
    let session = shown.session;
    let mut page = Page::new(None, context.color);
    page.flow(Style::Strong, |text| {
        push_escaped(text, &session.header.comm);
        text.push('[');
        push_decimal(text, session.header.tgid.0.into());
        text.push_str("] ");
    });
    syscall::call(&mut page, session, context);
    let rows = view::rows(shown, context, TracerRows::LeftOut);
    if let Some((row, culprit)) = view::culprit_row(&rows) {
        page.flow(Style::Culprit, |text| {
            text.push_str(" by ");
            push_decider(text, session, &culprit);
        });
        let source = match view::maker_of(session) {
            Some(maker) => view::definition_of(shown, maker),
            None => {
                let inside = row.frame.and_then(|frame| view::innermost(frame).0);
                inside.or(row.place().source)
            }
        };
        if let Some(source) = source {
            page.flow(Style::Faint, |text| {
                text.push_str(" (");
                push_source(text, source);
                text.push(')');
            });
        }
    }
    page.end_line();
    page.into_text().trim_end().to_owned()
}
