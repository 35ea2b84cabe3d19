// SPDX-License-Identifier: BSD-2-Clause
//! The notes of a session in the JSON output.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::render::RenderContext;
use crate::render::value::push_note_value;
use crate::session::{Note, Session};
use crate::spec::{NoteKind, NoteValue};

/// What happened in a session and is no call of a traced function.
#[derive(Debug, Serialize)]
pub(super) struct NoteObject {
    /// `sched:sched_switch`, or the name of a function.
    source: String,
    /// `tracepoint`, `raw_tracepoint`, `usdt`, `refusal`, or `message`.
    kind: &'static str,
    at_ns: u64,
    /// The innermost traced function that was running.
    inside: Option<String>,
    /// How many of the recorded calls had started.
    after_calls: usize,
    /// The values by name: numbers, texts, or `null` for what could not be read. Pointers are texts
    /// in hexadecimal, and so are bytes. Numbers beyond 2^53 are texts.
    values: Map<String, Value>,
}

/// The largest number that JSON numbers represent exactly in all programs. Larger ones are texts.
const EXACT: u64 = 1 << 53;

/// Returns the notes of a session, in order.
pub(super) fn notes(session: &Session, context: &RenderContext<'_>) -> Vec<NoteObject> {
    let object = |note: &Note| {
        let source = context.sources.get(note.source)?;
        let named = source.fields.iter().zip(&note.values);
        let function = |call: usize| {
            let call = session.chain.calls.get(call)?;
            Some(context.functions.get(call.func.index())?.name.clone())
        };
        Some(NoteObject {
            source: source.name.clone(),
            kind: kind(source.kind),
            at_ns: note.at.0,
            inside: note.inside.and_then(function),
            after_calls: note.n_started,
            values: named
                .filter(|(_, value)| !matches!(value, NoteValue::Stack(_)))
                .map(|(field, value)| (field.name.clone(), json(value)))
                .collect(),
        })
    };
    session.notes.iter().filter_map(object).collect()
}

fn kind(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Tracepoint => "tracepoint",
        NoteKind::RawTracepoint => "raw_tracepoint",
        NoteKind::Usdt => "usdt",
        NoteKind::Refusal => "refusal",
        NoteKind::Message => "message",
    }
}

/// Returns a number, or its text if a JSON number would lose bits.
pub(super) fn number(number: u64) -> Value {
    if number <= EXACT {
        number.into()
    } else {
        number.to_string().into()
    }
}

fn json(value: &NoteValue) -> Value {
    match value {
        NoteValue::Signed(number) if number.unsigned_abs() <= EXACT => (*number).into(),
        NoteValue::Unsigned(number) => self::number(*number),
        NoteValue::Named(_, name) => name.as_str().into(),
        NoteValue::Text(text) => String::from_utf8_lossy(text).into(),
        NoteValue::Signed(_) | NoteValue::Hex(_) | NoteValue::Octal(_) | NoteValue::Bytes(_) => {
            let mut text = String::new();
            push_note_value(&mut text, value);
            text.into()
        }
        NoteValue::Stack(_) | NoteValue::Unread => Value::Null,
    }
}
