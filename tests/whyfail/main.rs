// SPDX-License-Identifier: BSD-2-Clause
//! Makes one system call that no ordinary tool makes so simply, and complains as ordinary programs
//! do: `whyfail: mlock: Cannot allocate memory`, exit status 1.
//!
//! It is for the acceptance set in `tests/data/why`, which says what the kernel's reason is. It knows
//! nothing about this reason itself. Exit status 0: the call succeeded; 2: usage; 3: what had to be
//! done before the call failed.

#[path = "../simfail/errno.rs"]
mod errno;
mod files;
mod ipc;
mod memory;
mod security;
mod sockets;
#[path = "../simfail/sys.rs"]
#[allow(dead_code, reason = "shared with simfail, which needs more of it")]
mod sys;
mod tracing;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use errno::Errno;

const USAGE: u8 = 2;
const NOT_PREPARED: u8 = 3;

/// What can be tried, with the function that tries it.
type Attempt = (&'static str, fn(&[String]) -> Result<(), Trouble>);

/// Why a call did not succeed.
#[derive(Debug)]
enum Trouble {
    /// The call that it is about, or what it was for.
    Failed(&'static str, Errno),
    NotPrepared(Errno),
    Usage(&'static str),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::NotPrepared(errno)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::NotPrepared(Errno(error.raw_os_error().unwrap_or_default()))
    }
}

/// The result of the call that it is about.
fn tried(name: &'static str, result: Result<i64, Errno>) -> Result<(), Trouble> {
    result
        .map(drop)
        .map_err(|errno| Trouble::Failed(name, errno))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let all = [
        files::ATTEMPTS,
        ipc::ATTEMPTS,
        memory::ATTEMPTS,
        security::ATTEMPTS,
        sockets::ATTEMPTS,
        tracing::ATTEMPTS,
    ];
    let named = |attempt: &&Attempt| arguments.first().is_some_and(|name| name == attempt.0);
    let Some((_, run)) = all.iter().flat_map(|some| some.iter()).find(named) else {
        say("usage: whyfail ATTEMPT [ARGUMENT…]; the attempts stand in tests/whyfail");
        return ExitCode::from(USAGE);
    };
    match run(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Failed(name, errno)) => {
            say(&format!("{name}: {}", text_of(errno)));
            ExitCode::FAILURE
        }
        Err(Trouble::NotPrepared(errno)) => {
            say(&format!("cannot prepare the call: {}", text_of(errno)));
            ExitCode::from(NOT_PREPARED)
        }
        Err(Trouble::Usage(usage)) => {
            say(&format!("usage: whyfail {usage}"));
            ExitCode::from(USAGE)
        }
    }
}

/// The text of `strerror`.
fn text_of(Errno(number): Errno) -> String {
    let text = io::Error::from_raw_os_error(number).to_string();
    let end = text.rfind(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}

/// One line in one `write`, as programs with buffers do it.
fn say(text: &str) {
    let line = format!("whyfail: {text}\n");
    // Nobody is left to be told.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// An argument that is a number.
fn number(arguments: &[String], at: usize, usage: &'static str) -> Result<i64, Trouble> {
    let number = arguments.get(at).and_then(|text| text.parse().ok());
    number.ok_or(Trouble::Usage(usage))
}

/// An argument as it is.
fn text<'a>(arguments: &'a [String], at: usize, usage: &'static str) -> Result<&'a str, Trouble> {
    let text = arguments.get(at).map(String::as_str);
    text.ok_or(Trouble::Usage(usage))
}
