// SPDX-License-Identifier: BSD-2-Clause
//! The arguments of an entry function that is no system call, by the types of its parameters.

use super::RenderContext;
use super::view::CallView;
use crate::session::Session;
use crate::spec::{Parameter, ParameterKind};
use crate::syscalls::{AREA_BYTES, Area, Value};

/// An argument of a function.
pub(super) struct ShownArgument<'a> {
    /// The parameter's name; empty if it has none.
    pub(super) name: &'a str,
    /// What the function got.
    pub(super) value: Value,
    /// The word that it begins in.
    pub(super) raw: u64,
    /// Whether its type says no more than that it is an address, or a struct.
    is_address: bool,
}

/// Returns the arguments of the entry function, and whether there are more, which were not kept. `None`
/// if they are not known.
pub(super) fn arguments<'a>(
    session: &'a Session,
    context: &RenderContext<'a>,
) -> Option<(Vec<ShownArgument<'a>>, bool)> {
    let kept = session.arguments.as_ref()?;
    let function = CallView::new(session.entry()?, context).function?;
    let parameters = function.parameters.as_slice();
    if parameters.is_empty() {
        return None;
    }
    let mut texts = kept.texts.iter();
    let shown = parameters.iter().map_while(|parameter| {
        let word = *kept.words.get(usize::from(parameter.word))?;
        let raw = narrow(word, &parameter.kind);
        Some(ShownArgument {
            name: &parameter.name,
            value: value(parameter, raw, &mut texts),
            raw,
            is_address: matches!(
                parameter.kind,
                ParameterKind::Pointer | ParameterKind::Struct
            ),
        })
    });
    let shown: Vec<_> = shown.collect();
    let has_more = shown.len() < parameters.len();
    Some((shown, has_more))
}

/// The same, if they say more than where something is: for people to read.
pub(super) fn telling_arguments<'a>(
    session: &'a Session,
    context: &RenderContext<'a>,
) -> Option<(Vec<ShownArgument<'a>>, bool)> {
    arguments(session, context)
        .filter(|(shown, _)| shown.iter().any(|argument| !argument.is_address))
}

/// Returns the part of a word that belongs to the type. Trampolines of old kernels store no more, so
/// the rest is what was in their stack.
fn narrow(word: u64, kind: &ParameterKind) -> u64 {
    let size = match kind {
        ParameterKind::Signed(size) | ParameterKind::Unsigned(size) => *size,
        ParameterKind::Bool => 1,
        ParameterKind::Enum(_) => 4,
        ParameterKind::Text | ParameterKind::Pointer | ParameterKind::Struct => 8,
    };
    let unused = unused_bits(size);
    word << unused >> unused
}

fn unused_bits(size: u8) -> u32 {
    64 - 8 * u32::from(size).clamp(1, 8)
}

fn value<'a>(parameter: &Parameter, raw: u64, texts: &mut impl Iterator<Item = &'a Area>) -> Value {
    match &parameter.kind {
        ParameterKind::Signed(size) => {
            let unused = unused_bits(*size);
            Value::Signed((raw << unused) as i64 >> unused)
        }
        ParameterKind::Unsigned(_) => Value::Unsigned(raw),
        ParameterKind::Bool => Value::Plain(if raw == 0 { "false" } else { "true" }.to_owned()),
        ParameterKind::Enum(names) => {
            let number = i64::from(raw as i32);
            match names.iter().find(|(value, _)| *value == number) {
                Some((_, name)) => Value::Plain(name.clone()),
                None => Value::Signed(number),
            }
        }
        ParameterKind::Text => match texts.next() {
            _ if raw == 0 => Value::Null,
            Some(Area::Bytes(bytes)) => text(bytes),
            Some(Area::Unreadable) => Value::Unreadable(raw),
            Some(Area::None) | None => Value::Hex(raw),
        },
        ParameterKind::Pointer if raw == 0 => Value::Null,
        ParameterKind::Pointer => Value::Hex(raw),
        ParameterKind::Struct => Value::Plain("{...}".to_owned()),
    }
}

/// Returns a text that was read with its NUL. The NUL of one that fills the room was put there by the
/// read, and the text may go on.
fn text(bytes: &[u8]) -> Value {
    let is_full = bytes.len() >= AREA_BYTES;
    let text = bytes.strip_suffix(b"\0").unwrap_or(bytes).to_vec();
    match is_full {
        true => Value::LongText(text),
        false => Value::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: ParameterKind, raw: u64, texts: &[Area]) -> Value {
        let parameter = Parameter {
            name: "x".to_owned(),
            word: 0,
            kind,
        };
        let raw = narrow(raw, &parameter.kind);
        value(&parameter, raw, &mut texts.iter())
    }

    #[test]
    fn integers_have_the_width_of_their_types() {
        let raw = 0xffff_ffff_ffff_fffe;
        assert_eq!(shown(ParameterKind::Signed(4), raw, &[]), Value::Signed(-2));
        assert_eq!(
            shown(ParameterKind::Signed(4), 0xffff_ffff_0000_0005, &[]),
            Value::Signed(5)
        );
        assert_eq!(
            shown(ParameterKind::Unsigned(2), raw, &[]),
            Value::Unsigned(0xfffe)
        );
        assert_eq!(
            shown(ParameterKind::Unsigned(8), 7, &[]),
            Value::Unsigned(7)
        );
        // What a recording says is not trusted.
        assert_eq!(shown(ParameterKind::Signed(0), 1, &[]), Value::Signed(1));
        assert_eq!(
            shown(ParameterKind::Unsigned(255), 9, &[]),
            Value::Unsigned(9)
        );
    }

    #[test]
    fn enumerators_have_their_names() {
        let of = || ParameterKind::Enum(vec![(0, "NONE".to_owned()), (-1, "ALL".to_owned())]);
        assert_eq!(shown(of(), 0, &[]), Value::Plain("NONE".to_owned()));
        assert_eq!(
            shown(of(), 0xffff_ffff, &[]),
            Value::Plain("ALL".to_owned())
        );
        assert_eq!(shown(of(), 7, &[]), Value::Signed(7));
        let truth = |raw| shown(ParameterKind::Bool, raw, &[]);
        assert_eq!(truth(0x100), Value::Plain("false".to_owned()));
        assert_eq!(truth(1), Value::Plain("true".to_owned()));
    }

    #[test]
    fn texts_are_those_that_were_read() {
        let of = |raw, area: Area| shown(ParameterKind::Text, raw, &[area]);
        let read = |bytes: &[u8]| Area::Bytes(bytes.to_vec());
        assert_eq!(of(1, read(b"tmpfs\0")), Value::Text(b"tmpfs".to_vec()));
        assert_eq!(
            of(1, read(&[b'a'; AREA_BYTES])),
            Value::LongText(vec![b'a'; AREA_BYTES])
        );
        assert_eq!(of(0, Area::None), Value::Null);
        assert_eq!(of(16, Area::Unreadable), Value::Unreadable(16));
        // More texts than are read.
        assert_eq!(shown(ParameterKind::Text, 16, &[]), Value::Hex(16));
    }
}
