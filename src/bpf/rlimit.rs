// SPDX-License-Identifier: BSD-2-Clause
//! Descriptors: fentry/fexit and single kprobes take four a function, and the usual limit is 1,024.

use std::error::Error;
use std::fmt;
use std::fs;

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::attach::Refused;
use crate::select::TracedFunction;

/// What the run needs besides: the ring buffer, images, output files, the children that detach.
const SPARE: u64 = 256;

/// Those of `functions` that there are descriptors for, `each` of them so many. The limit is raised
/// as far as that is allowed; the functions that do not fit are `refused`.
///
/// # Errors
/// When there is no room for any, or the limit cannot be read.
pub(super) fn those_that_fit<'s, 'f>(
    functions: &'s [&'f TracedFunction],
    each: u64,
    refused: &mut Vec<Refused>,
) -> Result<&'s [&'f TracedFunction]> {
    // Those of functions that are traced already are among the open ones.
    let reserved = n_open() + SPARE;
    let wanted = reserved.saturating_add(each.saturating_mul(functions.len() as u64));
    let soft = raise(wanted)?;
    if soft >= wanted {
        return Ok(functions);
    }
    let n_fit = usize::try_from(soft.saturating_sub(reserved) / each)?;
    if n_fit == 0 {
        return Err(TooFewDescriptors { soft, wanted }.into());
    }
    let (fit, rest) = functions.split_at(n_fit);
    refused.extend(rest.iter().map(|function| Refused {
        func: function.id,
        why: format!("the limit of {soft} descriptors leaves no room for it (`ulimit -n`)"),
        is_final: false,
    }));
    Ok(fit)
}

/// Raises the limit to `wanted`, or as far as that is allowed; returns what it is then.
fn raise(wanted: u64) -> Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    // Only the privileged may raise the hard limit; the soft one may go up to it.
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard, hard))?;
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(soft)
}

/// Descriptors of this process that are open. Without `/proc` none that we know of.
fn n_open() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64)
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
