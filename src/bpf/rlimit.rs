// SPDX-License-Identifier: BSD-2-Clause
//! The limit of descriptors. fentry/fexit and single kprobes take four for each function, and the
//! usual limit is 1,024.

use std::error::Error;
use std::fmt;
use std::fs;

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::attach::Refused;
use crate::select::TracedFunction;

/// Descriptors that are reserved for other uses: the ring buffer, images, output files, the
/// children that detach.
const SPARE_DESCRIPTORS: u64 = 256;

/// Returns the first of `functions` for which there are descriptors, if each takes `each` of them.
/// Raises the limit as far as permitted. The functions that do not fit are added to `refused`.
///
/// # Errors
/// If there are not enough descriptors for any function, or the limit cannot be read.
pub(super) fn those_that_fit<'s, 'f>(
    functions: &'s [&'f TracedFunction],
    each: u64,
    refused: &mut Vec<Refused>,
) -> Result<&'s [&'f TracedFunction]> {
    // The descriptors of functions that are traced already are open.
    let reserved = n_open() + SPARE_DESCRIPTORS;
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

/// Raises the limit, as far as permitted, so that [`SPARE_DESCRIPTORS`] can be opened: libbpf opens one
/// for each map and each program of the object. Where it cannot be raised, opening says so.
pub(super) fn make_room() {
    let _ = raise(n_open() + SPARE_DESCRIPTORS);
}

/// Raises the limit to `wanted`, or as far as permitted. Returns the limit that is in effect then.
fn raise(wanted: u64) -> Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    // Raising the hard limit is privileged. Anybody may raise the soft limit up to the hard one.
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard, hard))?;
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(soft)
}

/// Returns the number of open descriptors of this process, or 0 without `/proc`.
fn n_open() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64)
}

/// The limit cannot be raised, and does not suffice for a single function.
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
