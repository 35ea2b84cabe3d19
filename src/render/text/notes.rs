// SPDX-License-Identifier: BSD-2-Clause
//! What else happened in a session, in order: tracepoints and USDT probes with their fields.

use crate::render::RenderContext;
use crate::render::escape::{push_escaped, push_escaped_text};
use crate::render::style::{Page, Style};
use crate::render::value::{push_decimal, push_duration, push_note_value};
use crate::render::view::CallView;
use crate::session::{Note, Session};
use crate::spec::{NoteSource, NoteValue};

/// Writes a line for each note; writes nothing if there are none.
pub(super) fn notes(page: &mut Page, session: &Session, context: &RenderContext<'_>) {
    let notes: Vec<(&Note, &NoteSource)> = session
        .notes
        .iter()
        .filter_map(|note| Some((note, context.sources.get(note.source)?)))
        .filter(|(_, source)| is_listed(source, context.verbosity))
        .collect();
    if notes.is_empty() {
        return;
    }
    page.flow_text(Style::Strong, "events:");
    page.end_line();
    for (note, source) in notes {
        self::note(page, session, note, source, context);
    }
}

/// Facts about refusals are in the verdict already, and messages are at the top.
fn is_listed(source: &NoteSource, verbosity: u8) -> bool {
    source.kind.is_asked_for() || verbosity > 0
}

fn note(
    page: &mut Page,
    session: &Session,
    note: &Note,
    source: &NoteSource,
    context: &RenderContext<'_>,
) {
    page.flow(Style::Plain, |text| {
        text.push_str("  +");
        push_duration(text, note.at.0.saturating_sub(session.header.started.0));
        text.push(' ');
    });
    page.flow(Style::Strong, |text| push_escaped_text(text, &source.name));
    let named = source.fields.iter().zip(&note.values);
    let named: Vec<_> = named
        .filter(|(_, value)| !matches!(value, NoteValue::Stack(_)))
        .collect();
    for (index, (field, value)) in named.iter().enumerate() {
        page.flow(Style::Plain, |text| {
            text.push(' ');
            push_escaped_text(text, &field.name);
            text.push('=');
            push_value(text, value);
            if index + 1 < named.len() {
                text.push(',');
            }
        });
    }
    let inside = note.inside.and_then(|call| session.chain.calls.get(call));
    if let Some(inside) = inside {
        page.flow(Style::Faint, |text| {
            text.push_str(" (in ");
            push_escaped_text(text, &CallView::new(inside, context).name());
            text.push(')');
        });
    }
    page.end_line();
}

fn push_value(text: &mut String, value: &NoteValue) {
    match value {
        NoteValue::Text(bytes) => {
            text.push('"');
            push_escaped(text, bytes);
            text.push('"');
        }
        NoteValue::Named(_, name) => push_escaped_text(text, name),
        NoteValue::Bytes(bytes) => {
            push_decimal(text, bytes.len() as u64);
            text.push_str(" bytes");
        }
        NoteValue::Stack(_) => {}
        NoteValue::Unread => text.push_str("(not readable)"),
        NoteValue::Signed(_) | NoteValue::Unsigned(_) | NoteValue::Hex(_) | NoteValue::Octal(_) => {
            push_note_value(text, value)
        }
    }
}
