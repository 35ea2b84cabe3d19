// SPDX-License-Identifier: BSD-2-Clause
//! A mistake of the user: one sentence, and perhaps a hint.

use std::error::Error;
use std::fmt;

/// A mistake on the command line or in a file that it names; exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong: lower case, no period.
    pub message: String,
    /// What to do about it; options that it names exist (tested).
    pub hint: Option<String>,
}

impl UsageError {
    /// Without a hint.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// With this hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for UsageError {}
