// SPDX-License-Identifier: BSD-2-Clause
//! The command line: arguments → [`Options`]. It runs nothing and prints nothing.

use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Makes the kernel fail in known ways.

Usage: simfail [OPTION…] CASE…
       simfail [OPTION…] all
       simfail --list

  --list               print the cases: name, system call, result, kernels, culprit, entry, about
  --repeat N           run each case N times
  --comm NAME          take this name (at most 15 bytes) before the first case
  --thread             run the cases in another thread than the first
  --sleep-before MS    wait so long before the first case
  --skip-unsupported   a case that this kernel does not support is no reason for status 3
  --help               this text

A case that goes as promised prints nothing. Exit status: 0 all went as promised, 1 one did not,
2 usage, 3 one is unsupported here (no such system call, a module is missing, no root).";

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) repeat: u32,
    pub(crate) comm: Option<String>,
    pub(crate) thread: bool,
    pub(crate) sleep_before: Duration,
    pub(crate) skip_unsupported: bool,
}

#[derive(Debug)]
pub(crate) enum Command {
    Help,
    List,
    Run(Vec<String>),
}

/// Reads the arguments, without the program's name.
pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        command: Command::Help,
        repeat: 1,
        comm: None,
        thread: false,
        sleep_before: Duration::ZERO,
        skip_unsupported: false,
    };
    let mut names = Vec::new();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or(format!("`{argument}` needs a value"))
        };
        match argument.as_str() {
            "-h" | "--help" => return Ok(options),
            "--thread" => options.thread = true,
            "--list" => {
                options.command = Command::List;
                return Ok(options);
            }
            "--repeat" => options.repeat = number(&value()?)?,
            "--comm" => options.comm = Some(value()?),
            "--sleep-before" => {
                options.sleep_before = Duration::from_millis(number(&value()?)?.into());
            }
            "--skip-unsupported" => options.skip_unsupported = true,
            option if option.starts_with('-') => return Err(format!("unknown option `{option}`")),
            _ => names.push(argument),
        }
    }
    if names.is_empty() {
        return Err("no case given".to_owned());
    }
    options.command = Command::Run(names);
    Ok(options)
}

fn number(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number"))
}
