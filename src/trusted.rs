// SPDX-License-Identifier: BSD-2-Clause
//! Opens files and directories that other users may have created, moved or replaced.
//!
//! The program often runs as root, with paths from the environment or from files of others. A file
//! is opened only if it is known to be regular, because opening a device may have an effect, and
//! opening a FIFO blocks. A path is trusted if only root and the effective user can change what it
//! refers to.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf, absolute};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::geteuid;

/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;

/// The sticky bit: in such a directory only the owner of a file may remove it.
const STICKY: u32 = 0o1000;

/// Why a path is not used.
#[derive(Debug)]
pub enum Untrusted {
    /// Another user owns this component of the path, or may write to it.
    NotOurs(PathBuf),
    /// An operation failed.
    Failed(io::Error),
}

/// A directory from an environment variable; `None` if it is not set, empty or relative, as the XDG
/// specification requires.
#[must_use]
pub fn directory_of(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Opens a regular file for reading. Devices and FIFOs are not opened.
///
/// # Errors
///
/// When it cannot be opened, or is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    reopen(&find(path, 0)?)
}

/// Opens a regular file below a root directory, to which absolute paths and links are relative.
///
/// # Errors
///
/// When it cannot be opened, or is not a regular file.
pub fn open_regular_below(root: &File, path: &Path) -> io::Result<File> {
    let found = look_up_below(root, path, OFlag::O_PATH)?;
    check_regular(&found)?;
    reopen(&found)
}

/// Opens a directory below a root directory, only to name what is in it.
///
/// # Errors
///
/// When it cannot be opened, or is not a directory.
pub fn find_directory_below(root: &File, path: &Path) -> io::Result<File> {
    look_up_below(root, path, OFlag::O_PATH | OFlag::O_DIRECTORY)
}

fn look_up_below(root: &File, path: &Path, flags: OFlag) -> io::Result<File> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    Ok(openat2(root, path, how)?.into())
}

/// Opens a regular file that belongs to root or to us and that nobody else can write to or replace.
///
/// # Errors
///
/// When another user could have changed the file or a directory on the path, or when it cannot be
/// opened.
pub fn open_trusted(path: &Path) -> Result<File, Untrusted> {
    let path = absolute(path)?;
    check_way(&path)?;
    let real = path.canonicalize()?;
    check_way(&real)?;
    let found = find(&real, libc::O_NOFOLLOW)?;
    if !is_trusted(&found.metadata()?) {
        return Err(Untrusted::NotOurs(real));
    }
    Ok(reopen(&found)?)
}

/// Opens an existing directory, and returns it with its path without links.
///
/// # Errors
///
/// When another user could have changed it or a directory on the path, or when it cannot be opened.
pub fn open_directory(path: &Path) -> Result<(File, PathBuf), Untrusted> {
    let path = absolute(path)?;
    check_way(&path)?;
    // Links on the path belong to root or to us, and their targets must be trusted too.
    let real = path.canonicalize()?;
    check_way(&real)?;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW);
    let directory = options.open(&real)?;
    if !is_trusted(&directory.metadata()?) {
        return Err(Untrusted::NotOurs(real));
    }
    Ok((directory, real))
}

/// Opens a directory of our own, and creates it if needed. It is created only below directories
/// that belong to root or to us.
///
/// # Errors
///
/// When another user could have changed it or a directory on the path, or when it cannot be
/// created.
pub fn make_directory(path: &Path) -> Result<(File, PathBuf), Untrusted> {
    let path = absolute(path)?;
    let existing = path
        .ancestors()
        .find(|step| step.symlink_metadata().is_ok());
    check_way(existing.unwrap_or(&path))?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)?;
    let (directory, real) = open_directory(&path)?;
    if !is_ours(&directory.metadata()?) {
        return Err(Untrusted::NotOurs(real));
    }
    Ok((directory, real))
}

/// Whether only the effective user can write to a file.
#[must_use]
pub fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == geteuid().as_raw() && metadata.mode() & OTHERS_WRITE == 0
}

/// Whether only root and the effective user can write to a file.
#[must_use]
pub fn is_trusted(metadata: &Metadata) -> bool {
    is_roots_or_ours(metadata) && metadata.mode() & OTHERS_WRITE == 0
}

fn is_roots_or_ours(metadata: &Metadata) -> bool {
    metadata.uid() == 0 || metadata.uid() == geteuid().as_raw()
}

/// Checks that only root and the effective user can change what a path refers to.
fn check_way(path: &Path) -> Result<(), Untrusted> {
    for step in path.ancestors() {
        let metadata = step.symlink_metadata()?;
        let is_open = metadata.mode() & OTHERS_WRITE != 0 && metadata.mode() & STICKY == 0;
        if !is_roots_or_ours(&metadata) || (is_open && !metadata.is_symlink()) {
            return Err(Untrusted::NotOurs(step.to_owned()));
        }
    }
    Ok(())
}

/// Finds a regular file without opening it for reading.
fn find(path: &Path, flags: i32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let found = options
        .read(true)
        .custom_flags(libc::O_PATH | flags)
        .open(path)?;
    check_regular(&found)?;
    Ok(found)
}

fn check_regular(found: &File) -> io::Result<()> {
    let metadata = found.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(())
}

/// Opens the file that was found, even if its name refers to another one now.
fn reopen(found: &File) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

impl From<io::Error> for Untrusted {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Untrusted> for io::Error {
    fn from(why: Untrusted) -> Self {
        match why {
            Untrusted::Failed(error) => error,
            why @ Untrusted::NotOurs(_) => Self::new(io::ErrorKind::PermissionDenied, why),
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs(path) => write!(
                f,
                "`{}` belongs to another user, or others may write to it",
                path.display()
            ),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl Error for Untrusted {}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::{
        Untrusted, directory_of, find_directory_below, make_directory, open_regular,
        open_regular_below, open_trusted,
    };

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
        watch.add_watch(&pipe, AddWatchFlags::IN_OPEN).unwrap();
        let error = open_regular(&pipe).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
        assert!(open_regular(directory.path()).is_err());
        assert!(open_regular(Path::new("/dev/full")).is_err());
        assert!(watch.read_events().is_err(), "the FIFO was opened");
    }

    #[test]
    fn links_do_not_lead_out_of_a_root() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("etc")).unwrap();
        fs::write(path.join("etc/passwd"), b"theirs").unwrap();
        symlink("/etc/passwd", path.join("link")).unwrap();
        symlink("../../../../etc/hosts", path.join("up")).unwrap();
        let root = File::open(path).unwrap();
        let mut text = String::new();
        let mut file = open_regular_below(&root, Path::new("/link")).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "theirs");
        assert!(open_regular_below(&root, Path::new("up")).is_err());
        assert!(open_regular_below(&root, Path::new("etc")).is_err());
        assert!(find_directory_below(&root, Path::new("/etc")).is_ok());
    }

    #[test]
    fn a_file_that_others_may_write_to_is_not_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let (below, file) = (directory.path().join("a"), directory.path().join("a/file"));
        fs::create_dir(&below).unwrap();
        fs::write(&file, b"text").unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        mode(&file, 0o644);
        open_trusted(&file).unwrap();
        for path in [&file, &below] {
            mode(path, 0o777);
            assert!(matches!(open_trusted(&file), Err(Untrusted::NotOurs(_))));
            mode(path, 0o755);
        }
        // A link of ours to a file of ours is as good as the file.
        symlink(&file, directory.path().join("link")).unwrap();
        open_trusted(&directory.path().join("link")).unwrap();
        mode(&below, 0o777);
        assert!(open_trusted(&directory.path().join("link")).is_err());
        assert!(make_directory(&below.join("new")).is_err());
        assert!(!below.join("new").exists());
    }

    #[test]
    fn an_empty_or_relative_variable_names_no_directory() {
        assert_eq!(directory_of(Some("".into())), None);
        assert_eq!(directory_of(Some("config".into())), None);
        assert_eq!(directory_of(None), None);
        assert_eq!(
            directory_of(Some("/a".into())).as_deref(),
            Some(Path::new("/a"))
        );
    }
}
