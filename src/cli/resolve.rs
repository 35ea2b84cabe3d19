// SPDX-License-Identifier: BSD-2-Clause
//! From what was typed to what it means; contradictions and gaps are errors here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::commands::Command;
use super::help::Generated;
use super::listing;
use super::{Cli, CommandOptions, Filtering, Modes, Processes, SymbolizeLevel, Targeting};
use crate::config::{
    BackendChoice, Choice, Chosen, Config, ContainersConfig, DoctorConfig, Environment, Errors,
    GlobArg, GlobUse, Globs, Limits, ListConfig, OnLoadModules, Optimizations, OutputFile,
    OutputFormat, Role, RunAs, RunSettings, Scope, Sessions, Symbolization, SymbolizeConfig,
    TracedCommand, UsageError, UsdtConfig, UseCases,
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
    let (targets, on_load, mut scope) = split(targeting);
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
    let notes = cases.notes_on(&targets.cases);
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
            format: if output.json {
                OutputFormat::Json
            } else {
                OutputFormat::Text
            },
            color: output.color,
            verbosity: output.verbose,
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
    } = options;
    if words.is_empty() {
        let given = [
            (as_invoker, "--as-invoker"),
            (user.is_some(), "--user"),
            (new_session, "--new-session"),
            (timeout.is_some(), "--timeout"),
            (trace_exec, "--trace-exec"),
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

/// Targeting apart: which functions, which threads.
struct Targets {
    cases: Vec<String>,
    entry: Vec<GlobArg>,
    allow: Vec<GlobArg>,
    deny: Vec<GlobArg>,
}

/// What `--on-load` alone means.
const ON_LOAD_CASE: &str = "module";

fn split(targeting: Targeting) -> (Targets, OnLoadModules, Scope) {
    let Targeting {
        mut cases,
        entry,
        allow,
        deny,
        on_load,
        pids,
        no_pids,
        comms,
        no_comms,
    } = targeting;
    let on_load = OnLoadModules {
        is_whole_job: !on_load.is_empty() && cases.is_empty() && entry.is_empty(),
        modules: on_load,
    };
    if on_load.is_whole_job {
        cases.push(ON_LOAD_CASE.to_owned());
    }
    (
        Targets {
            cases,
            entry,
            allow,
            deny,
        },
        on_load,
        Scope {
            pids,
            no_pids,
            comms,
            no_comms,
            follow_forks: false,
            choices: Vec::new(),
            await_containers: false,
            host_root: PathBuf::new(),
        },
    )
}

/// `--force` is for functions that are named, not for whatever a glob happens to match.
fn forced(mut globs: Globs, force: bool) -> Result<Globs, UsageError> {
    let mut all = globs.entry.iter().chain(&globs.allow);
    if force && !all.any(GlobUse::names_a_function) {
        return Err(UsageError::new(
            "--force is for functions that -e or -a name in full, not for globs",
        )
        .hint("name the function, such as `-a migrate_disable --force`"));
    }
    globs.force = force;
    Ok(globs)
}

/// What the use cases and the globs of a command line stand for.
struct ChosenTargets {
    globs: Globs,
    /// The errors that all use cases ask for; `None` if one of them has no such choice.
    errors: Option<ErrnoSet>,
    refusals: bool,
}

fn chosen(targets: Targets, cases: &UseCases) -> Result<ChosenTargets, UsageError> {
    let Targets {
        cases: names,
        entry,
        allow,
        deny,
    } = targets;
    let names = if names.iter().any(|name| name == "all") {
        cases.names()
    } else {
        names
    };
    let mut errors = (!names.is_empty()).then(ErrnoSet::default);
    let mut refusals = false;
    let mut globs = Globs::default();
    globs.add_arguments(Role::Entry, entry)?;
    globs.add_arguments(Role::Allow, allow)?;
    globs.add_arguments(Role::Deny, deny)?;
    for name in &names {
        let case = cases.find(name)?;
        refusals |= case.refusals;
        errors = errors.zip(case.errors).map(|(all, more)| all.with(&more));
        let Globs {
            entry,
            allow,
            deny,
            force: _,
        } = case.globs;
        globs.entry.extend(entry);
        globs.allow.extend(allow);
        globs.deny.extend(deny);
    }
    if globs.entry.is_empty() {
        return Err(
            UsageError::new("no entry function and no use case: nothing to trace")
                .hint("try `retsnoop-rs -c bpf`, or `retsnoop-rs -e '*_sys_openat' -a 'vfs_*'`"),
        );
    }
    Ok(ChosenTargets {
        globs,
        errors,
        refusals,
    })
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
    // 0 is no condition.
    let longer = longer.filter(|longer| !longer.is_zero());
    Ok(Sessions {
        success,
        errors,
        longer,
        arguments: !no_args,
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

#[cfg(test)]
mod tests;
