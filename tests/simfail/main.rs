// SPDX-License-Identifier: BSD-2-Clause
//! Failure simulator: makes the kernel fail, in one known way per case, for tests and demonstrations.
//!
//! A case prepares what it needs, makes one system call, and compares the result with the one
//! promised in the table of `--list`. The tests trace it and expect to be told the culprit that
//! stands there. It uses `libc` alone, so that its system calls are the ones written down here.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program"
)]

mod bpf;
mod case;
mod errno;
mod files;
mod kernel;
mod memory;
mod mounts;
mod namespaces;
mod netlink;
mod options;
mod process;
mod sockets;
mod sys;
mod times;

use std::env;
use std::process::ExitCode;
use std::thread;

use case::{Case, Scratch, Trouble};
use options::{Command, Options};

/// The exit status of a run in which a case cannot be made to fail on this kernel.
const EXIT_UNSUPPORTED: u8 = 3;

fn main() -> ExitCode {
    let options = match options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("simfail: error: {problem}");
            eprintln!("hint: simfail --help, simfail --list");
            return ExitCode::from(2);
        }
    };
    match options.command {
        Command::Help => println!("{}", options::HELP),
        Command::List => print!("{}", case::table(&all())),
        Command::Run(ref names) if options.thread => {
            return thread::scope(|scope| {
                let run = scope.spawn(|| run(names, &options)).join();
                run.unwrap_or(ExitCode::FAILURE)
            });
        }
        Command::Run(ref names) => return run(names, &options),
    }
    ExitCode::SUCCESS
}

/// Every case, in the order of the table.
fn all() -> Vec<&'static Case> {
    let subjects = [
        bpf::CASES,
        files::CASES,
        mounts::CASES,
        memory::CASES,
        sockets::CASES,
        netlink::CASES,
        process::CASES,
        namespaces::CASES,
        times::CASES,
        kernel::CASES,
    ];
    subjects.iter().flat_map(|cases| cases.iter()).collect()
}

/// Runs the named cases; every one is tried, and the worst result is the exit status.
fn run(names: &[String], options: &Options) -> ExitCode {
    let cases = match select(names) {
        Ok(cases) => cases,
        Err(problem) => {
            eprintln!("simfail: error: {problem}");
            return ExitCode::from(2);
        }
    };
    if let Some(comm) = &options.comm {
        sys::set_comm(comm);
    }
    let scratch = match Scratch::new() {
        Ok(scratch) => scratch,
        Err(error) => {
            eprintln!("simfail: error: failed to make a temporary folder: {error}");
            return ExitCode::FAILURE;
        }
    };
    thread::sleep(options.sleep_before);

    let (mut failed, mut unsupported) = (false, false);
    for case in cases {
        for _ in 0..options.repeat {
            match case.check(&scratch) {
                Ok(()) => continue,
                Err(Trouble::Unsupported(reason)) => {
                    eprintln!("simfail: {}: unsupported here: {reason}", case.name);
                    unsupported |= !options.skip_unsupported;
                }
                Err(Trouble::Failed(reason)) => {
                    eprintln!("simfail: {}: {reason}", case.name);
                    failed = true;
                }
            }
            break;
        }
    }
    if failed {
        ExitCode::FAILURE
    } else if unsupported {
        ExitCode::from(EXIT_UNSUPPORTED)
    } else {
        ExitCode::SUCCESS
    }
}

/// Finds cases by name; `all` stands for all of them.
fn select(names: &[String]) -> Result<Vec<&'static Case>, String> {
    let mut chosen = Vec::new();
    for name in names {
        if name == "all" {
            chosen.extend(all());
            continue;
        }
        let case = all().into_iter().find(|case| case.name == name);
        chosen.push(case.ok_or_else(|| format!("no case is called `{name}`"))?);
    }
    Ok(chosen)
}
