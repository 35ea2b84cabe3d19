// SPDX-License-Identifier: BSD-2-Clause
//! Errno numbers, their names and meanings, and sets of them for `-x` and `-X`.
//!
//! A set is compared with an [`Outcome`], never with a raw register: a positive 22 is not `EINVAL`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::Outcome;
use super::errno_table::{ALIASES, ERRNOS};
use super::nearest::nearest;

/// The largest errno that a kernel function can return.
const MAX_ERRNO: u16 = 4095;

/// An errno, as a positive number (1..=4095).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub u16);

impl Errno {
    /// The name, such as `EINVAL`; `None` for a number without a name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    /// The meaning, such as `Invalid argument`; `None` for a number without a name.
    #[must_use]
    pub fn meaning(self) -> Option<&'static str> {
        self.row().map(|row| row.2)
    }

    /// The errno with a name, which is in upper case and without a sign; `None` if there is none.
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

/// Formats the name if there is one, else the number.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Failures that the user named: errnos, and optionally `NULL`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrnoSet {
    errnos: BTreeSet<Errno>,
    null: bool,
}

impl ErrnoSet {
    /// Whether the set contains a failure.
    #[must_use]
    pub fn contains(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Errno(number) => self.errnos.contains(&Errno(number)),
            Outcome::Null => self.null,
            Outcome::Success | Outcome::Status(_) => false,
        }
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errnos.is_empty() && !self.null
    }

    /// Whether the set contains `NULL`.
    #[must_use]
    pub fn has_null(&self) -> bool {
        self.null
    }

    /// The errnos of the set, in ascending order.
    pub fn errnos(&self) -> impl Iterator<Item = Errno> + '_ {
        self.errnos.iter().copied()
    }

    /// Adds everything in `other`.
    pub fn merge(&mut self, other: Self) {
        let Self { errnos, null } = other;
        self.errnos.extend(errnos);
        self.null |= null;
    }

    /// Returns the set with everything in `other`.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.merge(other.clone());
        self
    }

    /// The name of one failure that both sets contain; `None` if there is none.
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

/// Parses a comma-separated list of `EINVAL`, `-EINVAL`, `22`, `-22`, `NULL`. Upper and lower case
/// are equal.
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
