// SPDX-License-Identifier: BSD-2-Clause
//! What programs wrote to their standard error: lines, and the errnos that they speak of.

use std::collections::BTreeSet;
use std::mem;

use memchr::memmem;

use crate::knowledge::complaints::COMPLAINTS;
use crate::session::{MonotonicNs, TaskOutput, Told};
use crate::spec::{Errno, Pid};

/// Longest line that is kept, in bytes. A longer one is cut.
const MAX_LINE: usize = 1024;

/// Lines that are kept. Of more, the last ones are.
const MAX_LINES: usize = 512;

/// Longest name of a process in bytes (`TASK_COMM_LEN` without its end). A longer one is cut.
const MAX_COMM: usize = 15;

/// Processes whose unfinished lines are kept.
const MAX_UNFINISHED: usize = 256;

/// A line that a process wrote to its standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The process.
    pub tgid: Pid,
    /// Its name when the line ended (`comm`), at most 15 bytes.
    pub comm: Vec<u8>,
    /// When its end was written.
    pub at: MonotonicNs,
    /// The text without the end of the line, as the program wrote it. Escape it before output.
    pub text: Vec<u8>,
}

impl Line {
    /// Returns what was written to standard errors, in order of time. A line that was not ended counts
    /// as one.
    #[must_use]
    pub fn all(told: &Told) -> Vec<Self> {
        let mut outputs: Vec<&TaskOutput> = told.outputs().iter().collect();
        outputs.sort_by_key(|output| output.at);
        let mut lines = Lines::default();
        for output in outputs {
            lines.add(output);
        }
        lines.all()
    }
}

/// Puts lines together from what processes write.
#[derive(Debug, Default)]
struct Lines {
    unfinished: Vec<Line>,
    finished: Vec<Line>,
}

impl Lines {
    fn add(&mut self, output: &TaskOutput) {
        let place = self.place(output);
        let mut parts = output.text.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let line = &mut self.unfinished[place];
            line.at = output.at;
            line.comm.clone_from(&output.comm);
            let room = MAX_LINE - line.text.len().min(MAX_LINE);
            line.text.extend(part.iter().take(room));
            if parts.peek().is_some() {
                let next = Line {
                    text: Vec::new(),
                    ..line.clone()
                };
                let line = mem::replace(line, next);
                self.finish(line);
            }
        }
        if output.total > output.text.len() as u64 {
            // What follows is not known.
            let line = self.unfinished.remove(place);
            self.finish(line);
        }
    }

    fn all(self) -> Vec<Line> {
        let unfinished = self.unfinished.into_iter();
        let unfinished = unfinished.filter(|line| !line.text.is_empty());
        let mut all: Vec<Line> = self.finished.into_iter().chain(unfinished).collect();
        all.sort_by_key(|line| line.at);
        all
    }

    fn place(&mut self, output: &TaskOutput) -> usize {
        let mut unfinished = self.unfinished.iter();
        if let Some(place) = unfinished.position(|line| line.tgid == output.tgid) {
            return place;
        }
        if self.unfinished.len() >= MAX_UNFINISHED {
            let line = self.unfinished.remove(0);
            self.finish(line);
        }
        self.unfinished.push(Line {
            tgid: output.tgid,
            comm: output.comm.clone(),
            at: output.at,
            text: Vec::new(),
        });
        self.unfinished.len() - 1
    }

    fn finish(&mut self, line: Line) {
        if line.text.is_empty() {
            return;
        }
        if self.finished.len() >= MAX_LINES {
            self.finished.remove(0);
        }
        self.finished.push(line);
    }
}

/// A line that is compared with failures.
#[derive(Debug)]
pub(super) struct Complaint<'l> {
    pub(super) line: &'l Line,
    /// The text in lower case.
    lower: Vec<u8>,
    /// Where what the program says begins in `lower`, behind its own name (`ls: `).
    said: usize,
    /// The errnos that the line names.
    named: Vec<u16>,
    /// The errnos that it has words of a well-known program for.
    meant: Vec<u16>,
}

impl<'l> Complaint<'l> {
    /// Reads what a line says about errnos. Only those of `errnos` are looked for.
    pub(super) fn new(line: &'l Line, errnos: &BTreeSet<u16>) -> Self {
        let mut complaint = Self {
            line,
            lower: line.text.to_ascii_lowercase(),
            said: own_name(line),
            named: Vec::new(),
            meant: Vec::new(),
        };
        let matching = |matches: &dyn Fn(Errno) -> bool| {
            let errnos = errnos.iter().copied();
            errnos.filter(|errno| matches(Errno(*errno))).collect()
        };
        complaint.named = matching(&|errno| complaint.has_errno(errno));
        complaint.meant = matching(&|errno| complaint.has_words_for(errno));
        complaint
    }

    /// Returns true if the line has the text that `strerror()` has for the errno, or its name.
    pub(super) fn names(&self, errno: u16) -> bool {
        self.named.contains(&errno)
    }

    /// Returns true if the line has words of a well-known program for the errno.
    pub(super) fn means(&self, errno: u16) -> bool {
        self.meant.contains(&errno)
    }

    /// Returns true if the line has this text.
    pub(super) fn repeats(&self, text: &[u8]) -> bool {
        self.has(&text.to_ascii_lowercase())
    }

    /// Returns true if the line has this text, or the last part of it if it is a path. The program's
    /// own name does not count.
    pub(super) fn mentions(&self, text: &[u8]) -> bool {
        let lower = text.to_ascii_lowercase();
        let last = lower.rsplit(|byte| *byte == b'/').next();
        let last = last.unwrap_or_default();
        let said = &self.lower[self.said..];
        let has = |text: &[u8]| memmem::find(said, text).is_some();
        has(&lower) && lower.len() > 1 || last.len() > 2 && has(last)
    }

    /// Returns true if the line has the name of a system call as a word.
    pub(super) fn mentions_call(&self, call: &str) -> bool {
        self.has_word(call)
    }

    fn has_errno(&self, errno: Errno) -> bool {
        let meaning = errno.meaning().map(str::to_ascii_lowercase);
        meaning.is_some_and(|meaning| self.has(meaning.as_bytes()))
            || errno
                .name()
                .is_some_and(|name| self.has_word(&name.to_ascii_lowercase()))
    }

    fn has_words_for(&self, errno: Errno) -> bool {
        let Some(name) = errno.name() else {
            return false;
        };
        let mut known = COMPLAINTS.iter();
        known.any(|(words, errnos)| errnos.contains(&name) && self.has(words.as_bytes()))
    }

    fn has(&self, text: &[u8]) -> bool {
        memmem::find(&self.lower, text).is_some()
    }

    /// Returns true if `word`, which is in lower case, stands alone.
    fn has_word(&self, word: &str) -> bool {
        let is_letter = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        };
        memmem::find_iter(&self.lower, word.as_bytes()).any(|at| {
            let before = at.checked_sub(1).and_then(|at| self.lower.get(at));
            !is_letter(before) && !is_letter(self.lower.get(at + word.len()))
        })
    }
}

/// Returns the length of the program's own name at the start of a line, with the colon: programs begin
/// their messages with it (error(3), warn(3)), or with the path that they were started by.
fn own_name(line: &Line) -> usize {
    let Some(colon) = line.text.iter().position(|byte| *byte == b':') else {
        return 0;
    };
    let name = line.text[..colon].rsplit(|byte| *byte == b'/').next();
    let comm = line.comm.as_slice();
    let is_cut = comm.len() == MAX_COMM;
    let is_own = |name: &[u8]| name == comm || is_cut && name.starts_with(comm);
    match name.is_some_and(is_own) {
        true => colon + 1,
        false => 0,
    }
}
