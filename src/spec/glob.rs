// SPDX-License-Identifier: BSD-2-Clause
//! Globs over kernel functions: `tcp_*`, `*_sys_bpf`, `xfs_* [xfs]`, `:kernel/bpf/*.c`.
//!
//! Text → [`GlobSpec`]; what cannot match any function is an error here, not an empty result
//! later. Globs of literals and `*` are matched by hand, because a selection tries dozens of
//! them on 190,000 names; `?`, classes and alternatives go through globset.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobMatcher};

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

    /// Whether the function `name` of `module` (`None`: the kernel itself) matches, be it by the
    /// name of the function that it is a clone of: `f` matches `f.isra.0`.
    ///
    /// Source globs match nothing here: they become names before a selection.
    #[must_use]
    pub fn matches(&self, name: &str, module: Option<&str>) -> bool {
        match &self.kind {
            GlobKind::Source(_) => false,
            GlobKind::Function {
                name: names,
                module: None,
            } => names.matches_function(name),
            GlobKind::Function {
                name: names,
                module: Some(modules),
            } => {
                module.is_some_and(|module| modules.matches(module)) && names.matches_function(name)
            }
        }
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
    /// Literals with `*` between them; the first and the last may be empty.
    Parts(Vec<String>),
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
            Matcher::Parts(text.split('*').map(str::to_owned).collect())
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
            Matcher::Parts(parts) => matches_parts(parts, name),
            Matcher::Compiled(glob) => glob.is_match(name),
        }
    }

    fn matches_function(&self, name: &str) -> bool {
        let base = base_name(name);
        self.matches(name) || (base.len() < name.len() && self.matches(base))
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

/// First and last part are anchored; each part between them is taken at its first occurrence.
fn matches_parts(parts: &[String], name: &str) -> bool {
    let [first, middle @ .., last] = parts else {
        return false;
    };
    let Some(mut rest) = name.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in middle {
        match rest.find(part.as_str()) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
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
