// SPDX-License-Identifier: BSD-2-Clause
//! The call that a session is about: its name, arguments and result.

use super::phrases::{push_result_of, returned};
use crate::render::RenderContext;
use crate::render::arguments::{ShownArgument, telling_arguments};
use crate::render::escape::{push_escaped, push_escaped_text};
use crate::render::style::{Page, Style};
use crate::render::value::{errno_in_words, push_decimal, push_hex};
use crate::render::view::CallView;
use crate::session::Session;
use crate::syscalls::{Decoded, Value, decode};

/// Bytes of a buffer that are written if they are no text. JSON has all that were read.
const MAX_BINARY: usize = 8;

/// Writes `openat(AT_FDCWD, "/etc/shadow", O_RDONLY) = -EACCES (Permission denied)`. Writes nothing if
/// the arguments are not known.
pub(super) fn syscall(page: &mut Page, session: &Session, context: &RenderContext<'_>) {
    if session.syscall.is_some() || telling_arguments(session, context).is_some() {
        call(page, session, context);
        page.end_line();
    }
}

/// Adds the call and its result to the line; without arguments, the entry function and its result.
pub(super) fn call(page: &mut Page, session: &Session, context: &RenderContext<'_>) {
    if let Some(call) = &session.syscall {
        page.flow(Style::Strong, |text| {
            push_call(text, &decode(call), call.number)
        });
    } else if let Some(entry) = session.entry() {
        let entry = CallView::new(entry, context);
        let Some((arguments, has_more)) = telling_arguments(session, context) else {
            returned(page, &entry);
            return;
        };
        page.flow(Style::Strong, |text| {
            push_function(text, &entry, &arguments, has_more);
        });
    }
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

/// Appends `vfs_read(file=0xffff888003c45a00, buf=0x7ffe3f2b1c40, count=4096, pos=NULL)`.
fn push_function(
    text: &mut String,
    function: &CallView<'_>,
    arguments: &[ShownArgument<'_>],
    has_more: bool,
) {
    push_escaped_text(text, &function.name());
    text.push('(');
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        if !argument.name.is_empty() {
            push_escaped_text(text, argument.name);
            text.push('=');
        }
        push_value(text, &argument.value);
    }
    if has_more {
        text.push_str(if arguments.is_empty() { "..." } else { ", ..." });
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
        Value::Text(bytes) | Value::LongText(bytes) => {
            // Paths and texts have no NUL, but requests of programs do.
            let shown = match bytes.contains(&0) {
                true => &bytes[..bytes.len().min(MAX_BINARY)],
                false => bytes,
            };
            push_quoted(text, shown);
            if shown.len() < bytes.len() || matches!(value, Value::LongText(_)) {
                text.push_str("...");
            }
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

#[cfg(test)]
mod tests {
    use super::{Value, push_value};

    fn shown(value: &Value) -> String {
        let mut text = String::new();
        push_value(&mut text, value);
        text
    }

    #[test]
    fn of_what_is_no_text_the_beginning_is_shown() {
        assert_eq!(
            shown(&Value::Text(b"\x14\0\0\0\x12\0\x05\x06rest".to_vec())),
            r#""\x14\x00\x00\x00\x12\x00\x05\x06"..."#
        );
        assert_eq!(shown(&Value::Text(b"a\0".to_vec())), r#""a\x00""#);
        let text = "t".repeat(64);
        assert_eq!(
            shown(&Value::Text(text.clone().into_bytes())),
            format!("{text:?}")
        );
        assert_eq!(shown(&Value::LongText(b"begun".to_vec())), r#""begun"..."#);
    }

    #[test]
    fn arrays_tell_that_there_is_more() {
        let one = vec![Value::Text(b"ls".to_vec())];
        assert_eq!(shown(&Value::List(one.clone(), false)), r#"["ls"]"#);
        assert_eq!(shown(&Value::List(one, true)), r#"["ls", ...]"#);
        assert_eq!(shown(&Value::List(Vec::new(), true)), "[...]");
    }

    #[test]
    fn names_of_files_reach_no_terminal_as_they_are() {
        let file = Value::File(Box::new(Value::Signed(4)), b"/run/\x1b[31m>".to_vec());
        assert_eq!(shown(&file), r"4</run/\x1b[31m>>");
    }
}
