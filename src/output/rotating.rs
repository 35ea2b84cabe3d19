// SPDX-License-Identifier: BSD-2-Clause
//! The file of `-o`: rotated when it is large, reopened after SIGHUP.
//!
//! Sessions contain kernel addresses, so only the owner may read it. Once the file is open, names
//! are looked up in the directory that was opened first, and links that somebody creates there are
//! not followed.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::config::OutputFile;
use crate::diag::Diag;
use crate::failure::Failure;

/// Readable and writable by its owner only.
const FILE_MODE: u32 = 0o600;

/// An output file that is rotated when it exceeds its maximum size.
pub(crate) struct Rotating {
    options: OutputFile,
    place: FileInDirectory,
    file: File,
    written: u64,
}

/// An open directory, and the name of a file in it.
struct FileInDirectory {
    directory: OwnedFd,
    name: OsString,
    /// Whether the user named a link. It is followed again after SIGHUP.
    is_link: bool,
}

impl Rotating {
    pub(crate) fn open(options: &OutputFile, diag: &Diag) -> Result<Self> {
        let path = &options.path;
        let failed = |error: io::Error| {
            Failure::hinted(
                format!("failed to open `{}` for writing: {error}", path.display()),
                "-o takes the path of a file in a directory that exists and that we may write to",
            )
        };
        let place = FileInDirectory::of(path).map_err(failed)?;
        let mut opening = File::options();
        opening
            .create(true)
            .mode(FILE_MODE)
            .custom_flags(libc::O_NOCTTY);
        if options.append {
            opening.append(true);
        } else {
            opening.write(true).truncate(true);
        }
        let file = opening.open(path).map_err(failed)?;
        let metadata = file
            .metadata()
            .with_context(|| format!("failed to look at `{}`", path.display()))?;
        if metadata.is_file() {
            place.warn_of_others(path, diag);
        }
        Ok(Self {
            options: options.clone(),
            place,
            written: if options.append { metadata.len() } else { 0 },
            file,
        })
    }

    /// Opens the name again. Whoever sent SIGHUP has moved the file and wants a new one.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        let mut flags = OFlag::O_APPEND | OFlag::O_CREAT;
        if !self.place.is_link {
            flags |= OFlag::O_NOFOLLOW;
        }
        self.file = self.place.open(flags)?;
        self.written = self.file.metadata()?.len();
        Ok(())
    }

    pub(crate) fn write(&mut self, session: &[u8]) -> io::Result<()> {
        let would_be = self.written.saturating_add(session.len() as u64);
        let is_too_large = self.options.max_size.is_some_and(|max| would_be > max);
        if is_too_large && self.written > 0 {
            self.rotate()?;
        }
        self.file.write_all(session)?;
        self.written += session.len() as u64;
        Ok(())
    }

    /// Renames `FILE.4` to `FILE.5`, …, `FILE` to `FILE.1`, which overwrites `FILE.5`. Creates a
    /// new `FILE`.
    fn rotate(&mut self) -> io::Result<()> {
        let place = &self.place;
        for number in (1..self.options.keep).rev() {
            match place.rename(&place.numbered(number), &place.numbered(number + 1)) {
                Err(Errno::ENOENT) => {}
                renamed => renamed?,
            }
        }
        if self.options.keep > 0 {
            place.rename(&place.name, &place.numbered(1))?;
        } else {
            place.remove()?;
        }
        self.file = place.open(OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW)?;
        self.written = 0;
        Ok(())
    }
}

impl FileInDirectory {
    fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            directory: open(directory, flags, Mode::empty())?,
            name: name.to_owned(),
            is_link: path.is_symlink(),
        })
    }

    fn open(&self, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let mode = Mode::from_bits_truncate(FILE_MODE);
        let file = openat(&self.directory, self.name.as_os_str(), flags, mode)?;
        Ok(File::from(file))
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        renameat(&self.directory, from, &self.directory, to)
    }

    fn remove(&self) -> nix::Result<()> {
        unlinkat(
            &self.directory,
            self.name.as_os_str(),
            UnlinkatFlags::NoRemoveDir,
        )
    }

    fn numbered(&self, number: u32) -> OsString {
        let mut name = self.name.clone();
        name.push(format!(".{number}"));
        name
    }

    /// Warns if others can rename files in the directory, because they decide what is written to.
    fn warn_of_others(&self, path: &Path, diag: &Diag) {
        let directory = File::from(match self.directory.try_clone() {
            Ok(directory) => directory,
            Err(_) => return,
        });
        if directory.metadata().is_ok_and(|found| is_anybodys(&found)) {
            diag.warning(format!(
                "anybody may replace files in the directory of `{}`",
                path.display()
            ));
            diag.hint("-o names a file in a directory that only you can write to");
        }
    }
}

/// Returns true if others can write to the directory and it is not sticky as `/tmp` is.
fn is_anybodys(directory: &Metadata) -> bool {
    directory.mode() & 0o002 != 0 && directory.mode() & libc::S_ISVTX == 0
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{Rotating, is_anybodys};
    use crate::config::OutputFile;
    use crate::diag::{Diag, Paint};

    fn open(options: &OutputFile) -> Rotating {
        Rotating::open(options, &Diag::stderr(Paint::Never, 0)).unwrap()
    }

    fn options(path: &Path, append: bool) -> OutputFile {
        OutputFile {
            path: path.to_owned(),
            append,
            max_size: Some(10),
            keep: 2,
        }
    }

    #[test]
    fn a_file_that_is_full_gives_way_and_so_many_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut file = open(&options(&path, false));
        for session in [
            "one 123\n",
            "two 1234567890\n",
            "three\n",
            "4\n",
            "five...\n",
        ] {
            file.write(session.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("out"), "five...\n");
        assert_eq!(read("out.1"), "three\n4\n");
        assert_eq!(read("out.2"), "two 1234567890\n");
        assert!(!directory.path().join("out.3").exists());
    }

    #[test]
    fn append_keeps_what_is_there_and_reopening_makes_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old\n").unwrap();
        let mut file = open(&options(&path, true));
        file.write(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old\nnew\n");
        fs::rename(&path, directory.path().join("moved")).unwrap();
        file.reopen().unwrap();
        file.write(b"newer\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer\n");
        drop(open(&options(&path, false)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }
    #[test]
    fn sessions_are_for_their_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut file = open(&options(&path, false));
        file.write(b"one 1234567890\n").unwrap();
        file.write(b"two 1234567890\n").unwrap();
        for name in ["out", "out.1"] {
            let metadata = fs::metadata(directory.path().join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_link_that_is_planted_while_a_file_is_open_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (
            directory.path().join("out"),
            directory.path().join("victim"),
        );
        fs::write(&victim, "precious").unwrap();
        let mut file = open(&options(&path, false));
        file.write(b"one\n").unwrap();
        fs::remove_file(&path).unwrap();
        symlink(&victim, &path).unwrap();
        assert_eq!(file.reopen().unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        file.write(b"two 1234567890\n").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two 1234567890\n");
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut file = open(&OutputFile {
            keep: 0,
            ..options(&path, false)
        });
        file.write(b"one 1234567890\n").unwrap();
        file.write(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert!(!directory.path().join("out.1").exists());
    }

    #[test]
    fn a_directory_of_anybody_is_told_from_a_sticky_one() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, expected) in [(0o755, false), (0o777, true), (0o1777, false)] {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(directory.path(), permissions).unwrap();
            let found = fs::metadata(directory.path()).unwrap();
            assert_eq!(is_anybodys(&found), expected, "{mode:o}");
        }
    }
}
