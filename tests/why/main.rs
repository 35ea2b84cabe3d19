// SPDX-License-Identifier: BSD-2-Clause
//! Runs the acceptance set of `retsnoop-rs -- CMD`, and scores it; see scripts/why.
//!
//! `why run OUT [ID…]` and `why check OUT [ID…]` are for a guest (`RETSNOOP_KERNEL`, `RETSNOOP_BIN`
//! and `WHYFAIL_BIN` are set there), `why score OUT KERNEL` is for any machine.
//! `why play OUT [ID…]` runs the commands alone, so that one run of the program can trace them all: its
//! JSON lines are expected in `OUT/answers`. `why load` loads the modules that cases need, which is to be
//! done before. The current folder is the checkout. ID: a case, or the
//! beginning of its name.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program"
)]

mod check;
mod suite;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use suite::case::{self, Case};
use suite::run::{Place, TIMEOUT_SECONDS, load_modules};
use suite::{score, table};

const CASES: &str = "tests/data/why";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["run", out, ids @ ..] => run(out, ids),
        ["check", out, ids @ ..] => check(out, ids),
        ["play", out, ids @ ..] => play(out, ids),
        ["load"] => load_modules().map(|()| true),
        ["score", out, kernel] => score(out, kernel),
        _ => Err("usage: why run|check OUT [ID…], why score OUT KERNEL".to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("why: error: {error}");
            ExitCode::from(2)
        }
    }
}

fn select(kernel: &str, ids: &[&str]) -> Result<Vec<Case>, String> {
    let mut cases = case::read(Path::new(CASES), kernel)?;
    if !ids.is_empty() {
        cases.retain(|case| ids.iter().any(|id| case.id.starts_with(id)));
    }
    match cases.is_empty() {
        true => Err("no case has such a name".to_owned()),
        false => Ok(cases),
    }
}

fn kernel() -> Result<String, String> {
    env::var("RETSNOOP_KERNEL").map_err(|_| "RETSNOOP_KERNEL is not set".to_owned())
}

fn run(out: &str, ids: &[&str]) -> Result<bool, String> {
    let kernel = kernel()?;
    let cases = select(&kernel, ids)?;
    Place::prepare(&kernel, Path::new(out))?.run_all(&cases)?;
    Ok(true)
}

fn check(out: &str, ids: &[&str]) -> Result<bool, String> {
    let kernel = kernel()?;
    let cases = select(&kernel, ids)?;
    let place = Place::prepare(&kernel, Path::new(out))?;
    let mut n_bad = 0;
    for case in &cases {
        let problem = check::check(&place, case);
        n_bad += usize::from(problem.is_some());
        match (&case.skip, problem) {
            (Some(reason), _) => println!("not here  {}: {reason}", case.id),
            (None, Some(problem)) => println!("BAD       {}: {problem}", case.id),
            (None, None) => println!("ok        {}", case.id),
        }
    }
    println!("{} cases, {n_bad} bad", cases.len());
    Ok(n_bad == 0)
}

/// Runs the commands alone, to be traced together.
fn play(out: &str, ids: &[&str]) -> Result<bool, String> {
    let kernel = kernel()?;
    let cases = select(&kernel, ids)?;
    let place = Place::prepare(&kernel, Path::new(out))?;
    place.each(&cases, |case| {
        place.run_timed(case, &case.argv(), TIMEOUT_SECONDS)
    })?;
    Ok(true)
}

/// Fails when a case has no answer: then the table tells nothing about the rest either.
fn score(out: &str, kernel: &str) -> Result<bool, String> {
    let cases = case::read(Path::new(CASES), kernel)?;
    let out = Path::new(out);
    let scores = match out.join("answers").exists() {
        true => score::score_played(&cases, out),
        false => score::score_all(&cases, out),
    }?;
    print!("{}", table::render(kernel, &scores));
    Ok(scores.iter().all(|score| score.trouble.is_empty()))
}
