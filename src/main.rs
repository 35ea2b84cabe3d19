// SPDX-License-Identifier: BSD-2-Clause
//! `retsnoop-rs`: parse, run, exit code.

use std::env;
use std::process::ExitCode;

use retsnoop_rs::app;

fn main() -> ExitCode {
    app::main(env::args_os())
}
