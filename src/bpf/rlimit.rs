// SPDX-License-Identifier: BSD-2-Clause
//! Descriptors: fentry/fexit take four a function, and the usual limit is 1,024.

use std::error::Error;
use std::fmt;

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What the process needs besides.
const SPARE: u64 = 256;

/// Makes room for so many more descriptors.
///
/// # Errors
/// When the limit is lower and may not be raised.
pub(super) fn allow_descriptors(wanted: u64) -> Result<()> {
    let wanted = wanted.saturating_add(SPARE);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(());
    }
    // Only the privileged may raise the hard limit; the soft one may go up to it.
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard, hard))?;
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wanted {
        return Err(TooFewDescriptors { soft, wanted }.into());
    }
    Ok(())
}

/// The limit stands, and more descriptors are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooFewDescriptors {
    soft: u64,
    wanted: u64,
}

impl fmt::Display for TooFewDescriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { soft, wanted } = self;
        write!(
            f,
            "the limit of {soft} descriptors is too low: {wanted} are needed"
        )
    }
}

impl Error for TooFewDescriptors {}
