// SPDX-License-Identifier: BSD-2-Clause
//! Holds cases to their own words, without the program: the command ends with the status and the
//! message that were promised, and strace sees the call fail with the errno.

use std::fs;

use crate::suite::case::Case;
use crate::suite::run::Place;

const TIMEOUT_SECONDS: u32 = 30;

/// What is wrong with a case here; `None`: nothing, or it does not run on this kernel.
pub(crate) fn check(place: &Place, case: &Case) -> Option<String> {
    if case.skip.is_some() {
        return None;
    }
    let file = |end: &str| fs::read_to_string(place.out.join(format!("{}.{end}", case.id)));
    let stdout = format!("{}.out", case.id);
    let status = match place.run_command(case, &case.argv(), TIMEOUT_SECONDS, &stdout) {
        Ok(status) => status,
        Err(error) => return Some(error),
    };
    let said = file("err").unwrap_or_default();
    if status != case.status || !said.contains(&case.says) {
        return Some(format!("status {status}, said: {}", said.trim()));
    }
    if case.request {
        return None;
    }
    let calls = place.out.join(format!("{}.strace", case.id));
    let mut argv: Vec<String> = ["strace", "-f", "-qq", "-Z", "-o"]
        .map(str::to_owned)
        .to_vec();
    argv.push(calls.display().to_string());
    argv.extend(case.argv());
    if let Err(error) = place.run_command(case, &argv, TIMEOUT_SECONDS, &stdout) {
        return Some(error);
    }
    let failed = failed_calls(&file("strace").unwrap_or_default());
    let is_it =
        |(name, errno): &(String, String)| case.syscall.contains(name) && *errno == case.errno;
    match failed.iter().any(is_it) {
        true => None,
        false => Some(format!("strace saw {failed:?}")),
    }
}

/// The calls that strace saw fail: `12 mount("none", …) = -1 EINVAL (Invalid argument)`.
fn failed_calls(text: &str) -> Vec<(String, String)> {
    let call = |line: &str| {
        let (call, result) = line.rsplit_once(" = -1 ")?;
        let errno = result.split_whitespace().next()?;
        let call = call.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let name = match call.strip_prefix("<... ") {
            Some(resumed) => resumed.split_whitespace().next()?,
            None => call.split('(').next()?,
        };
        Some((name.to_owned(), errno.to_owned()))
    };
    text.lines().filter_map(call).collect()
}
