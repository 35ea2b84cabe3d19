// SPDX-License-Identifier: BSD-2-Clause
//! Reads files that others wrote: only below the root, without blocking, and with a size limit.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// Maximum size in bytes of a state file of a host. Podman's list of containers is the largest.
const MAX_BYTES: u64 = 16 << 20;

/// Maximum size in bytes of a state file of a user, who runs fewer containers.
const MAX_BYTES_OF_USERS: u64 = 2 << 20;

/// The files of a host below a root: `/`, or a directory of recorded files.
#[derive(Clone, Debug)]
pub struct HostFiles {
    root: PathBuf,
}

impl HostFiles {
    /// Uses the files below `root`.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The path of `relative`, with or without a leading `/`. Only for file systems of the kernel,
    /// in which nobody can create links.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        let relative = relative.as_ref();
        self.root
            .join(relative.strip_prefix("/").unwrap_or(relative))
    }

    /// Whether a path from [`Self::path`] is a directory below the root after all links are
    /// resolved.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        let (Ok(root), Ok(path)) = (self.root.canonicalize(), path.canonicalize()) else {
            return false;
        };
        path.starts_with(root) && path.is_dir()
    }

    /// Reads a file. Links are resolved below the root.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is not a regular file, or is larger than 16 MiB.
    pub fn read(&self, relative: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        self.read_if(relative.as_ref(), MAX_BYTES, |_| true)
    }

    /// Reads a file that must belong to a user.
    ///
    /// # Errors
    ///
    /// When it cannot be read, belongs to another user, is not a regular file, or is larger than 2
    /// MiB.
    pub fn read_of(&self, uid: u32, relative: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let is_theirs = |found: &Metadata| found.uid() == uid;
        self.read_if(relative.as_ref(), MAX_BYTES_OF_USERS, is_theirs)
    }

    fn read_if(
        &self,
        relative: &Path,
        most: u64,
        is_right: impl Fn(&Metadata) -> bool,
    ) -> io::Result<Vec<u8>> {
        // Opening a device may have an effect, and opening a FIFO blocks. The type is therefore
        // checked first.
        let found = File::from(self.open(relative, OFlag::O_PATH)?);
        let metadata = found.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("no ordinary file"));
        }
        if !is_right(&metadata) {
            return Err(io::Error::other("somebody else's file"));
        }
        let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::Error::other(format!("more than {} MiB", most >> 20)));
        }
        Ok(bytes)
    }

    /// The names in a directory, at most 65,536; empty if it cannot be read.
    #[must_use]
    pub fn names(&self, relative: impl AsRef<Path>) -> Vec<String> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let Ok(directory) = self.open(relative.as_ref(), flags) else {
            return Vec::new();
        };
        let opened = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let entries = fs::read_dir(opened).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.take(1 << 16).collect()
    }

    fn open(&self, relative: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let root = File::open(&self.root)?;
        let relative = relative.strip_prefix("/").unwrap_or(relative);
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        Ok(openat2(&root, relative, how)?)
    }
}
