// SPDX-License-Identifier: BSD-2-Clause
//! An error of a run: what failed, and perhaps what to do about it.

use std::error::Error;
use std::fmt;

use anyhow::Error as AnyError;

/// What failed, and a hint that names what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure with something to do about it.
    pub(super) fn hinted(message: impl Into<String>, hint: impl Into<String>) -> AnyError {
        AnyError::new(Self {
            message: message.into(),
            hint: Some(hint.into()),
        })
    }

    /// The hint of the innermost failure that has one.
    pub(super) fn hint_of(error: &AnyError) -> Option<&str> {
        error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Self>()?.hint.as_deref())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}
