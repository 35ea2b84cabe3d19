// SPDX-License-Identifier: BSD-2-Clause
//! Globs over kernel functions: `tcp_*`, `*_sys_bpf`, `xfs_* [xfs]`, `:kernel/bpf/*.c`.
//!
//! Text → [`GlobSpec`]; what cannot match any function is an error here, not an empty result
//! later. Globs of literals and `*` are matched by hand, because a selection tries dozens of
//! them on 190,000 names; `?`, classes and alternatives go through globset.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobMatcher};
use memchr::memmem::Finder;

/// What the user wrote after `-e`, `-a` or `-d`.
#[derive(Clone, Debug)]
pub struct GlobSpec {
    text: String,
    kind: GlobKind,
}

/// What a glob selects by.
#[derive(Clone, Debug)]
pub enum GlobKind {
    /// By the function's name, and perhaps its module.
    Function {
        /// The name.
        name: NameGlob,
        /// `name [module]`: functions of such modules only, never of the kernel itself.
        module: Option<NameGlob>,
    },
    /// `:path`: by the source file that defines the function.
    Source(NameGlob),
}

impl GlobSpec {
    /// As the user wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it selects by.
    #[must_use]
    pub fn kind(&self) -> &GlobKind {
        &self.kind
    }

    /// Whether the function `name` of `module` (`None`: the kernel itself) matches; see
    /// [`GlobSpec::matches_function`].
    #[must_use]
    pub fn matches(&self, name: &str, module: Option<&str>) -> bool {
        self.matches_function(&FunctionName::new(name, module))
    }

    /// Whether a function matches, be it by the name of the function that it is a clone of: `f`
    /// matches `f.isra.0`.
    ///
    /// Source globs match nothing here: they become names before a selection.
    #[must_use]
    pub fn matches_function(&self, function: &FunctionName<'_>) -> bool {
        let GlobKind::Function { name, module } = &self.kind else {
            return false;
        };
        let module_matches = match (module, function.module) {
            (None, _) => true,
            (Some(wanted), Some(module)) => wanted.matches(module),
            (Some(_), None) => false,
        };
        module_matches
            && (name.matches(function.name) || function.base.is_some_and(|base| name.matches(base)))
    }
}

/// A function's name, looked at once and matched against many globs.
#[derive(Clone, Copy, Debug)]
pub struct FunctionName<'a> {
    name: &'a str,
    /// The function that it is a clone of, where it is one.
    base: Option<&'a str>,
    module: Option<&'a str>,
}

impl<'a> FunctionName<'a> {
    /// The function `name` of `module`; `None` means the kernel itself.
    #[must_use]
    pub fn new(name: &'a str, module: Option<&'a str>) -> Self {
        let dot = memchr::memchr(b'.', name.as_bytes());
        Self {
            name,
            base: dot.map(|dot| &name[..dot]),
            module,
        }
    }

    /// The first byte of its name.
    #[must_use]
    pub fn first_byte(&self) -> Option<u8> {
        self.name.bytes().next()
    }

    /// The last bytes of its name and of its base name, where that differs.
    #[must_use]
    pub fn last_bytes(&self) -> (Option<u8>, Option<u8>) {
        let last = self.name.bytes().last();
        let base = self.base.and_then(|base| base.bytes().last());
        (last, base.filter(|_| base != last))
    }
}

/// Two globs are equal when they read the same.
impl PartialEq for GlobSpec {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for GlobSpec {}

impl fmt::Display for GlobSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for GlobSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let kind = match text.strip_prefix(':') {
            Some(path) => GlobKind::Source(NameGlob::new(path, Subject::Path)?),
            None => parse_function(text)?,
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

/// `name` or `name [module]`: only a bracket after a blank is a module, `f[ab]` is a class.
fn parse_function(text: &str) -> Result<GlobKind, String> {
    let Some((name, rest)) = text.split_once(char::is_whitespace) else {
        return Ok(GlobKind::Function {
            name: NameGlob::new(text, Subject::Function)?,
            module: None,
        });
    };
    let module = rest
        .trim()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let Some(module) = module else {
        return Err(
            "after a blank only a module in brackets may follow: `name [module]`".to_owned(),
        );
    };
    // The kernel calls the module of `nf-tables.ko` `nf_tables`.
    let module = if module.contains('[') {
        module.to_owned()
    } else {
        module.replace('-', "_")
    };
    Ok(GlobKind::Function {
        name: NameGlob::new(name, Subject::Function)?,
        module: Some(NameGlob::new(module.trim(), Subject::Module)?),
    })
}

/// What kind of name a [`NameGlob`] is for: decides which characters can ever match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Function,
    Module,
    Path,
}

/// A glob over one name.
#[derive(Clone, Debug)]
pub struct NameGlob {
    text: String,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    /// No wildcard at all.
    Literal,
    /// Literals with `*` between them.
    Parts(Parts),
    /// Anything else.
    Compiled(Box<GlobMatcher>),
}

impl NameGlob {
    fn new(text: &str, subject: Subject) -> Result<Self, String> {
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

    /// A glob over function names.
    ///
    /// # Errors
    ///
    /// Says why no name can match.
    pub fn function(text: &str) -> Result<Self, String> {
        Self::new(text, Subject::Function)
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The byte that every matching name begins with, where there is one.
    #[must_use]
    pub fn first_byte(&self) -> Option<u8> {
        self.text
            .bytes()
            .next()
            .filter(|byte| !b"*?[{".contains(byte))
    }

    /// The byte that every matching name ends with, where there is one.
    #[must_use]
    pub fn last_byte(&self) -> Option<u8> {
        self.text
            .bytes()
            .last()
            .filter(|byte| !b"*?]}".contains(byte))
    }

    /// Whether it is a plain name.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        matches!(self.matcher, Matcher::Literal)
    }

    /// Whether `name` matches, as a whole.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Literal => self.text == name,
            Matcher::Parts(parts) => parts.matches(name),
            Matcher::Compiled(glob) => glob.is_match(name),
        }
    }

    /// The longest run of literal characters: what "nearest names" are looked up by.
    #[must_use]
    pub fn longest_literal(&self) -> &str {
        let runs = self
            .text
            .split(['*', '?', '[', ']', '{', '}', ',', '!', '^']);
        runs.max_by_key(|run| run.len()).unwrap_or_default()
    }
}

/// The function that a compiler's clone was made from: `f` for `f.isra.0`, `f.part.0.cold`.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// The literals of a glob whose only wildcard is `*`.
#[derive(Clone, Debug)]
struct Parts {
    /// Up to the first `*`; may be empty.
    first: String,
    /// Between two `*`.
    middle: Vec<Finder<'static>>,
    /// Behind the last `*`; may be empty.
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

    /// First and last part are anchored; each between them is taken at its first occurrence.
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

/// Refuses what no name can match.
fn check(text: &str, subject: Subject) -> Result<(), String> {
    let what = match subject {
        Subject::Function => "function glob",
        Subject::Module => "module glob",
        Subject::Path => "source path",
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
