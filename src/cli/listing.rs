// SPDX-License-Identifier: BSD-2-Clause
//! What the options of `list` mean.

use std::str::FromStr;

use super::commands::{ListOptions, Listed};
use super::resolve::Action;
use crate::config::{
    ContainersConfig, GlobArg, Globs, ListConfig, ListFormat, Role, UsageError, UsdtConfig,
};

/// What these options ask for.
///
/// # Errors
///
/// When they contradict each other, or something is missing.
pub(super) fn action(options: ListOptions) -> Result<Action, UsageError> {
    match options.what {
        Listed::Containers => containers(options).map(Action::Containers),
        Listed::Usdt => usdt(options).map(Action::Usdt),
        Listed::Functions => functions(options).map(|list| Action::List(Box::new(list))),
    }
}

/// What these options ask for.
///
/// # Errors
///
/// When there are options that are for functions.
fn containers(options: ListOptions) -> Result<ContainersConfig, UsageError> {
    let ListOptions {
        what: _,
        globs,
        json,
        source,
        host_root,
        names,
        kernel,
        // Containers are not kept: it changes nothing.
        no_cache: _,
        // Nor is debug information read.
        download: _,
        help: _,
    } = options;
    if !globs.is_empty() || source || names || kernel.is_some() {
        return Err(
            UsageError::new("all containers are listed: globs and -s are for functions")
                .hint("leave them out: `retsnoop-rs list containers`, with --json for programs"),
        );
    }
    Ok(ContainersConfig { json, host_root })
}

/// What these options ask for.
///
/// # Errors
///
/// When there is no file, or there are options that are for functions.
fn usdt(options: ListOptions) -> Result<UsdtConfig, UsageError> {
    let ListOptions {
        what: _,
        globs: arguments,
        json,
        source,
        host_root: _,
        names,
        kernel,
        // Nothing is kept: it changes nothing.
        no_cache: _,
        // Nor is debug information read.
        download: _,
        help: _,
    } = options;
    if source || names || kernel.is_some() {
        return Err(UsageError::new("-s is for functions")
            .hint("leave it out: `retsnoop-rs list usdt PATH`, with --json for programs"));
    }
    if arguments.is_empty() {
        return Err(
            UsageError::new("no file: whose USDT probes are to be listed?")
                .hint("try `retsnoop-rs list usdt /usr/bin/python3`, or the id of a process"),
        );
    }
    let objects = parse(&arguments)?;
    Ok(UsdtConfig { objects, json })
}

/// Parses the arguments, whose type depends on what is listed.
fn parse<T: FromStr<Err = String>>(arguments: &[String]) -> Result<Vec<T>, UsageError> {
    let parsed = arguments.iter().map(|argument| {
        argument.parse().map_err(|why: String| {
            let text = format!("invalid value '{argument}' for '[GLOB]...': {why}");
            UsageError::new(text).hint("see `--help`")
        })
    });
    parsed.collect()
}

/// What these options ask for.
///
/// # Errors
///
/// When there is no glob, or one of a kind that is not possible yet.
fn functions(options: ListOptions) -> Result<ListConfig, UsageError> {
    let ListOptions {
        what: _,
        globs: arguments,
        json,
        source,
        host_root: _,
        names,
        kernel,
        no_cache,
        download,
        help: _,
    } = options;
    if arguments.is_empty() {
        return Err(
            UsageError::new("no glob: which functions are to be listed?")
                .hint("try `retsnoop-rs list functions 'vfs_*'`; `'*'` lists all"),
        );
    }
    let mut globs = Globs::default();
    globs.add_arguments(Role::Entry, parse::<GlobArg>(&arguments)?)?;
    Ok(ListConfig {
        globs,
        format: match (json, names) {
            (true, _) => ListFormat::Json,
            (false, true) => ListFormat::Names,
            (false, false) => ListFormat::Text,
        },
        source,
        kernel_image: kernel,
        cache: !no_cache,
        download: download.into(),
    })
}
