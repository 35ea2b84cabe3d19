// SPDX-License-Identifier: BSD-2-Clause
//! Use cases: ready-made sets of globs, as data: built in, or in a directory of the user's.
//!
//! A file `NAME.toml` has a description and lists of globs by role, each with its reason; see
//! `usecases/` for those that are built in. A file of the user's wins over a built-in one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::Error as DecodeError;

use super::error::UsageError;
use super::globs::{GlobOrigin, GlobUse, Globs, Role};
use crate::spec::{ErrnoSet, nearest};
use crate::trusted::{Untrusted, open_directory, open_regular, open_trusted};

/// In bytes: what a file may have. The largest built-in one has 8 KiB.
const LARGEST_FILE: u64 = 256 << 10;

/// The case of runs that name neither functions nor a case.
pub(crate) const DEFAULT_CASE: &str = "any";

/// The built-in cases: name and file. A test holds the list to the directory.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    (DEFAULT_CASE, include_str!("../../usecases/any.toml")),
    ("bpf", include_str!("../../usecases/bpf.toml")),
    ("cgroup", include_str!("../../usecases/cgroup.toml")),
    ("deny", include_str!("../../usecases/deny.toml")),
    ("exec", include_str!("../../usecases/exec.toml")),
    ("fs", include_str!("../../usecases/fs.toml")),
    ("io_uring", include_str!("../../usecases/io_uring.toml")),
    ("ioctl", include_str!("../../usecases/ioctl.toml")),
    ("keys", include_str!("../../usecases/keys.toml")),
    ("mm", include_str!("../../usecases/mm.toml")),
    ("module", include_str!("../../usecases/module.toml")),
    ("net", include_str!("../../usecases/net.toml")),
    ("ns", include_str!("../../usecases/ns.toml")),
    ("perf", include_str!("../../usecases/perf.toml")),
    ("process", include_str!("../../usecases/process.toml")),
    ("time", include_str!("../../usecases/time.toml")),
];

/// A use case.
#[derive(Clone, Debug)]
pub struct UseCase {
    /// Its name, after `-c`.
    pub name: String,
    /// What it shows, in one line.
    pub description: String,
    /// Its globs, with their reasons.
    pub globs: Globs,
    /// The only errors that are shown if the user chooses none.
    pub errors: Option<ErrnoSet>,
    /// Whether it explains refused permissions.
    pub refusals: bool,
}

/// All use cases, by name. Each is read when it is asked for: a broken file of the user's spoils no
/// other case.
#[derive(Clone, Debug, Default)]
pub struct UseCases {
    sources: BTreeMap<String, UseCaseSource>,
    notes: Vec<String>,
}

/// Where a use case is read from.
#[derive(Clone, Debug)]
enum UseCaseSource {
    BuiltIn(&'static str),
    /// A file in a directory that the user named.
    Named(PathBuf),
    /// A file in the directory that nobody named: it must be root's or ours.
    Default(PathBuf),
}

impl UseCaseSource {
    fn read(&self) -> Result<Cow<'static, str>, String> {
        let file = match self {
            Self::BuiltIn(text) => return Ok(Cow::Borrowed(text)),
            Self::Named(path) => open_regular(path).map_err(|error| error.to_string())?,
            Self::Default(path) => open_trusted(path).map_err(|error| error.to_string())?,
        };
        let mut text = String::new();
        let read = file.take(LARGEST_FILE + 1).read_to_string(&mut text);
        read.map_err(|error| error.to_string())?;
        if text.len() as u64 > LARGEST_FILE {
            return Err(format!("it is larger than {} KiB", LARGEST_FILE >> 10));
        }
        Ok(Cow::Owned(text))
    }
}

/// What a file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    description: String,
    /// Errors that are shown if the user chooses none: `EPERM,EACCES`.
    errors: Option<String>,
    /// Explains refused permissions.
    #[serde(default)]
    refusals: bool,
    /// The inner functions are all that can fail, besides those that `allow` names.
    #[serde(default)]
    broad: bool,
    #[serde(default)]
    entry: Vec<Group>,
    #[serde(default)]
    allow: Vec<Group>,
    #[serde(default)]
    deny: Vec<Group>,
}

/// Globs that share a reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    globs: Vec<String>,
    why: String,
}

impl UseCases {
    /// Those that are built in.
    #[must_use]
    pub fn built_in() -> Self {
        let sources = BUILT_IN
            .iter()
            .map(|&(name, text)| (name.to_owned(), UseCaseSource::BuiltIn(text)));
        Self {
            sources: sources.collect(),
            notes: Vec::new(),
        }
    }

    /// Adds the cases of a directory that the user named; they win over those of the same name.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn add_directory(&mut self, directory: &Path) -> Result<(), UsageError> {
        self.add(directory, UseCaseSource::Named)
    }

    fn add(
        &mut self,
        directory: &Path,
        source: impl Fn(PathBuf) -> UseCaseSource,
    ) -> Result<(), UsageError> {
        let failed = |error| {
            UsageError::new(format!(
                "failed to read use cases from `{}`: {error}",
                directory.display()
            ))
        };
        for file in fs::read_dir(directory).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            if let (Some(name), true) = (name, path.extension().is_some_and(|end| end == "toml")) {
                self.sources.insert(name.to_owned(), source(path.clone()));
            }
        }
        Ok(())
    }

    /// Adds the cases of the directory that nobody named: it need not be there, nor be ours to
    /// read. One that another user could have changed is left out, with a note: `HOME` may be that
    /// of whoever called `sudo` or `su`.
    pub(crate) fn add_optional_directory(&mut self, directory: &Path) -> Result<(), UsageError> {
        match open_directory(directory) {
            Ok((_, directory)) => match fs::read_dir(&directory) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
                _ => self.add(&directory, UseCaseSource::Default),
            },
            Err(why @ Untrusted::NotOurs(_)) => {
                self.notes.push(format!(
                    "use cases in `{}` are not used: {why}",
                    directory.display()
                ));
                Ok(())
            }
            Err(Untrusted::Failed(error))
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) =>
            {
                Ok(())
            }
            Err(Untrusted::Failed(_)) => self.add(directory, UseCaseSource::Default),
        }
    }

    /// The names of all cases that are about something.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self.sources.keys().filter(|name| *name != DEFAULT_CASE);
        names.cloned().collect()
    }

    /// The one of this name.
    ///
    /// # Errors
    ///
    /// When there is none, or when its file cannot be read or is not well-formed.
    pub fn find(&self, name: &str) -> Result<UseCase, UsageError> {
        let source = self.sources.get(name).ok_or_else(|| self.unknown(name))?;
        let text = source.read().map_err(|why| {
            let path = match source {
                UseCaseSource::BuiltIn(_) => Path::new(name),
                UseCaseSource::Named(path) | UseCaseSource::Default(path) => path,
            };
            UsageError::new(format!(
                "failed to read use case `{}`: {why}",
                path.display()
            ))
        })?;
        parse(name, &text)
            .map_err(|why| UsageError::new(format!("use case `{name}` is not well-formed: {why}")))
    }

    /// What the user should know about these cases: which of them are not the built-in ones, and
    /// what was left out.
    pub(crate) fn notes_on(&self, names: &[String]) -> Vec<String> {
        let mut notes = Vec::new();
        for name in names {
            let is_built_in = BUILT_IN.iter().any(|(built_in, _)| built_in == name);
            if let (true, Some(UseCaseSource::Named(path) | UseCaseSource::Default(path))) =
                (is_built_in, self.sources.get(name))
            {
                notes.push(format!(
                    "use case `{name}` is read from `{}`, in place of the built-in one",
                    path.display()
                ));
            }
        }
        if !names.is_empty() {
            notes.extend(self.notes.iter().cloned());
        }
        notes
    }

    fn unknown(&self, name: &str) -> UsageError {
        let known = || self.sources.keys().map(String::as_str);
        let hint = match nearest(name, known(), 1).first() {
            Some(similar) => format!("a similar one is `{similar}`; `-c help` lists them all"),
            None => {
                let known: Vec<&str> = known().collect();
                format!("there are: {}; `-c help` explains them", known.join(", "))
            }
        };
        UsageError::new(format!("no use case `{name}`")).hint(hint)
    }

    /// What `-c help` prints.
    #[must_use]
    pub fn list(&self) -> String {
        let width = self.sources.keys().map(String::len).max().unwrap_or(0);
        let description = |name: &str, source: &UseCaseSource| match source.read() {
            Ok(text) => match parse(name, &text) {
                Ok(case) => case.description,
                Err(why) => format!("(not well-formed: {why})"),
            },
            Err(why) => format!("(cannot be read: {why})"),
        };
        let rows = self
            .sources
            .iter()
            .map(|(name, source)| (name, description(name, source)));
        rows.map(|(name, description)| format!("{name:width$}  {description}\n"))
            .collect()
    }
}

/// The parser's message, in one line.
fn with_line(text: &str, error: &DecodeError) -> String {
    let message = error.message().trim().replace('\n', ", ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

fn parse(name: &str, text: &str) -> Result<UseCase, String> {
    let File {
        description,
        errors,
        refusals,
        broad,
        entry,
        allow,
        deny,
    } = toml::from_str(text).map_err(|error| with_line(text, &error))?;
    if entry.iter().all(|group| group.globs.is_empty()) {
        return Err("it has no `[[entry]]` globs".to_owned());
    }
    let mut globs = Globs::default();
    for (role, groups) in [
        (Role::Entry, entry),
        (Role::Allow, allow),
        (Role::Deny, deny),
    ] {
        for Group { globs: texts, why } in groups {
            for text in texts {
                let spec = text
                    .parse()
                    .map_err(|error| format!("glob `{text}`: {error}"))?;
                let origin = GlobOrigin::Case {
                    name: name.to_owned(),
                    why: why.clone(),
                };
                globs.add(role, GlobUse::new(spec, origin));
            }
        }
    }
    if broad {
        let all = "*".parse()?;
        globs.add(Role::Allow, GlobUse::new(all, GlobOrigin::Program));
    }
    let errors = errors.map(|text| {
        let set = text.parse();
        set.map_err(|error: String| format!("errors `{text}`: {error}"))
    });
    Ok(UseCase {
        name: name.to_owned(),
        description,
        globs,
        errors: errors.transpose()?,
        refusals,
    })
}
