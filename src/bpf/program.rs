// SPDX-License-Identifier: BSD-2-Clause
//! Loads one copy of a program, and reports the verifier's verdict if it is rejected.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};

use super::body::Body;
use super::sys::{self, ProgramKind};

const LOG_BYTES: usize = 1 << 20;

/// Loads a program. If it is rejected, the error contains the verifier's verdict.
pub(super) fn load(name: &CStr, body: &Body, kind: ProgramKind<'_>) -> Result<OwnedFd> {
    sys::load_program(name, body, body.notes(), kind, None).or_else(|error| {
        // The verifier's log makes every load slower, so it is requested only in a second attempt.
        let mut log = vec![0; LOG_BYTES];
        sys::load_program(name, body, body.notes(), kind, Some(&mut log))
            .with_context(|| format!("failed to load `{}`{}", name.to_string_lossy(), words(&log)))
            .with_context(|| error.to_string())
    })
}

/// Loads a program and attaches it to a raw tracepoint. Returns the program and the link.
pub(super) fn at_tracepoint(
    name: &CStr,
    body: &Body,
    tracepoint: &CStr,
) -> Result<(OwnedFd, OwnedFd)> {
    let program = load(name, body, ProgramKind::RawTracepoint)?;
    let link = sys::attach_raw_tracepoint(tracepoint, program.as_fd()).with_context(|| {
        let name = tracepoint.to_string_lossy();
        format!("failed to attach to the tracepoint `{name}`")
    })?;
    Ok((program, link))
}

/// Returns the last three lines of the verifier's verdict, ready to be appended to an error.
fn words(log: &[u8]) -> String {
    let text = CStr::from_bytes_until_nul(log)
        .map(CStr::to_string_lossy)
        .unwrap_or_default();
    // Since 7.3 (ce7c9f6c599b) many lines of reasons and suggestions follow the verifier's verdict.
    let (verdict, _) = text
        .split_once("\nVerification failed:")
        .unwrap_or((&text, ""));
    let mut lines: Vec<&str> = verdict
        .lines()
        .rev()
        .filter(|line| !line.is_empty() && !line.starts_with("processed "))
        .take(3)
        .collect();
    lines.reverse();
    if lines.is_empty() {
        String::new()
    } else {
        format!(": {}", lines.join(" / "))
    }
}
