// SPDX-License-Identifier: BSD-2-Clause
//! What `list functions GLOB…` means.

use std::path::PathBuf;

use super::globs::{Globs, Role};
use crate::cli::{DownloadOptions, ListOptions, UsageError};

/// What to list, and how.
#[derive(Clone, Debug)]
pub struct ListConfig {
    /// The functions, as entry globs.
    pub globs: Globs,
    /// How they are printed.
    pub format: ListFormat,
    /// Whether to say where they are defined.
    pub source: bool,
    /// `-k`.
    pub kernel_image: Option<PathBuf>,
    /// Whether results are kept in the user's cache directory for the next run.
    pub cache: bool,
    /// What may be fetched.
    pub download: DownloadOptions,
}

/// How containers are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainersConfig {
    /// An object each, instead of a line.
    pub json: bool,
    /// Below which directory the state of the runtimes is.
    pub host_root: PathBuf,
}

impl ContainersConfig {
    /// What these options ask for.
    ///
    /// # Errors
    ///
    /// When there are options that are for functions.
    pub fn resolve(options: ListOptions) -> Result<Self, UsageError> {
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
            return Err(UsageError::new(
                "all containers are listed: globs and -s are for functions",
            )
            .hint("leave them out: `retsnoop-rs list containers`, with --json for programs"));
        }
        Ok(Self { json, host_root })
    }
}

/// How functions are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// A line each, for people.
    Text,
    /// An object each.
    Json,
    /// The names of those that can be traced, for completion.
    Names,
}

impl ListConfig {
    /// What these options ask for.
    ///
    /// # Errors
    ///
    /// When there is no glob, or one of a kind that is not possible yet.
    pub fn resolve(options: ListOptions) -> Result<Self, UsageError> {
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
        Ok(Self {
            globs,
            format: match (json, names) {
                (true, _) => ListFormat::Json,
                (false, true) => ListFormat::Names,
                (false, false) => ListFormat::Text,
            },
            source,
            kernel_image: kernel,
            cache: !no_cache,
            download,
        })
    }
}
