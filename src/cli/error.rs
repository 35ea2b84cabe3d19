// SPDX-License-Identifier: BSD-2-Clause
//! Turns what clap says of a command line into one sentence, and perhaps a hint.

use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::config::UsageError;

/// clap's first line is the message; its suggestion, where it has one, becomes the hint.
/// The first argument tells whether it is about a command of ours.
pub(super) fn usage_error(error: &clap::Error, argument: Option<&OsStr>) -> UsageError {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let mut message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    if error.kind() == ErrorKind::MissingRequiredArgument
        && let Some(missing) = suggested(error, ContextKind::InvalidArg)
    {
        message = format!("`{missing}` is missing");
    }
    let hint = match error.kind() {
        ErrorKind::UnknownArgument => {
            if let Some(peers) = suggested(error, ContextKind::InvalidArg)
                .and_then(|argument| PEERS.iter().find(|(name, ..)| *name == argument))
            {
                let (name, what, instead) = peers;
                return UsageError::new(format!("`{name}` ({what}) is not there")).hint(*instead);
            }
            let similar = suggested(error, ContextKind::SuggestedArg);
            let similar =
                similar.map(|option| format!("a similar option is `{option}`; see `--help`"));
            similar
                .or_else(|| command_alone(error))
                .or_else(|| behind_separator(error, argument))
        }
        ErrorKind::InvalidValue => valid_values(error),
        ErrorKind::ArgumentConflict => Some("give one of them only".to_owned()),
        _ => None,
    };
    let hint = hint.unwrap_or_else(|| "see `--help`".to_owned());
    UsageError {
        message,
        hint: Some(hint),
    }
}

/// Options of similar programs: what they do there, and what to use here.
const PEERS: &[(&str, &str, &str)] = &[
    ("-T", "call traces", INSTEAD_OF_TRACES),
    ("--trace", "call traces", INSTEAD_OF_TRACES),
    ("-A", "arguments of functions", INSTEAD_OF_ARGUMENTS),
    (
        "--capture-args",
        "arguments of functions",
        INSTEAD_OF_ARGUMENTS,
    ),
    ("-R", "last branch records", INSTEAD_OF_BRANCHES),
    ("--lbr", "last branch records", INSTEAD_OF_BRANCHES),
    (
        "-f",
        "following children",
        "what a command starts is traced anyway; --follow is for the processes of -p",
    ),
    (
        "-t",
        "times",
        "each session has its time and its durations anyway; -L shows slow calls only",
    ),
];

const INSTEAD_OF_TRACES: &str =
    "not there yet; a failing session shows the calls that failed, -S shows successful ones too";
const INSTEAD_OF_ARGUMENTS: &str = "not there yet; -n, -p and -x choose the sessions that matter";
const INSTEAD_OF_BRANCHES: &str =
    "not there yet; the culprit is shown with its line, and -a traces what it calls";

/// A word that is no option may be meant as a command.
fn behind_separator(error: &clap::Error, first: Option<&OsStr>) -> Option<String> {
    let argument = suggested(error, ContextKind::InvalidArg)?;
    let first = first?.to_str()?;
    if super::command().find_subcommand(first).is_some() {
        return None;
    }
    let is_word = !argument.starts_with('-');
    is_word.then(|| "a command goes after `--`: `retsnoop-rs -c fs -- cat /etc/shadow`".to_owned())
}

/// Commands take options of their own, behind them.
fn command_alone(error: &clap::Error) -> Option<String> {
    let argument = suggested(error, ContextKind::InvalidArg)?;
    let command = super::command();
    let known = command.find_subcommand(&argument)?.get_name();
    Some(format!(
        "a command comes first: `retsnoop-rs {known} --help`"
    ))
}

fn suggested(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

fn valid_values(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::ValidValue)? {
        ContextValue::Strings(values) if !values.is_empty() => {
            Some(format!("possible values: {}", values.join(", ")))
        }
        _ => None,
    }
}
