// SPDX-License-Identifier: BSD-2-Clause
//! Compares what is written, byte by byte.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::{Diag, Screen, escape};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(screen: Screen, coloured: bool, verbosity: u8, say: impl Fn(&Diag)) -> String {
    let out = Shared::default();
    say(&Diag::new(
        Box::new(out.clone()),
        screen,
        coloured,
        verbosity,
    ));
    String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn messages_carry_the_programs_name_and_their_kind() {
    let text = written(Screen::Stream, false, 0, |diag| {
        diag.error("no use case `x`");
        diag.hint("see `-c help`");
        diag.warning("w");
        diag.note("n");
    });
    assert_eq!(
        text,
        "retsnoop-rs: error: no use case `x`\nhint: see `-c help`\nretsnoop-rs: warning: w\n\
         retsnoop-rs: note: n\n"
    );
}

#[test]
fn information_waits_for_its_verbosity() {
    let say = |diag: &Diag| {
        diag.info(0, "always");
        diag.info(1, "-v");
        diag.info(2, "-vv");
    };
    assert_eq!(written(Screen::Stream, false, 0, say), "always\n");
    assert_eq!(written(Screen::Stream, false, 1, say), "always\n-v\n");
}

#[test]
fn progress_is_for_terminals_and_gives_way_to_messages() {
    let say = |diag: &Diag| {
        diag.progress("attaching 1 of 9");
        diag.info(0, "done");
    };
    assert_eq!(written(Screen::Stream, false, 0, say), "done\n");
    assert_eq!(
        written(Screen::Terminal, false, 0, say),
        "\r\x1b[Kattaching 1 of 9\r\x1b[Kdone\n"
    );
}

#[test]
fn labels_are_coloured_and_texts_from_outside_are_not() {
    let text = written(Screen::Terminal, true, 0, |diag| {
        diag.warning("comm \x1b[31mevil\x07")
    });
    assert_eq!(
        text,
        "retsnoop-rs: \x1b[1;33mwarning:\x1b[0m comm \\x1b[31mevil\\x07\n"
    );
}

#[test]
fn a_file_that_is_called_like_a_message_makes_no_message() {
    let text = written(Screen::Stream, false, 0, |diag| {
        diag.error("failed to read `/tmp/x\nretsnoop-rs: error: forged`");
        diag.hint("a\nb");
    });
    assert_eq!(
        text,
        "retsnoop-rs: error: failed to read `/tmp/x\\nretsnoop-rs: error: forged`\nhint: a\\nb\n"
    );
}

#[test]
fn control_characters_are_made_visible() {
    assert_eq!(escape("plain\tä\n"), "plain\\tä\\n");
    assert_eq!(escape("\r\u{9b}\u{202e}"), "\\x0d\\u{9b}\\u{202e}");
}
