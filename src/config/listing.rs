// SPDX-License-Identifier: BSD-2-Clause
//! What `list` prints.

use std::path::PathBuf;

use super::globs::Globs;
use super::settings::Download;
use crate::spec::UserObject;

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
    pub download: Download,
}

/// How containers are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainersConfig {
    /// An object each, instead of a line.
    pub json: bool,
    /// Below which directory the state of the runtimes is.
    pub host_root: PathBuf,
}

/// How USDT probes are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtConfig {
    /// The files and processes.
    pub objects: Vec<UserObject>,
    /// An object each, instead of a line.
    pub json: bool,
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
