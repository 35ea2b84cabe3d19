// SPDX-License-Identifier: BSD-2-Clause
//! The system call that a session is about: its name, arguments and result.

use super::phrases::{push_result_of, returned};
use crate::render::RenderContext;
use crate::render::escape::{push_escaped, push_escaped_text};
use crate::render::style::{Page, Style};
use crate::render::value::{errno_in_words, push_decimal, push_hex};
use crate::render::view::CallView;
use crate::session::Session;
use crate::syscalls::{Decoded, Value, decode};

/// Writes `openat(AT_FDCWD, "/etc/shadow", O_RDONLY) = -EACCES (Permission denied)`. Writes nothing if
/// the arguments are not known.
pub(super) fn syscall(page: &mut Page, session: &Session, context: &RenderContext<'_>) {
    if session.syscall.is_some() {
        call(page, session, context);
        page.end_line();
    }
}

/// Adds the call and its result to the line; without arguments, the entry function and its result.
pub(super) fn call(page: &mut Page, session: &Session, context: &RenderContext<'_>) {
    let Some(call) = &session.syscall else {
        if let Some(entry) = session.entry() {
            returned(page, &CallView::new(entry, context));
        }
        return;
    };
    page.flow(Style::Strong, |text| {
        push_call(text, &decode(call), call.number)
    });
    let Some(entry) = session.entry().filter(|entry| entry.returned) else {
        return;
    };
    page.flow(Style::Plain, |text| {
        text.push_str(" = ");
        push_result_of(text, &CallView::new(entry, context));
    });
    if let Some((_, meaning)) = errno_in_words(entry.outcome) {
        page.flow(Style::Plain, |text| text.extend([" (", meaning, ")"]));
    }
}

fn push_call(text: &mut String, call: &Decoded, number: u32) {
    match call.name {
        Some(name) => text.push_str(name),
        None => {
            text.push_str("system_call_");
            push_decimal(text, number.into());
        }
    }
    text.push('(');
    for (index, argument) in call.arguments.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        push_value(text, &argument.value);
    }
    text.push(')');
}

fn push_value(text: &mut String, value: &Value) {
    match value {
        Value::Signed(number) => {
            if *number < 0 {
                text.push('-');
            }
            push_decimal(text, number.unsigned_abs());
        }
        Value::Unsigned(number) => push_decimal(text, *number),
        Value::Hex(0) => text.push('0'),
        Value::Hex(number) => push_hex(text, *number),
        Value::Octal(number) => push_octal(text, *number),
        Value::Null => text.push_str("NULL"),
        Value::Named(name, _) | Value::Plain(name) => push_escaped_text(text, name),
        Value::Text(bytes) => push_quoted(text, bytes),
        Value::LongText(bytes) => {
            push_quoted(text, bytes);
            text.push_str("...");
        }
        Value::Struct(members) => {
            text.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                text.extend([name, "="]);
                push_value(text, value);
            }
            text.push('}');
        }
        Value::List(elements, has_more) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                push_value(text, element);
            }
            if *has_more {
                text.push_str(if elements.is_empty() { "..." } else { ", ..." });
            }
            text.push(']');
        }
        Value::File(descriptor, file) => {
            push_value(text, descriptor);
            text.push('<');
            push_escaped(text, file);
            text.push('>');
        }
        Value::Unreadable(address) => {
            push_hex(text, *address);
            text.push_str(" (not readable)");
        }
    }
}

fn push_quoted(text: &mut String, bytes: &[u8]) {
    text.push('"');
    for (index, part) in bytes.split(|byte| *byte == b'"').enumerate() {
        if index > 0 {
            text.push_str("\\\"");
        }
        push_escaped(text, part);
    }
    text.push('"');
}

/// Appends `0644`.
fn push_octal(text: &mut String, number: u64) {
    text.push('0');
    if number > 0 {
        text.push_str(&format!("{number:o}"));
    }
}
