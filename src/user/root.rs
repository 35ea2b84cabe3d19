// SPDX-License-Identifier: BSD-2-Clause
//! The root directory below which files are looked for: ours, or that of a container.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::trusted::{find_directory_below, open_regular, open_regular_below};

/// Maximum number of names that are read of a directory.
const MAX_NAMES: usize = 16 << 10;

/// A root directory.
#[derive(Debug, Default)]
pub(super) struct Root(Option<File>);

impl Root {
    /// The root directory that a descriptor is open for. Links below it do not lead out of it.
    pub(super) fn of(directory: File) -> Self {
        Self(Some(directory))
    }

    /// Whether it is our own.
    pub(super) fn is_ours(&self) -> bool {
        self.0.is_none()
    }

    /// Opens a regular file.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        match &self.0 {
            None => open_regular(path),
            Some(root) => open_regular_below(root, path),
        }
    }

    /// Returns the names in a directory, sorted; none if it cannot be read.
    pub(super) fn names(&self, directory: &Path) -> Vec<OsString> {
        let entries = match &self.0 {
            None => fs::read_dir(directory),
            Some(root) => find_directory_below(root, directory)
                .and_then(|found| fs::read_dir(format!("/proc/self/fd/{}", found.as_raw_fd()))),
        };
        let entries = entries.into_iter().flatten().take(MAX_NAMES).flatten();
        let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        names
    }
}
