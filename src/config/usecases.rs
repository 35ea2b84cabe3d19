// SPDX-License-Identifier: BSD-2-Clause
//! Use cases: ready-made sets of globs, as data: built in, or in a directory of the user's.
//!
//! A file `NAME.toml` has a description and lists of globs by role, each with its reason; see
//! `usecases/` for those that are built in. A file of the user's wins over a built-in one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use toml::de::Error as DecodeError;

use super::globs::{GlobOrigin, GlobUse, Globs, Role};
use crate::cli::UsageError;
use crate::spec::nearest;

/// The built-in cases: name and file. A test holds the list to the directory.
pub(super) const BUILT_IN: &[(&str, &str)] = &[
    ("bpf", include_str!("../../usecases/bpf.toml")),
    ("cgroup", include_str!("../../usecases/cgroup.toml")),
    ("fs", include_str!("../../usecases/fs.toml")),
    ("io_uring", include_str!("../../usecases/io_uring.toml")),
    ("mm", include_str!("../../usecases/mm.toml")),
    ("module", include_str!("../../usecases/module.toml")),
    ("net", include_str!("../../usecases/net.toml")),
    ("perf", include_str!("../../usecases/perf.toml")),
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
}

/// All use cases, by name. Each is parsed when it is asked for: a broken file of the user's
/// spoils no other case.
#[derive(Clone, Debug, Default)]
pub struct UseCases {
    files: BTreeMap<String, Cow<'static, str>>,
}

/// What a file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    description: String,
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
        let files = BUILT_IN
            .iter()
            .map(|&(name, text)| (name.to_owned(), Cow::Borrowed(text)));
        Self {
            files: files.collect(),
        }
    }

    /// Adds the cases of a directory; they win over those of the same name.
    ///
    /// # Errors
    ///
    /// When the directory or a file in it cannot be read.
    pub fn add_directory(&mut self, directory: &Path) -> Result<(), UsageError> {
        let failed = |error| {
            UsageError::new(format!(
                "failed to read use cases from `{}`: {error}",
                directory.display()
            ))
        };
        for file in fs::read_dir(directory).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let (Some(name), true) = (name, path.extension().is_some_and(|end| end == "toml"))
            else {
                continue;
            };
            let text = fs::read_to_string(&path).map_err(|error| {
                UsageError::new(format!(
                    "failed to read use case `{}`: {error}",
                    path.display()
                ))
            })?;
            self.files.insert(name.to_owned(), Cow::Owned(text));
        }
        Ok(())
    }

    /// Adds the cases of a directory that nobody named: it need not be there, nor be ours to read
    /// (`HOME` may be that of whoever called `sudo` or `su`).
    pub(super) fn add_optional_directory(&mut self, directory: &Path) -> Result<(), UsageError> {
        match fs::read_dir(directory) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) =>
            {
                Ok(())
            }
            _ => self.add_directory(directory),
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    ///
    /// When there is none, or when its file is not well-formed.
    pub fn find(&self, name: &str) -> Result<UseCase, UsageError> {
        let text = self.files.get(name).ok_or_else(|| self.unknown(name))?;
        parse(name, text)
            .map_err(|why| UsageError::new(format!("use case `{name}` is not well-formed: {why}")))
    }

    fn unknown(&self, name: &str) -> UsageError {
        let known = || self.files.keys().map(String::as_str);
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
        let width = self.files.keys().map(String::len).max().unwrap_or(0);
        let description = |name: &str, text: &str| match parse(name, text) {
            Ok(case) => case.description,
            Err(why) => format!("(not well-formed: {why})"),
        };
        let rows = self
            .files
            .iter()
            .map(|(name, text)| (name, description(name, text)));
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
    Ok(UseCase {
        name: name.to_owned(),
        description,
        globs,
    })
}
