// SPDX-License-Identifier: BSD-2-Clause
//! What the options of `list` mean.

use super::commands::ListOptions;
use crate::config::{ContainersConfig, Globs, ListConfig, ListFormat, Role, UsageError};

/// What these options ask for.
///
/// # Errors
///
/// When there are options that are for functions.
pub(super) fn containers(options: ListOptions) -> Result<ContainersConfig, UsageError> {
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
/// When there is no glob, or one of a kind that is not possible yet.
pub(super) fn functions(options: ListOptions) -> Result<ListConfig, UsageError> {
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
    globs.add_arguments(Role::Entry, arguments)?;
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
