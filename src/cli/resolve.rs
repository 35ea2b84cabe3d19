// SPDX-License-Identifier: BSD-2-Clause
//! From what was typed to what it means; contradictions and gaps are errors here.

use std::ffi::OsString;
use std::path::Path;

use self::targets::{ChosenTargets, chosen, forced, split};
use super::commands::Command;
use super::help::Generated;
use super::listing;
use super::{Cli, CommandOptions, Filtering, Modes, Processes, SymbolizeLevel};
use crate::config::{
    BackendChoice, Choice, Chosen, Config, ContainersConfig, DoctorConfig, Environment, Errors,
    Limits, ListConfig, Optimizations, OutputFile, OutputFormat, RunAs, RunSettings, Scope,
    Sessions, Symbolization, SymbolizeConfig, Telling, TracedCommand, UsageError, UsdtConfig,
    UseCases,
};
use crate::spec::ErrnoSet;

/// What to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Trace.
    Trace(Box<Config>),
    /// Print this text on stdout: the list of use cases.
    Print(String),
    /// Print the version.
    Version,
    /// Print the version and what this kernel offers.
    Features,
    /// Say by the exit code whether this kernel lets us trace.
    Probe,
    /// Print the manual page or completions.
    Generate(Generated),
    /// Say what this kernel offers.
    Doctor(DoctorConfig),
    /// List functions.
    List(Box<ListConfig>),
    /// List containers.
    Containers(ContainersConfig),
    /// List USDT probes.
    Usdt(UsdtConfig),
    /// Say what addresses are.
    Symbolize(SymbolizeConfig),
}

/// Old output files that are kept by default.
const KEPT_FILES: u32 = 5;

impl Action {
    /// What a command line asks for.
    ///
    /// # Errors
    ///
    /// When options contradict each other, name what does not exist or leave out what is needed.
    pub fn resolve(cli: Cli, environment: &Environment) -> Result<Self, UsageError> {
        match cli.subcommand {
            Some(Command::Doctor(options)) => return Ok(Self::Doctor(options.into())),
            Some(Command::List(options)) => return listing::action(options),
            Some(Command::Symbolize(options)) => return Ok(Self::Symbolize(options.into())),
            None => {}
        }
        if let Some(what) = cli.help.generate {
            return Ok(Self::Generate(what));
        }
        if cli.help.version {
            return Ok(if cli.output.verbose > 0 {
                Self::Features
            } else {
                Self::Version
            });
        }
        if cli.help.probe {
            return Ok(Self::Probe);
        }
        let cases = use_cases(cli.advanced.cases_dir.as_deref(), environment)?;
        if cli.targeting.cases.iter().any(|name| name == "help") {
            return Ok(Self::Print(cases.list()));
        }
        config_of(cli, &cases).map(|config| Self::Trace(Box::new(config)))
    }
}

/// The settings that a command line asks for.
///
/// # Errors
///
/// As [`Action::resolve`].
fn config_of(cli: Cli, cases: &UseCases) -> Result<Config, UsageError> {
    let Cli {
        targeting,
        processes,
        modes,
        filtering,
        symbolization,
        running,
        output,
        flight,
        advanced,
        command,
        help: _,
        subcommand: _,
    } = cli;
    let follow_forks = !running.no_follow_forks;
    let command = command_of(command, running)?;
    let (mut targets, on_load, mut scope) = split(targeting);
    let follow = processes.follow;
    if follow && scope.pids.is_empty() && scope.no_pids.is_empty() {
        return Err(UsageError::new(
            "--follow is for the processes of -p or -P, and there are none",
        )
        .hint("name them with -p; a command's children are followed anyway"));
    }
    scope.follow_forks = follow || (command.is_some() && follow_forks);
    scope.host_root = processes.host_root.clone();
    scope.await_containers = processes.await_containers;
    scope.choices = choices(processes)?;
    if command.is_some() && !scope.pids.is_empty() {
        return Err(UsageError::new(
            "a command and -p exclude each other: what is traced is the command",
        )
        .hint("leave out -p, or start the command yourself and choose both with -p"));
    }
    if targets.names_nothing() {
        targets.take_default(command.is_some() || scope.is_limited())?;
    }
    let notes = cases.notes_on(&targets.cases);
    let is_default = targets.is_default();
    let again = command.as_ref().map_or(0, |command| command.again);
    let has_verdict = is_default && command.is_some() && !output.oneline;
    let telling = telling(&filtering, again > 0, has_verdict)?;
    let ChosenTargets {
        globs,
        errors,
        refusals,
    } = chosen(targets, cases)?;
    Ok(Config {
        notes,
        globs: forced(globs, advanced.force)?,
        refusals,
        on_load,
        backend: backend(&modes),
        all_matching: modes.all_matching,
        cache: !advanced.no_cache,
        symbol_memory: symbolization.symbol_memory,
        download: symbolization.download.into(),
        scope: checked(scope)?,
        command,
        sessions: sessions(filtering, errors)?,
        symbolization: symbolization_of(&symbolization.levels),
        kernel_image: symbolization.kernel,
        run: RunSettings {
            format: match (output.json, output.oneline) {
                (true, _) => OutputFormat::Json,
                (false, true) => OutputFormat::Lines,
                (false, false) => OutputFormat::Text,
            },
            color: output.color,
            verbosity: output.verbose,
            telling,
            dry_run: modes.dry_run,
            max_events: output.max_events,
            duration: output.duration,
        },
        output: output.file.map(|path| OutputFile {
            path,
            append: output.append,
            max_size: output.max_size,
            keep: output.keep.unwrap_or(KEPT_FILES),
        }),
        flight: flight.into(),
        limits: Limits {
            max_rate: (advanced.max_rate > 0).then_some(advanced.max_rate),
            budget: advanced.budget.map(|budget| budget.share),
            is_for_others: false,
        },
        max_depth: advanced.max_depth,
        ringbuf_bytes: advanced.ringbuf_size.bytes,
        record_raw: advanced.record_raw,
        optimizations: Optimizations {
            specialize: !advanced.switches.no_specialize,
            kcore: !advanced.switches.no_kcore,
            share: !advanced.switches.no_shared,
        },
    })
}

/// All choices, in the order of their kinds; none may be wanted and not.
fn choices(processes: Processes) -> Result<Vec<Choice<Chosen>>, UsageError> {
    fn add<T>(
        all: &mut Vec<Choice<Chosen>>,
        option: &str,
        given: Vec<Choice<T>>,
        chosen: impl Fn(T) -> Chosen,
    ) -> Result<(), UsageError> {
        for Choice { wanted, what } in given {
            let what = chosen(what);
            let contradicts = |other: &Choice<Chosen>| other.what == what && other.wanted != wanted;
            if all.iter().any(contradicts) {
                return Err(UsageError::new(format!(
                    "the same value is both included and, with a `!`, excluded ({option})"
                ))
                .hint("leave out the one with `!`: with the other no one else is traced anyway"));
            }
            all.push(Choice { wanted, what });
        }
        Ok(())
    }
    let Processes {
        follow: _,
        users,
        groups,
        cgroups,
        units,
        containers,
        await_containers: _,
        mount_namespaces,
        pid_namespaces,
        net_namespaces,
        host_root: _,
    } = processes;
    let mut all = Vec::new();
    add(&mut all, "--uid", users, Chosen::User)?;
    add(&mut all, "--gid", groups, Chosen::Group)?;
    add(&mut all, "--cgroup", cgroups, Chosen::Cgroup)?;
    add(&mut all, "--unit", units, Chosen::Unit)?;
    add(&mut all, "--container", containers, Chosen::Container)?;
    add(
        &mut all,
        "--mntns",
        mount_namespaces,
        Chosen::MountNamespace,
    )?;
    add(&mut all, "--pidns", pid_namespaces, Chosen::PidNamespace)?;
    add(&mut all, "--netns", net_namespaces, Chosen::NetNamespace)?;
    Ok(all)
}

/// How failures are told. A verdict is for commands whose system calls are all traced.
///
/// # Errors
/// If an option is for a verdict, and there is none.
fn telling(filtering: &Filtering, again: bool, has_verdict: bool) -> Result<Telling, UsageError> {
    if !has_verdict {
        let given = [
            (filtering.all, "--all"),
            (filtering.stream, "--stream"),
            (again, "--again"),
        ];
        return match given.iter().find(|(is_given, _)| *is_given) {
            None => Ok(Telling::AsTheyCome),
            Some((_, option)) => Err(UsageError::new(format!(
                "{option} is for commands without -c and -e, which get a verdict at their end"
            ))
            .hint("leave it out: each failure is shown when it happens")),
        };
    }
    if again && filtering.stream {
        return Err(
            UsageError::new("--stream gives no verdict that --again could make certain")
                .hint("leave out one of the two"),
        );
    }
    Ok(if filtering.stream {
        Telling::AsTheyCome
    } else if filtering.all {
        Telling::VerdictAndAll
    } else {
        Telling::Verdict
    })
}

/// What is to be run, and how.
fn command_of(
    words: Vec<OsString>,
    options: CommandOptions,
) -> Result<Option<TracedCommand>, UsageError> {
    let CommandOptions {
        as_invoker,
        user,
        new_session,
        timeout,
        trace_exec,
        no_follow_forks,
        again,
    } = options;
    if words.is_empty() {
        let given = [
            (as_invoker, "--as-invoker"),
            (user.is_some(), "--user"),
            (new_session, "--new-session"),
            (timeout.is_some(), "--timeout"),
            (trace_exec, "--trace-exec"),
            (again.is_some(), "--again"),
            (no_follow_forks, "--no-follow-forks"),
        ];
        return match given.iter().find(|(is_given, _)| *is_given) {
            Some((_, option)) => Err(UsageError::new(format!(
                "{option} is for a command, and there is none"
            ))
            .hint("write the command last; --duration ends a trace without one")),
            None => Ok(None),
        };
    }
    let run_as = match user {
        Some(name) => RunAs::User(name),
        None if as_invoker => RunAs::Invoker,
        None => RunAs::Ourselves,
    };
    Ok(Some(TracedCommand {
        words,
        run_as,
        new_session,
        timeout,
        trace_exec,
        again: again.unwrap_or(0),
    }))
}

fn use_cases(directory: Option<&Path>, environment: &Environment) -> Result<UseCases, UsageError> {
    let mut cases = UseCases::built_in();
    match (directory, &environment.config_home) {
        (Some(directory), _) => cases.add_directory(directory)?,
        (None, Some(home)) => cases.add_optional_directory(&home.join("retsnoop-rs/usecases"))?,
        (None, None) => {}
    }
    Ok(cases)
}

fn backend(modes: &Modes) -> BackendChoice {
    if modes.kprobe_multi {
        BackendChoice::KprobeMulti
    } else if modes.fentry {
        BackendChoice::Fentry
    } else if modes.kprobe {
        BackendChoice::Kprobe
    } else {
        modes.backend
    }
}

/// Refuses to both want and not want the same thing.
fn checked(scope: Scope) -> Result<Scope, UsageError> {
    if let Some(pid) = scope.pids.iter().find(|pid| scope.no_pids.contains(pid)) {
        return Err(UsageError::new(format!(
            "process {pid} is both included (-p) and excluded (-P)"
        ))
        .hint("leave out -P: with -p no other process is traced anyway"));
    }
    if let Some(comm) = scope
        .comms
        .iter()
        .find(|comm| scope.no_comms.contains(comm))
    {
        let comm = comm.as_str();
        return Err(UsageError::new(format!(
            "thread name `{comm}` is both included (-n) and excluded (-N)"
        ))
        .hint("leave out -N: with -n no other thread is traced anyway"));
    }
    Ok(scope)
}

fn sessions(filtering: Filtering, of_cases: Option<ErrnoSet>) -> Result<Sessions, UsageError> {
    let Filtering {
        success,
        errors,
        no_errors,
        any_errors,
        longer,
        no_args,
        all: _,
        stream: _,
        only,
        no_messages,
    } = filtering;
    let (wanted, unwanted): (Vec<_>, Vec<_>) =
        any_errors.into_iter().partition(|choice| choice.wanted);
    let sets = |choices: Vec<Choice<ErrnoSet>>| choices.into_iter().map(|choice| choice.what);
    let mut errors = Errors {
        allow: merged(errors),
        deny: merged(no_errors),
        allow_any: merged(sets(wanted).collect()),
        deny_any: merged(sets(unwanted).collect()),
    };
    if let (Some(allow), Some(deny)) = (&errors.allow_any, &errors.deny_any)
        && let Some(both) = allow.common(deny)
    {
        return Err(UsageError::new(format!(
            "{both} is both included and, with a `!`, excluded (--any-error)"
        ))
        .hint("leave out one of the two"));
    }
    if let (Some(allow), Some(deny)) = (&errors.allow, &errors.deny)
        && let Some(both) = allow.common(deny)
    {
        return Err(
            UsageError::new(format!("{both} is both included (-x) and excluded (-X)"))
                .hint("leave out -X: with -x no other error is shown anyway"),
        );
    }
    // What -X leaves out is left out of the choice of use cases, too.
    errors.allow = errors.allow.or(of_cases);
    Ok(Sessions {
        success,
        errors,
        // 0 is no condition.
        longer: longer.filter(|longer| !longer.is_zero()),
        arguments: !no_args,
        calls: only,
        messages: !no_messages,
    })
}

fn merged(sets: Vec<ErrnoSet>) -> Option<ErrnoSet> {
    sets.into_iter().reduce(|mut all, set| {
        all.merge(set);
        all
    })
}

fn symbolization_of(levels: &[SymbolizeLevel]) -> Symbolization {
    if levels.contains(&SymbolizeLevel::None) {
        return Symbolization::NamesOnly;
    }
    match levels {
        [] => Symbolization::Auto,
        [SymbolizeLevel::Lines] => Symbolization::Lines,
        _ => Symbolization::Inlines,
    }
}

mod targets;
#[cfg(test)]
mod tests;
