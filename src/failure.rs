// SPDX-License-Identifier: BSD-2-Clause
//! The error of a run: what failed, and a hint if there is one.

use std::error::Error;
use std::{fmt, io};

use anyhow::Error as AnyError;

use crate::bpf;
use crate::diag::Diag;

/// An error message, and a hint that helps the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// Creates a failure with a hint.
    pub(crate) fn hinted(message: impl Into<String>, hint: impl Into<String>) -> AnyError {
        AnyError::new(Self {
            message: message.into(),
            hint: Some(hint.into()),
        })
    }

    /// Returns the hint of the outermost failure that has one.
    pub(crate) fn hint_of(error: &AnyError) -> Option<&str> {
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

/// Reports an error on stderr, with its hint.
pub(crate) fn say(error: &AnyError, diag: &Diag) {
    diag.error(format!("{error:#}"));
    if let Some(hint) = Failure::hint_of(error).or_else(|| bpf::hint_of(error)) {
        diag.hint(hint);
    }
}

/// Returns true if the error is a closed pipe: the reader of our output has seen enough.
pub(crate) fn is_broken_pipe(error: &AnyError) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
