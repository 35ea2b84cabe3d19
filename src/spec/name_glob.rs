// SPDX-License-Identifier: BSD-2-Clause
//! A glob over one name: of a function, of a module, of a source file.
//!
//! Globs of literals and `*` have a matcher of their own, because a selection tries hundreds of
//! them on 190,000 names. `?`, character classes and alternatives are left to globset.

use std::fmt;

use globset::{Glob, GlobMatcher};
use memchr::memmem::Finder;

/// The kind of name that a [`NameGlob`] is for. It determines which characters can match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Function,
    Module,
    Path,
    UserFunction,
    Tracepoint,
    Probe,
}

/// A glob over one name.
#[derive(Clone)]
pub struct NameGlob {
    text: String,
    matcher: Matcher,
}

/// Prints only the text, because a compiled glob prints thousands of lines.
impl fmt::Debug for NameGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NameGlob").field(&self.text).finish()
    }
}

#[derive(Clone, Debug)]
enum Matcher {
    /// No wildcard.
    Literal,
    /// Literals with `*` between them.
    Parts(Parts),
    /// All other globs.
    Compiled(Box<GlobMatcher>),
}

impl NameGlob {
    pub(super) fn new(text: &str, subject: Subject) -> Result<Self, String> {
        check(text, subject)?;
        let matcher = if text.contains(['?', '[', '{']) || subject == Subject::Path {
            let glob = Glob::new(text).map_err(|error| error.kind().to_string())?;
            Matcher::Compiled(Box::new(glob.compile_matcher()))
        } else if text.contains('*') {
            Matcher::Parts(Parts::new(text))
        } else {
            Matcher::Literal
        };
        Ok(Self {
            text: text.to_owned(),
            matcher,
        })
    }

    /// Parses a glob over function names.
    ///
    /// # Errors
    ///
    /// A description of why no name can match.
    pub fn function(text: &str) -> Result<Self, String> {
        Self::new(text, Subject::Function)
    }

    /// The text of the glob.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The byte that every matching name begins with; `None` if there is none.
    #[must_use]
    pub fn first_byte(&self) -> Option<u8> {
        self.text
            .bytes()
            .next()
            .filter(|byte| !b"*?[{".contains(byte))
    }

    /// The byte that every matching name ends with; `None` if there is none.
    #[must_use]
    pub fn last_byte(&self) -> Option<u8> {
        self.text
            .bytes()
            .last()
            .filter(|byte| !b"*?]}".contains(byte))
    }

    /// Whether the glob has no wildcard.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        matches!(self.matcher, Matcher::Literal)
    }

    /// Whether the whole of `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Literal => self.text == name,
            Matcher::Parts(parts) => parts.matches(name),
            Matcher::Compiled(glob) => glob.is_match(name),
        }
    }

    /// A literal that every matching name contains; empty if none is certain.
    #[must_use]
    pub fn required_literal(&self) -> &str {
        match self.matcher {
            Matcher::Literal | Matcher::Parts(_) => self.longest_literal(),
            Matcher::Compiled(_) => "",
        }
    }

    /// The longest run of literal characters, which is used to suggest similar names.
    #[must_use]
    pub fn longest_literal(&self) -> &str {
        let runs = self
            .text
            .split(['*', '?', '[', ']', '{', '}', ',', '!', '^']);
        runs.max_by_key(|run| run.len()).unwrap_or_default()
    }
}

/// The name of the function that a clone was made from: `f` for `f.isra.0` and `f.part.0.cold`.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// The literals of a glob whose only wildcard is `*`.
#[derive(Clone, Debug)]
struct Parts {
    /// The literal before the first `*`; may be empty.
    first: String,
    /// The literals between two `*`.
    middle: Vec<Finder<'static>>,
    /// The literal after the last `*`; may be empty.
    last: String,
}

impl Parts {
    fn new(text: &str) -> Self {
        let mut parts: Vec<&str> = text.split('*').collect();
        let last = parts.pop().unwrap_or_default().to_owned();
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default().to_owned();
        let middle = parts.map(|part| Finder::new(part).into_owned()).collect();
        Self {
            first,
            middle,
            last,
        }
    }

    /// The first and the last literal are anchored. Each one between them is matched at its first
    /// occurrence.
    fn matches(&self, name: &str) -> bool {
        let Some(rest) = name.as_bytes().strip_prefix(self.first.as_bytes()) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(self.last.as_bytes()) else {
            return false;
        };
        for part in &self.middle {
            match part.find(rest) {
                Some(at) => rest = &rest[at + part.needle().len()..],
                None => return false,
            }
        }
        true
    }
}

/// Rejects globs that no name can match.
fn check(text: &str, subject: Subject) -> Result<(), String> {
    let what = match subject {
        Subject::Function => "function glob",
        Subject::Module => "module glob",
        Subject::Path => "source path",
        Subject::UserFunction => "function glob",
        Subject::Tracepoint => "tracepoint glob",
        Subject::Probe => "probe glob",
    };
    if text.is_empty() {
        return Err(format!("the {what} is empty"));
    }
    if subject == Subject::Path {
        return Ok(());
    }
    if text.contains("**") {
        return Err("`**` is no more than `*` here: write one".to_owned());
    }
    if subject == Subject::UserFunction {
        // Names of C++ and Rust have nearly every character.
        return Ok(());
    }
    if text.contains('/') {
        return Err("no function name has a `/`; a source path starts with `:`".to_owned());
    }
    let possible = |c: char| c.is_ascii_alphanumeric() || "_.$*?[]{},!^-".contains(c);
    match text.chars().find(|&c| !possible(c)) {
        Some(c) => Err(format!(
            "no {} name has a {c:?}",
            what.trim_end_matches(" glob")
        )),
        None => Ok(()),
    }
}
