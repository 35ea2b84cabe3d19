// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel said, and when; what was lost of it.

use super::{assemble, explained, parse};
use crate::events::{Event, NoteRecord, SessionRecord};
use crate::session::{Assembler, MonotonicNs, Note, Session, Speaker, messages};
use crate::spec::{NoteKind, NoteSource, NoteValue, Outcome};

/// By number: the log, two sources of netlink, the log of a mount, that of the verifier, and an event
/// that the user asked for.
const SOURCES: [(&str, NoteKind); 6] = [
    ("printk:console", NoteKind::Message),
    ("netlink:netlink_extack", NoteKind::Message),
    ("netlink_ack", NoteKind::Message),
    ("logfc", NoteKind::Message),
    ("bpf_verifier_vlog", NoteKind::Message),
    ("printk:console", NoteKind::Tracepoint),
];
const LOG: usize = 0;
const NETLINK: usize = 1;
const ANSWER: usize = 2;
const FS: usize = 3;
const BPF: usize = 4;
const ASKED_FOR: usize = 5;

/// A failure of 1000 ns whose culprit ran from 100 to 300 ns. `said` has source, time and text.
fn said(said: &[(usize, u64, &[u8])]) -> (Session, Vec<NoteSource>) {
    let (functions, mut calls) = parse(
        "
        sys_test = -22
          do_it = -22
          clean_up = 0
        ",
    );
    for (call, (started, duration)) in calls.iter_mut().zip([(0, 1000), (100, 200), (500, 100)]) {
        (call.started_ns, call.duration_ns) = (started, duration);
    }
    let mut session = assemble(&functions, calls, &[]);
    let note = |(source, at, text): &(usize, u64, &[u8])| Note {
        source: *source,
        at: MonotonicNs(*at),
        inside: None,
        n_started: match at {
            0..100 => 1,
            100..500 => 2,
            _ => 3,
        },
        values: vec![NoteValue::Unread, NoteValue::Text(text.to_vec())],
    };
    session.notes = said.iter().map(note).collect();
    let source = |(name, kind): (&str, NoteKind)| NoteSource {
        name: name.to_owned(),
        kind,
        fields: Vec::new(),
    };
    (session, SOURCES.map(source).to_vec())
}

/// The texts, and whether they were said while the culprit decided.
fn heard(all: &[(usize, u64, &[u8])]) -> Vec<(String, bool)> {
    let (session, sources) = said(all);
    let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let all = messages(&session, &sources);
    all.iter()
        .map(|message| (text(&message.text), message.certain))
        .collect()
}

#[test]
fn a_message_is_of_the_culprit_if_it_was_said_between_its_start_and_its_end() {
    let found = heard(&[
        (LOG, 50, b"before\n"),
        (LOG, 100, b"<3>at its start"),
        (NETLINK, 250, b"while it ran"),
        (LOG, 300, b"at its end"),
        (LOG, 550, b"in another call"),
    ]);
    let expected = [
        ("before", false),
        ("at its start", true),
        ("while it ran", true),
        ("at its end", false),
        ("in another call", false),
    ];
    assert_eq!(found, expected.map(|(text, is)| (text.to_owned(), is)));
}

#[test]
fn in_a_success_nobody_decided() {
    let (mut session, sources) = said(&[(LOG, 150, b"hello")]);
    for call in &mut session.chain.calls {
        call.outcome = Outcome::Success;
    }
    assert!(!messages(&session, &sources)[0].certain);
}

#[test]
fn the_only_answer_to_a_request_is_of_the_culprit() {
    let answer: (usize, u64, &[u8]) = (ANSWER, 700, b"Invalid prefix");
    assert_eq!(heard(&[answer]), [("Invalid prefix".to_owned(), true)]);
    let two = heard(&[answer, (ANSWER, 800, b"No such route")]);
    assert!(two.iter().all(|(_, certain)| !certain));
}

#[test]
fn what_the_log_puts_before_a_text_is_removed() {
    for (raw, text) in [
        (&b"<3>tmpfs: no\n"[..], "tmpfs: no"),
        (b"\x013tmpfs: no", "tmpfs: no"),
        (b"[    5.123456] tmpfs: no\n", "tmpfs: no"),
        (b"<6>[    5.123456][  T123] tmpfs: no", "tmpfs: no"),
        (b"[drm] no", "[drm] no"),
        (b"[12:34] no", "[12:34] no"),
        (b"<b> [", "<b> ["),
    ] {
        assert_eq!(heard(&[(LOG, 150, raw)]), [(text.to_owned(), true)]);
    }
    let lines = heard(&[(LOG, 150, b"[    5.1] one\n[    5.2] two\n\n")]);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1].0, "two");
}

#[test]
fn the_log_of_a_mount_is_told_without_its_level_and_nothing_else_is_taken_for_it() {
    let found = heard(&[
        (FS, 150, b"e tmpfs: Bad value for 'mode'\n"),
        (FS, 160, b"\x80\x12freed"),
        (FS, 170, b""),
    ]);
    assert_eq!(found, [("tmpfs: Bad value for 'mode'".to_owned(), true)]);
}

#[test]
fn of_the_log_of_the_verifier_the_last_line_is_the_reason() {
    let pieces: [(usize, u64, &[u8]); 5] = [
        (BPF, 110, b"0: (95) "),
        (BPF, 120, b"exit\n"),
        (BPF, 130, b"R0 !read"),
        (BPF, 140, b"_ok\nprocessed 1 insns (limit 1000000)\n"),
        (BPF, 150, b"stack depth 0"),
    ];
    assert_eq!(heard(&pieces), [("R0 !read_ok".to_owned(), true)]);
    assert_eq!(heard(&pieces[..3])[0].0, "R0 !read");
}

#[test]
fn an_explanation_of_the_verifier_is_told_after_its_reason() {
    let text = b"R0 !read_ok\n\nVerification failed: Unreadable register\n\nReason:\n  \
        R0 was never written.\n\nAt:\n  insn 0\n\nSuggestion:\n  Write R0.\n\nprocessed 1 insns\n";
    let texts = |text: &[u8]| -> Vec<String> {
        let found = heard(&[(BPF, 150, text)]);
        found.into_iter().map(|(text, _)| text).collect()
    };
    assert_eq!(texts(text), ["R0 !read_ok", "R0 was never written."]);
    // What was before it is lost.
    let rest = &text[13..];
    let title = "Verification failed: Unreadable register";
    assert_eq!(texts(rest), [title, "R0 was never written."]);
    assert_eq!(texts(b"Reason:\n"), ["Reason:"]);
}

#[test]
fn equal_messages_are_told_once_and_no_more_than_sixteen() {
    let found = heard(&[(LOG, 50, b"again"), (LOG, 150, b"again\n")]);
    assert_eq!(found, [("again".to_owned(), true)]);
    let texts: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let many: Vec<_> = texts
        .iter()
        .map(|text| (LOG, 150, text.as_bytes()))
        .collect();
    let found = heard(&many);
    assert_eq!((found.len(), &*found[0].0), (16, "24"));
}

#[test]
fn a_long_or_hostile_text_is_cut_and_kept_raw() {
    let long = [b'x'; 1000];
    let (session, sources) = said(&[(LOG, 150, &long), (LOG, 160, b"\x1b[2J\xff")]);
    let found = messages(&session, &sources);
    assert_eq!(found[0].text.len(), 256);
    assert_eq!(found[1].text, b"\x1b[2J\xff");
    assert_eq!(found[1].speaker, Speaker::Log);
}

#[test]
fn an_event_that_was_asked_for_is_no_message() {
    assert!(heard(&[(ASKED_FOR, 150, b"text"), (99, 150, b"text")]).is_empty());
}

#[test]
fn notes_that_were_overwritten_or_lost_are_counted() {
    let (functions, calls) = parse("sys_test = -22");
    let sources = [NoteSource {
        name: "a:b".to_owned(),
        kind: NoteKind::Tracepoint,
        fields: Vec::new(),
    }];
    let missing = |numbers: &[u32], n_notes| {
        let mut assembler = Assembler::new(&functions);
        assembler.set_sources(&sources);
        for number in numbers {
            let note = NoteRecord {
                number: *number,
                ..NoteRecord::default()
            };
            assembler.feed(Event::Note(note)).unwrap();
        }
        let record = SessionRecord {
            n_notes,
            calls: calls.clone(),
            ..SessionRecord::default()
        };
        let finished = assembler.feed(Event::Session(Box::new(record)));
        let session = explained(finished.unwrap().unwrap(), &functions);
        (session.notes.len(), session.chain.losses.missing_notes)
    };
    assert_eq!(missing(&[1, 0], 2), (2, 0));
    // Sixteen are kept, and two of them were lost: one in between, and the last one.
    let received: Vec<u32> = (4..19).filter(|number| *number != 7).collect();
    assert_eq!(missing(&received, 20), (14, 6));
    // All were lost; a damaged count is no reason to panic.
    assert_eq!(missing(&[], 3), (0, 3));
    assert_eq!(missing(&[0], 0), (1, 0));
}
