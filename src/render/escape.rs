// SPDX-License-Identifier: BSD-2-Clause
//! Makes text from others (task names, paths, symbols) safe for a terminal.

use std::fmt::Write;

/// Escapes control characters, invalid UTF-8, and characters that reorder or hide text, as `\x1b`
/// or `\u{202e}`. A backslash is doubled, so that no other text looks like an escape.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    push_escaped(&mut shown, bytes);
    shown
}

/// Appends the result of [`escape`].
pub(super) fn push_escaped(shown: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        push_escaped_text(shown, chunk.valid());
        for byte in chunk.invalid() {
            hex(shown, *byte);
        }
    }
}

/// As [`push_escaped`], for valid UTF-8.
pub(super) fn push_escaped_text(shown: &mut String, text: &str) {
    // Nearly all text is plain. Checking all bytes first takes a fraction of the time of handling
    // each character. The loop does not stop early, so that the compiler can vectorize it.
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        shown.push_str(text);
    } else {
        text.chars().for_each(|character| push(shown, character));
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') & (byte != b'\\')
}

fn push(shown: &mut String, character: char) {
    match character {
        '\\' => shown.push_str("\\\\"),
        ' '..='~' => shown.push(character),
        '\0'..='\u{ff}' if character.is_control() => hex(shown, character as u8),
        // Zero-width characters, direction marks, line separators, byte order mark, tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{ffff}'
        | '\u{e0000}'..='\u{e0fff}' => {
            let _ = write!(shown, "\\u{{{:x}}}", character as u32);
        }
        _ => shown.push(character),
    }
}

fn hex(shown: &mut String, byte: u8) {
    // Writing to a `String` cannot fail.
    let _ = write!(shown, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::{escape, push_escaped_text};

    #[test]
    fn each_character_is_judged_the_same_alone_and_among_plain_ones() {
        for character in (0..=0x1_1000)
            .chain(0xe_0000..=0xe_1000)
            .filter_map(char::from_u32)
        {
            let alone = escape(character.to_string().as_bytes());
            let text = format!("a long text of plain characters{character}b");
            let mut shown = String::new();
            push_escaped_text(&mut shown, &text);
            assert_eq!(shown, format!("a long text of plain characters{alone}b"));
            assert_eq!(escape(text.as_bytes()), shown);
            let is_plain = matches!(character, ' '..='~') && character != '\\';
            assert!(is_plain == (alone.len() == 1), "{character:?}: {alone}");
            assert!(!alone.contains(char::is_control));
        }
    }

    #[test]
    fn nothing_that_a_program_calls_itself_reaches_the_terminal_raw() {
        assert_eq!(escape(b"bash"), "bash");
        assert_eq!(escape(b"\x1b[2J\x07"), "\\x1b[2J\\x07");
        assert_eq!(escape(b"a\xffb\n\xc2\x9b"), "a\\xffb\\x0a\\x9b");
        assert_eq!(escape("Web Content é ✓".as_bytes()), "Web Content é ✓");
        assert_eq!(
            escape("ab\u{202e}cd\u{200b}".as_bytes()),
            "ab\\u{202e}cd\\u{200b}"
        );
        assert_eq!(escape(br"\x1b"), r"\\x1b");
    }
}
