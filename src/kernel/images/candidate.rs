// SPDX-License-Identifier: BSD-2-Clause
//! A file that may be the image that is searched for. It is opened once, so that the file that was
//! checked is the one that is read.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::elf_file::ElfFacts;
use super::plain::{open_plain, unpacked};
use crate::trusted::open_trusted;

/// A file to read debug information from.
#[derive(Clone, Debug)]
pub struct ImageFile {
    /// Path of the file.
    pub path: PathBuf,
    /// The uncompressed file that was checked; `None` if it is opened later.
    opened: Option<Arc<File>>,
}

/// Cache directories of users. A file there is trusted only if its owner is trusted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caches<'a>(pub(super) &'a [PathBuf]);

/// An open file, and the facts from its headers.
#[derive(Debug)]
pub(super) struct ImageCandidate {
    pub(super) file: ImageFile,
    pub(super) facts: ElfFacts,
}

impl ImageFile {
    /// Returns the uncompressed file for reading.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(&self) -> io::Result<File> {
        match &self.opened {
            Some(file) => file.try_clone(),
            None => open_plain(&self.path),
        }
    }
}

impl From<PathBuf> for ImageFile {
    fn from(path: PathBuf) -> Self {
        Self { path, opened: None }
    }
}

impl PartialEq for ImageFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for ImageFile {}

impl Caches<'_> {
    /// For a file that the user named.
    pub(super) const NONE: Self = Self(&[]);

    fn have(self, path: &Path) -> bool {
        self.0.iter().any(|cache| path.starts_with(cache))
    }
}

impl ImageCandidate {
    /// Opens a file; `None` if it is not ELF. A file in a cache, and the directories that lead to
    /// it, must belong to root or to us.
    pub(super) fn open(path: &Path, caches: Caches<'_>) -> io::Result<Option<Self>> {
        let file = if caches.have(path) {
            unpacked(open_trusted(path)?)?
        } else {
            open_plain(path)?
        };
        let Some(facts) = ElfFacts::of_file(&file)? else {
            return Ok(None);
        };
        let file = ImageFile {
            path: path.to_owned(),
            opened: Some(Arc::new(file)),
        };
        Ok(Some(Self { file, facts }))
    }
}
