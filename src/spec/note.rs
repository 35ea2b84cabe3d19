// SPDX-License-Identifier: BSD-2-Clause
//! Notes: what happens in a session and is no call of a traced function. Their sources say what
//! their bytes mean.

use serde::{Deserialize, Serialize};

use super::ids::Addr;

/// A source of notes. Its number in the run is its index in the list of all sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteSource {
    /// `sched:sched_switch` of a tracepoint; the name of a function.
    pub name: String,
    /// What is noted.
    pub kind: NoteKind,
    /// The values of a note, in the order in which they are shown.
    pub fields: Vec<NoteField>,
}

/// What a source notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NoteKind {
    /// An event of a tracepoint, with its fields.
    Tracepoint,
    /// A raw tracepoint, with its arguments.
    RawTracepoint,
    /// A USDT probe, with its arguments.
    Usdt,
    /// A function that refused a permission, with facts about the decision.
    Refusal,
    /// A place where the kernel says something in words.
    Message,
}

impl NoteKind {
    /// Returns whether it is noted because the user asked for it.
    #[must_use]
    pub fn is_asked_for(self) -> bool {
        match self {
            Self::Tracepoint | Self::RawTracepoint | Self::Usdt => true,
            Self::Refusal | Self::Message => false,
        }
    }
}

/// A value of a note.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteField {
    /// Name of the value.
    pub name: String,
    /// Where it begins in the note, in bytes.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// How its bytes are read.
    pub format: FieldFormat,
}

/// How the bytes of a value are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FieldFormat {
    /// A signed integer of 1, 2, 4 or 8 bytes.
    Signed,
    /// An unsigned integer of 1, 2, 4 or 8 bytes.
    Unsigned,
    /// The same, shown in hexadecimal: a pointer, or flags.
    Hex,
    /// An unsigned integer, shown in octal: the mode of a file.
    Octal,
    /// An integer with names for some of its values.
    Named(Vec<(i64, String)>),
    /// Text up to the first NUL, or to the end.
    Text,
    /// Text elsewhere in the note: the lower half of this 32-bit number is where it begins, the
    /// upper half is its size (`__data_loc` in formats of tracepoints).
    LocatedText,
    /// The same, counted from the end of the number (`__rel_loc`).
    RelativeText,
    /// Bytes without a known meaning.
    Bytes,
    /// Addresses of a kernel stack, innermost first; 0 ends them.
    Stack,
}

/// A decoded value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteValue {
    /// An integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// An unsigned integer for hexadecimal.
    Hex(u64),
    /// An unsigned integer for octal.
    Octal(u64),
    /// An integer with a name.
    Named(i64, String),
    /// Text, as raw bytes that the traced program may have chosen. Escape it before output.
    Text(Vec<u8>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Return addresses of a kernel stack, innermost first.
    Stack(Vec<Addr>),
    /// It could not be read.
    Unread,
}

impl NoteValue {
    /// Returns the value as a number; `None` if it is none.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Signed(number) | Self::Named(number, _) => Some(*number as u64),
            Self::Unsigned(number) | Self::Hex(number) | Self::Octal(number) => Some(*number),
            Self::Text(_) | Self::Bytes(_) | Self::Stack(_) | Self::Unread => None,
        }
    }

    /// Returns the text, as raw as it is; `None` if it is none, or empty.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_slice()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }
}

impl NoteSource {
    /// Decodes the data of a note. `unread` has a bit for each value that could not be read. A value
    /// beyond the end of the data was not sent, and counts as not read.
    #[must_use]
    pub fn decode(&self, data: &[u8], unread: u32) -> Vec<NoteValue> {
        let is_unread = |index: usize| index < 32 && unread >> index & 1 == 1;
        let value = |(index, field): (usize, &NoteField)| {
            Some(field)
                .filter(|_| !is_unread(index))
                .and_then(|field| field.decode(data))
                .unwrap_or(NoteValue::Unread)
        };
        self.fields.iter().enumerate().map(value).collect()
    }
}

impl NoteField {
    /// Returns whether the field only says where its text is in the note.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        matches!(
            self.format,
            FieldFormat::LocatedText | FieldFormat::RelativeText
        )
    }

    fn decode(&self, data: &[u8]) -> Option<NoteValue> {
        let start = self.offset as usize;
        let bytes = data.get(start..start.checked_add(self.size as usize)?);
        Some(match &self.format {
            FieldFormat::Signed => NoteValue::Signed(signed(bytes?)?),
            FieldFormat::Unsigned => NoteValue::Unsigned(unsigned(bytes?)?),
            FieldFormat::Hex => NoteValue::Hex(unsigned(bytes?)?),
            FieldFormat::Octal => NoteValue::Octal(unsigned(bytes?)?),
            FieldFormat::Named(names) => {
                let number = signed(bytes?)?;
                match names.iter().find(|(known, _)| *known == number) {
                    Some((_, name)) => NoteValue::Named(number, name.clone()),
                    None => NoteValue::Signed(number),
                }
            }
            // A text that is cut at the end of the note is better than none.
            FieldFormat::Text => NoteValue::Text(text(data.get(start..)?, self.size as usize)),
            FieldFormat::LocatedText => {
                let (at, size) = located(bytes?)?;
                NoteValue::Text(text(data.get(at..)?, size))
            }
            FieldFormat::RelativeText => {
                let (at, size) = located(bytes?)?;
                NoteValue::Text(text(data.get(start.checked_add(4 + at)?..)?, size))
            }
            FieldFormat::Bytes => NoteValue::Bytes(bytes?.to_vec()),
            FieldFormat::Stack => NoteValue::Stack(addrs(bytes?)),
        })
    }
}

fn unsigned(bytes: &[u8]) -> Option<u64> {
    let mut word = [0; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(word))
}

fn signed(bytes: &[u8]) -> Option<i64> {
    let unused = 64_u32.checked_sub(8 * bytes.len() as u32)?;
    let value = unsigned(bytes)? as i64;
    Some(value.checked_shl(unused).map_or(0, |value| value >> unused))
}

fn addrs(bytes: &[u8]) -> Vec<Addr> {
    let (words, _) = bytes.as_chunks();
    let addrs = words.iter().map(|word| u64::from_le_bytes(*word));
    addrs.take_while(|addr| *addr != 0).map(Addr).collect()
}

fn located(bytes: &[u8]) -> Option<(usize, usize)> {
    let place = unsigned(bytes)?;
    Some((place as usize & 0xffff, place as usize >> 16 & 0xffff))
}

fn text(bytes: &[u8], size: usize) -> Vec<u8> {
    let bytes = &bytes[..size.min(bytes.len())];
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    bytes[..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::{FieldFormat, NoteField, NoteKind, NoteSource, NoteValue};

    fn source(fields: &[(u32, u32, FieldFormat)]) -> NoteSource {
        let field = |(offset, size, format): &(u32, u32, FieldFormat)| NoteField {
            name: "f".to_owned(),
            offset: *offset,
            size: *size,
            format: format.clone(),
        };
        NoteSource {
            name: "a:b".to_owned(),
            kind: NoteKind::Tracepoint,
            fields: fields.iter().map(field).collect(),
        }
    }

    #[test]
    fn values_have_the_width_and_the_sign_of_their_fields() {
        let data = [0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 1, 0, 0o244, 1];
        let names = vec![(-1, "NONE".to_owned())];
        let source = source(&[
            (0, 1, FieldFormat::Signed),
            (0, 1, FieldFormat::Unsigned),
            (2, 4, FieldFormat::Signed),
            (2, 4, FieldFormat::Hex),
            (8, 2, FieldFormat::Octal),
            (0, 2, FieldFormat::Named(names)),
            (6, 2, FieldFormat::Bytes),
        ]);
        assert_eq!(
            source.decode(&data, 0),
            [
                NoteValue::Signed(-1),
                NoteValue::Unsigned(255),
                NoteValue::Signed(-2),
                NoteValue::Hex(0xffff_fffe),
                NoteValue::Octal(0o644),
                NoteValue::Named(-1, "NONE".to_owned()),
                NoteValue::Bytes(vec![1, 0]),
            ]
        );
    }

    #[test]
    fn texts_end_at_a_nul_or_at_the_end_of_the_note() {
        // At 0 a __data_loc of 4 bytes at 8, at 4 a __rel_loc of the same.
        let data = b"\x08\x00\x04\x00\x00\x00\x04\x00abc\0tail";
        let source = source(&[
            (0, 4, FieldFormat::LocatedText),
            (4, 4, FieldFormat::RelativeText),
            (12, 16, FieldFormat::Text),
        ]);
        let texts = source.decode(data, 0);
        assert_eq!(texts[0].text(), Some(&b"abc"[..]));
        assert_eq!(texts[1].text(), Some(&b"abc"[..]));
        assert_eq!(texts[2].text(), Some(&b"tail"[..]));
    }

    #[test]
    fn what_was_not_read_or_not_sent_is_said() {
        let source = source(&[
            (0, 4, FieldFormat::Unsigned),
            (4, 8, FieldFormat::Unsigned),
            (0, 4, FieldFormat::LocatedText),
            (0, 9, FieldFormat::Signed),
        ]);
        let data = [0xff; 9];
        let values = source.decode(&data, 1);
        assert_eq!(values, vec![NoteValue::Unread; 4]);
        assert_eq!(source.decode(&[], 0), vec![NoteValue::Unread; 4]);
    }
}
