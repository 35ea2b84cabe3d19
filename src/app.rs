// SPDX-License-Identifier: BSD-2-Clause
//! Wires the stages together: options → facts → selection → tracer → sessions → output. Returns the
//! exit code.
//!
//! Exit codes: 0 success (also after Ctrl-C or a closed pipe), 1 failure, 2 wrong usage. With a
//! command: the command's, or 125 if it was not started because of a failure of ours.

mod containers;
mod list;
mod list_usdt;
mod replay;
mod report;

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use anyhow::{Context, Result};

pub use self::replay::{Replayed, replay};
use crate::bpf;
use crate::cli::{self, Action, Parsed};
use crate::config::{Config, DoctorConfig, Environment, UsageError};
use crate::diag::{Diag, Paint};
use crate::doctor;
use crate::failure::{is_broken_pipe, say};
use crate::kernel::facts::KernelFiles;
use crate::output::print;
use crate::output::stop::{Hangup, StopFlag, UserSignal};
use crate::places;
use crate::prepare::selection_cache::SelectionCache;
use crate::prepare::{features, gather, learnt, preflight};
use crate::run::again::Outlook;
use crate::run::arming;
use crate::run::flight;
use crate::run::spawned::{OUR_FAILURE, SpawnedCommand};
use crate::run::trace::{RunContext, trace};
use crate::symbolize::take_caught;
use crate::trusted::directory_of;

const EXIT_USAGE: u8 = 2;
const EXIT_FAILURE: u8 = 1;

/// Runs the program with `arguments`, of which the first is its name, and returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let behind_separator = arguments.iter().skip_while(|argument| *argument != "--");
    let has_command = behind_separator.count() > 1;
    match action(arguments) {
        Ok(action) => run(action),
        Err(error) => {
            let diag = Diag::stderr(Paint::Auto, 0);
            diag.error(&error.message);
            if let Some(hint) = &error.hint {
                diag.hint(hint);
            }
            // With a command, a usage error must not have a status that could be the command's.
            ExitCode::from(if has_command { OUR_FAILURE } else { EXIT_USAGE })
        }
    }
}

fn action(arguments: Vec<OsString>) -> Result<Action, UsageError> {
    match cli::parse(arguments)? {
        Parsed::Text(text) => Ok(Action::Print(text)),
        Parsed::Options(cli) => Action::resolve(*cli, &environment()),
    }
}

fn environment() -> Environment {
    let home = || directory_of(env::var_os("HOME")).map(|home| home.join(".config"));
    let config_home = directory_of(env::var_os("XDG_CONFIG_HOME")).or_else(home);
    Environment { config_home }
}

fn run(action: Action) -> ExitCode {
    let verbosity = match &action {
        Action::Trace(config) => config.run.verbosity,
        _ => 0,
    };
    let diag = Diag::stderr(Paint::Auto, verbosity);
    if verbosity < 3 {
        bpf::silence_libbpf();
    }
    let reads_kcore = match &action {
        Action::Trace(config) => config.optimizations.kcore,
        _ => true,
    };
    let files = KernelFiles::default().with_kcore(reads_kcore);
    if let Action::Trace(config) = &action {
        config.notes.iter().for_each(|note| diag.note(note));
    }
    let done = match action {
        Action::List(config) => list::list(&config, &files, &diag),
        Action::Containers(config) => containers::list(&config),
        Action::Usdt(config) => list_usdt::list(&config, &diag),
        Action::Symbolize(options) => places::symbolize(&options, &files, &diag),
        Action::Doctor(options) => return diagnose(&options, &files, &diag),
        Action::Trace(config) => {
            let code = traced(&config, &files, &diag);
            say_caught(&diag);
            return code;
        }
        Action::Print(text) => print(text.as_bytes()),
        Action::Version => print(features::version().as_bytes()),
        Action::Features => print(features::report(&files).as_bytes()),
        Action::Probe => doctor::attach_for_a_moment(&files),
        Action::Generate(what) => {
            cli::generate(what, &mut io::stdout().lock()).context("failed to write to stdout")
        }
    };
    say_caught(&diag);
    finish(done, &diag)
}

/// Reports panics that were caught in the parser of debug information.
fn say_caught(diag: &Diag) {
    let caught = take_caught();
    if let Some(first) = caught.places.first() {
        diag.warning(format!(
            "debug information could not be read in {} places, for a fault of this program: {first}",
            caught.count
        ));
        diag.hint("please report it, with the image if you may");
    }
}

fn finish(done: Result<()>, diag: &Diag) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error, diag);
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Prints the report of `doctor`. The exit code is 0 if tracing works.
fn diagnose(options: &DoctorConfig, files: &KernelFiles, diag: &Diag) -> ExitCode {
    let image = options.kernel_image.as_deref();
    let report = doctor::examine(files, image).and_then(|checkup| {
        let mut report = Vec::new();
        if options.json {
            checkup.write_json(&mut report)?;
        } else {
            checkup.write_text(&mut report)?;
        }
        print(&report)?;
        Ok(checkup.can_trace())
    });
    match report {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        Err(error) => finish(Err(error), diag),
    }
}

/// Runs a trace, and a command again as long as `--again` asks for it. With a command, its exit status
/// becomes ours.
fn traced(config: &Config, files: &KernelFiles, diag: &Diag) -> ExitCode {
    let again = config.command.as_ref().map_or(0, |command| command.again);
    if again > 0
        && let Err(error) = preflight::check_stdin()
    {
        say(&error, diag);
        return ExitCode::from(OUR_FAILURE);
    }
    let mut config = config.clone();
    let mut first = None;
    loop {
        let (code, outlook) = traced_once(&config, files, diag);
        let before = *first.get_or_insert(code);
        if code == ExitCode::SUCCESS && before != ExitCode::SUCCESS {
            diag.warning("the command succeeded this time: what it failed of before is not known");
        }
        let Some((deeper, what)) = outlook.and_then(|outlook| outlook.deeper(&config)) else {
            return code;
        };
        diag.note(format!(
            "the verdict is not certain: running the command again, with {what} traced"
        ));
        config = deeper;
        if let Some(command) = &mut config.command {
            command.again -= 1;
        }
    }
}

fn traced_once(config: &Config, files: &KernelFiles, diag: &Diag) -> (ExitCode, Option<Outlook>) {
    // The command is forked first, so that it inherits nothing of ours.
    let mut command = match SpawnedCommand::hold(config) {
        Ok(command) => command,
        Err(error) => {
            say(&error, diag);
            return (ExitCode::from(OUR_FAILURE), None);
        }
    };
    let (done, outlook) = match trace_all(config, files, command.as_mut(), diag) {
        Ok(outlook) => (Ok(()), outlook),
        Err(error) => (Err(error), None),
    };
    let code = match command {
        Some(command) => command.conclude(done, diag),
        // With `--dry-run` it is not started, which is no failure.
        None if config.command.is_some() && done.is_err() => {
            finish(done, diag);
            ExitCode::from(OUR_FAILURE)
        }
        None => finish(done, diag),
    };
    (code, outlook)
}

fn trace_all(
    config: &Config,
    files: &KernelFiles,
    command: Option<&mut SpawnedCommand>,
    diag: &Diag,
) -> Result<Option<Outlook>> {
    let hangup = match config.output {
        Some(_) => Hangup::Reopens,
        None => Hangup::Ends,
    };
    let user_signal = match config.flight {
        Some(_) => UserSignal::Dumps,
        None => UserSignal::Ends,
    };
    let stop = StopFlag::on_signals(hangup, user_signal, command.is_some())?;
    let processes = preflight::check_processes(&config.scope.pids, files)?;
    preflight::check_calls(&config.sessions.calls)?;
    preflight::check(files)?;
    let scope = &config.scope;
    if command.is_some() || !scope.pids.is_empty() || !scope.no_pids.is_empty() {
        preflight::check_pid_namespace(files)?;
    }
    let config = &learnt::without_learnt(config, files, diag);
    let mut prepared = gather::prepare(config, files, diag)?;
    arming::narrow(&mut prepared, config, files, diag);
    prepared
        .cache
        .take_if(|_| !SelectionCache::is_cacheable(&prepared.selection));
    if let Some(config) = &config.flight {
        flight::check(config, &prepared.selection.functions)?;
    }
    report::selection(&prepared, config, diag);
    if config.run.dry_run {
        print(report::dry_run(&prepared, config).as_bytes())?;
        return Ok(None);
    }
    prepared.image.fetch_modules(&prepared.selection, diag);
    let context = RunContext {
        config,
        files,
        stop: &stop,
        diag,
    };
    trace(prepared, processes, command, context)
}
