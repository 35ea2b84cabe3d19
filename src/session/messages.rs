// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel said in words during a session, and whether it was said while the culprit
//! decided.

use std::mem;
use std::ops::Range;

use super::types::{Call, MonotonicNs, Note, Session};
use crate::knowledge::messages::{BPF_LOG, FS_LOG, NETLINK_ANSWER};
use crate::spec::{NoteKind, NoteSource};

/// The most bytes of a message.
const MAX_TEXT: usize = 256;

/// The most messages of a session.
const MAX_MESSAGES: usize = 16;

/// Where the kernel says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speaker {
    /// Its log (`dmesg`).
    Log,
    /// The answer to a netlink request.
    Netlink,
    /// The log of a mount, or of another change of a file system (`fsopen`).
    FileSystem,
    /// The log of the verifier for BPF programs.
    Bpf,
}

/// A message of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line, at most 256 bytes, without its end and without level and time. The traced program
    /// may have chosen parts of it: escape it before output.
    pub text: Vec<u8>,
    /// Where it was said.
    pub speaker: Speaker,
    /// When it was said.
    pub at: MonotonicNs,
    /// Whether it was said while the culprit decided. Otherwise it was said in the same session.
    pub certain: bool,
}

impl Speaker {
    /// A short name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "printk",
            Self::Netlink => "netlink",
            Self::FileSystem => "fs_context",
            Self::Bpf => "bpf",
        }
    }

    fn of(source: &NoteSource) -> Option<Self> {
        let is_message = source.kind == NoteKind::Message;
        match source.name.as_str() {
            _ if !is_message => None,
            "printk:console" => Some(Self::Log),
            "netlink:netlink_extack" | NETLINK_ANSWER => Some(Self::Netlink),
            FS_LOG => Some(Self::FileSystem),
            BPF_LOG => Some(Self::Bpf),
            _ => None,
        }
    }
}

/// Returns the last 16 messages of a session in order, equal ones once.
#[must_use]
pub fn messages(session: &Session, sources: &[NoteSource]) -> Vec<Message> {
    let culprit = culprit(session);
    let answers = session.notes.iter().filter(|note| is_answer(note, sources));
    let has_one_answer = answers.count() == 1;
    let mut all: Vec<Message> = Vec::new();
    let mut verifier = VerifierLog::default();
    for note in &session.notes {
        let source = sources.get(note.source);
        let Some((source, speaker)) = source.and_then(|it| Some((it, Speaker::of(it)?))) else {
            continue;
        };
        let Some(text) = note.values.iter().find_map(|value| value.text()) else {
            continue;
        };
        let is_of_culprit = culprit
            .as_ref()
            .is_some_and(|culprit| culprit.contains(note));
        // The answer is sent when the handler has returned, with what was said in it.
        let is_answer = culprit.is_some() && has_one_answer && source.name == NETLINK_ANSWER;
        let certain = is_of_culprit || is_answer;
        let mut add = |line: &[u8]| {
            if !line.is_empty() {
                all.push(Message {
                    text: line[..line.len().min(MAX_TEXT)].to_vec(),
                    speaker,
                    at: note.at,
                    certain,
                });
            }
        };
        match speaker {
            Speaker::Log => lines(text).for_each(|line| add(without_prefix(line))),
            Speaker::Netlink => lines(text).for_each(add),
            Speaker::FileSystem => lines(of_fs_log(text)).for_each(add),
            Speaker::Bpf => verifier.push(text, note.at, certain),
        }
    }
    all.extend(verifier.reasons());
    all.sort_by_key(|message| message.at);
    fold(all)
}

/// A call that decided: its index, and its time if that is known.
struct Culprit<'s> {
    index: usize,
    call: &'s Call,
}

impl Culprit<'_> {
    fn contains(&self, note: &Note) -> bool {
        let started = self.call.started.0;
        let time: Range<u64> = started..started.saturating_add(self.call.duration_ns).max(1);
        // The duration of calls that are repeated is that of the last one.
        let is_in_time = self.call.repeats > 1 || time.contains(&note.at.0);
        note.n_started > self.index && is_in_time
    }
}

fn culprit(session: &Session) -> Option<Culprit<'_>> {
    let calls = &session.chain.calls;
    let mut links = session.chain.links.iter().rev();
    links.find_map(|link| {
        let call = calls.get(link.call)?;
        let has_failed = call.returned && call.outcome.is_failure();
        has_failed.then_some(Culprit {
            index: link.call,
            call,
        })
    })
}

fn is_answer(note: &Note, sources: &[NoteSource]) -> bool {
    let source = sources.get(note.source);
    source.is_some_and(|source| source.kind == NoteKind::Message && source.name == NETLINK_ANSWER)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)
}

/// Removes what the kernel's log puts before a text: `<3>`, and on old kernels `[   12.345678]` and
/// `[ T123]`.
fn without_prefix(line: &[u8]) -> &[u8] {
    let mut rest = line;
    // The level as the code has it: the byte 1, and a digit or `c`.
    if let [1, _, after @ ..] = rest {
        rest = after;
    }
    rest = without(rest, b'<', b'>', |byte| byte.is_ascii_digit());
    let is_time = |byte: u8| matches!(byte, b' ' | b'.') || byte.is_ascii_digit();
    let without_time = without(rest, b'[', b']', is_time);
    if without_time.len() < rest.len() {
        let is_caller = |byte: u8| matches!(byte, b' ' | b'T' | b'C') || byte.is_ascii_digit();
        rest = without(without_time, b'[', b']', is_caller);
    }
    rest.trim_ascii_start()
}

/// Removes a part between brackets if all bytes of it are as they should be.
fn without(text: &[u8], open: u8, close: u8, is_part: impl Fn(u8) -> bool) -> &[u8] {
    let Some((first, inner)) = text.split_first() else {
        return text;
    };
    let end = inner.iter().position(|byte| *byte == close);
    match end {
        Some(end) if *first == open && inner[..end].iter().all(|byte| is_part(*byte)) => {
            &inner[end + 1..]
        }
        _ => text,
    }
}

/// Removes the level of a text in the log of a file system: `e tmpfs: Bad value`. A text without one
/// is none of the log: the log was freed before it was read.
fn of_fs_log(text: &[u8]) -> &[u8] {
    match text {
        [b'e' | b'w' | b'i', b' ', rest @ ..] => rest,
        _ => b"",
    }
}

/// How lines begin that do not say why the verifier refused a program.
const NOT_A_REASON: [&str; 4] = [
    "processed ",
    "verification time ",
    "stack depth ",
    "live regs ",
];

/// How the explanation begins that the verifier of newer kernels adds to its reason, as on 7.3.
const EXPLAINED: &str = "Verification failed: ";

/// What is before the sentence that explains the reason.
const REASON: &str = "Reason:";

/// The log of the verifier, which comes in pieces. The reason is its last line, or the last one
/// before an explanation.
#[derive(Default)]
struct VerifierLog {
    line: Vec<u8>,
    at: MonotonicNs,
    certain: bool,
    reason: Option<Message>,
    explanation: Option<Message>,
    is_explained: bool,
    /// The next line explains the reason.
    is_next: bool,
}

impl VerifierLog {
    fn push(&mut self, text: &[u8], at: MonotonicNs, certain: bool) {
        (self.at, self.certain) = (at, certain);
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend(piece);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = mem::take(&mut self.line);
        let line = line.trim_ascii();
        let is_other = NOT_A_REASON
            .iter()
            .any(|start| line.starts_with(start.as_bytes()));
        if line.is_empty() || is_other {
            return;
        }
        let message = Some(Message {
            text: line[..line.len().min(MAX_TEXT)].to_vec(),
            speaker: Speaker::Bpf,
            at: self.at,
            certain: self.certain,
        });
        if self.is_next {
            self.explanation = message;
        } else if line.starts_with(EXPLAINED.as_bytes()) {
            self.is_explained = true;
            self.reason = self.reason.take().or(message);
        } else if !self.is_explained {
            self.reason = message;
        }
        self.is_next = self.is_explained && line == REASON.as_bytes();
    }

    /// Returns the reason, and the sentence that explains it if there is one.
    fn reasons(mut self) -> impl Iterator<Item = Message> {
        self.end_line();
        self.reason.into_iter().chain(self.explanation)
    }
}

/// Leaves out all but the first of equal texts, and all but the last ones if there are many.
fn fold(all: Vec<Message>) -> Vec<Message> {
    let mut folded: Vec<Message> = Vec::new();
    for message in all {
        match folded.iter_mut().find(|known| known.text == message.text) {
            Some(known) => known.certain |= message.certain,
            None => folded.push(message),
        }
    }
    folded.drain(..folded.len().saturating_sub(MAX_MESSAGES));
    folded
}
