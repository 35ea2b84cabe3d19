// SPDX-License-Identifier: BSD-2-Clause
//! Errno numbers, their names and meanings, and sets of them as `-x` and `-X` take them.
//!
//! A set is judged against an [`Outcome`], never against a raw register: a positive 22 is no
//! `EINVAL`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::Outcome;
use super::errno_table::{ALIASES, ERRNOS};
use super::nearest::nearest;

/// The largest number that a kernel function can return as an errno.
const MAX_ERRNO: u16 = 4095;

/// An errno, as a positive number (1..=4095).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub u16);

impl Errno {
    /// Its name, `EINVAL`; `None` for a number that has none.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    /// What it means, `Invalid argument`.
    #[must_use]
    pub fn meaning(self) -> Option<&'static str> {
        self.row().map(|row| row.2)
    }

    /// The errno of a name, in upper case and without a sign.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let name = alias.map_or(name, |(_, same)| same);
        ERRNOS
            .iter()
            .find(|row| row.1 == name)
            .map(|row| Self(row.0))
    }

    fn row(self) -> Option<&'static (u16, &'static str, &'static str)> {
        ERRNOS
            .binary_search_by_key(&self.0, |row| row.0)
            .ok()
            .map(|index| &ERRNOS[index])
    }
}

/// The name where there is one, else the number.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Failures that the user named: errnos, and perhaps `NULL`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrnoSet {
    errnos: BTreeSet<Errno>,
    null: bool,
}

impl ErrnoSet {
    /// Whether a failure is one of these.
    #[must_use]
    pub fn contains(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Errno(number) => self.errnos.contains(&Errno(number)),
            Outcome::Null => self.null,
            Outcome::Success | Outcome::Status(_) => false,
        }
    }

    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errnos.is_empty() && !self.null
    }

    /// Whether `NULL` belongs to it.
    #[must_use]
    pub fn has_null(&self) -> bool {
        self.null
    }

    /// Its errnos, ascending.
    pub fn errnos(&self) -> impl Iterator<Item = Errno> + '_ {
        self.errnos.iter().copied()
    }

    /// Everything of `other` too.
    pub fn merge(&mut self, other: Self) {
        let Self { errnos, null } = other;
        self.errnos.extend(errnos);
        self.null |= null;
    }

    /// A failure that both sets name.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<String> {
        if self.null && other.null {
            return Some("NULL".to_owned());
        }
        self.errnos
            .intersection(&other.errnos)
            .next()
            .map(ToString::to_string)
    }
}

/// A comma list of `EINVAL`, `-EINVAL`, `22`, `-22`, `NULL`, in either case.
impl FromStr for ErrnoSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut set = Self::default();
        for word in text.split(',').map(str::trim) {
            if word.eq_ignore_ascii_case("null") {
                set.null = true;
            } else {
                set.errnos.insert(parse_errno(word)?);
            }
        }
        Ok(set)
    }
}

fn parse_errno(word: &str) -> Result<Errno, String> {
    let bare = word.strip_prefix('-').unwrap_or(word);
    if bare.is_empty() {
        return Err("an errno is missing".to_owned());
    }
    if bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return match bare.parse() {
            Ok(0) => Err("0 is success, not an errno".to_owned()),
            Ok(number @ 1..=MAX_ERRNO) => Ok(Errno(number)),
            _ => Err(format!("errnos go from 1 to {MAX_ERRNO}")),
        };
    }
    let upper = bare.to_ascii_uppercase();
    Errno::from_name(&upper).ok_or_else(|| unknown_errno(&upper))
}

fn unknown_errno(name: &str) -> String {
    let similar = nearest(name, ERRNOS.iter().map(|row| row.1), 3);
    let similar = if similar.is_empty() && !name.starts_with('E') {
        nearest(&format!("E{name}"), ERRNOS.iter().map(|row| row.1), 3)
    } else {
        similar
    };
    if similar.is_empty() {
        "no errno of this name".to_owned()
    } else {
        format!("no errno of this name; similar: {}", similar.join(", "))
    }
}
