// SPDX-License-Identifier: BSD-2-Clause
//! The cache of debuginfod clients: `BUILDID/debuginfo`. An unfinished download is stored next to
//! it, with its origin.
//!
//! All operations are relative to the open directory of the build id, and each directory on the
//! path is checked before. Otherwise another user with write access could redirect our writes.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::kernel::images::BuildId;
use crate::trusted::{Untrusted, is_ours, make_directory};

/// File name that all debuginfod clients use.
const DEBUGINFO_FILE: &str = "debuginfo";

/// File name of an unfinished download. Those of other clients end in six random letters, and these
/// clients do not resume.
const PARTIAL_FILE: &str = "debuginfo.retsnoop-rs";

/// File name of the origin. It has two lines: the URL, and the validator of the server.
const ORIGIN_FILE: &str = "debuginfo.retsnoop-rs.from";

/// Maximum size of the origin in bytes.
const LARGEST_ORIGIN: u64 = 8 << 10;

/// Interval of checks whether another process has finished.
const LOCK_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Why nothing can be stored.
#[derive(Debug)]
pub enum StoreError {
    /// Another user could write to this path.
    NotOurs(PathBuf),
    /// An operation failed.
    Failed(io::Error),
}

/// The directory of one build id.
#[derive(Debug)]
pub(super) struct Store {
    directory: File,
    path: PathBuf,
}

/// An unfinished download that this process has locked.
pub(super) type Partial = Flock<File>;

/// The origin of an unfinished download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) url: String,
    /// Value for `If-Range`: an entity tag or a date.
    pub(super) validator: String,
}

impl Store {
    /// Opens the directory of a build id below a cache, and creates it if needed.
    pub(super) fn open(cache: &Path, id: &BuildId) -> Result<Self, StoreError> {
        let (above, cache) = make_directory(cache)?;
        let name = id.to_string();
        match mkdirat(&above, &name[..], Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let path = cache.join(&name);
        let directory = openat(&above, &name[..], flags, Mode::empty());
        let directory = match directory {
            Ok(directory) => File::from(directory),
            Err(Errno::ELOOP | Errno::ENOTDIR) => return Err(StoreError::NotOurs(path)),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        if !is_ours(&directory.metadata()?) {
            return Err(StoreError::NotOurs(path));
        }
        Ok(Self { directory, path })
    }

    /// The finished file; `None` if it does not exist. An empty file is a mark of clients that no
    /// server has it.
    pub(super) fn whole(&self) -> Option<PathBuf> {
        let path = self.path.join(DEBUGINFO_FILE);
        let metadata = path.symlink_metadata().ok()?;
        (metadata.is_file() && metadata.len() > 0).then_some(path)
    }

    /// Locks the unfinished download. Calls `wait` while another process has the lock.
    pub(super) fn lock(&self, wait: impl Fn()) -> Result<Partial, StoreError> {
        loop {
            let file = self.open_ours(PARTIAL_FILE, OFlag::O_CREAT | OFlag::O_RDWR)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // If the other process renamed it, it is no longer the unfinished download.
                Ok(partial) if self.is_there(&partial) => return Ok(partial),
                Ok(_) => {}
                Err((_, Errno::EWOULDBLOCK)) => {
                    wait();
                    thread::sleep(LOCK_CHECK_INTERVAL);
                }
                Err((_, error)) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// The origin of the unfinished download; `None` if it is not known.
    pub(super) fn origin(&self) -> Option<Origin> {
        let file = self.open_ours(ORIGIN_FILE, OFlag::O_RDONLY).ok()?;
        let mut text = String::new();
        file.take(LARGEST_ORIGIN).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let (url, validator) = (lines.next()?.to_owned(), lines.next()?.to_owned());
        // Without the last line end, the file was not written completely.
        (text.ends_with('\n') && lines.next().is_none()).then_some(Origin { url, validator })
    }

    /// Stores the origin. With `None` the download cannot be resumed.
    pub(super) fn set_origin(&self, origin: Option<&Origin>) -> io::Result<()> {
        match unlinkat(&self.directory, ORIGIN_FILE, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(Origin { url, validator }) = origin else {
            return Ok(());
        };
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
        let mut file = self
            .open_ours(ORIGIN_FILE, flags)
            .map_err(io::Error::other)?;
        write!(file, "{url}\n{validator}\n")
    }

    /// A path that refers to the open file, whatever happens to its name.
    pub(super) fn partial_path(&self, partial: &Partial) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", partial.as_raw_fd()))
    }

    /// Renames a complete download to the finished file.
    pub(super) fn publish(&self, partial: &Partial) -> Result<PathBuf, StoreError> {
        partial.sync_all()?;
        renameat(
            &self.directory,
            PARTIAL_FILE,
            &self.directory,
            DEBUGINFO_FILE,
        )
        .map_err(io::Error::from)?;
        // The mode is that of other clients: nobody changes the file, and their cleanup may remove
        // it. Under its first name the file stays writable, because another process that waits for
        // the lock opens it again and again.
        partial.set_permissions(Permissions::from_mode(0o400))?;
        self.remove(ORIGIN_FILE);
        Ok(self.path.join(DEBUGINFO_FILE))
    }

    /// Removes an unfinished download.
    pub(super) fn discard(&self) {
        self.remove(PARTIAL_FILE);
        self.remove(ORIGIN_FILE);
    }

    /// Removes an unfinished download that cannot be resumed, and then the directory if it is
    /// empty.
    pub(super) fn tidy(&self, partial: &Partial) {
        let is_empty = partial.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if is_empty || self.origin().is_none() {
            self.discard();
            // This fails if the directory is not empty.
            let _ = fs::remove_dir(&self.path);
        }
    }

    fn remove(&self, name: &str) {
        // If it cannot be removed, the next run handles it.
        let _ = unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir);
    }

    /// Whether the open file still has the name of an unfinished download.
    fn is_there(&self, partial: &Partial) -> bool {
        let (Ok(ours), Ok(there)) = (
            partial.metadata(),
            self.path.join(PARTIAL_FILE).symlink_metadata(),
        ) else {
            return false;
        };
        (ours.dev(), ours.ino()) == (there.dev(), there.ino())
    }

    /// Opens a regular file in the directory that only we can write to.
    fn open_ours(&self, name: &str, flags: OFlag) -> Result<File, StoreError> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let not_ours = || StoreError::NotOurs(self.path.join(name));
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = match openat(&self.directory, name, flags, mode) {
            Ok(file) => File::from(file),
            Err(Errno::ELOOP) => return Err(not_ours()),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let metadata = file.metadata()?;
        if metadata.is_file() && metadata.nlink() == 1 && is_ours(&metadata) {
            Ok(file)
        } else {
            Err(not_ours())
        }
    }
}

impl From<Untrusted> for StoreError {
    fn from(why: Untrusted) -> Self {
        match why {
            Untrusted::NotOurs(path) => Self::NotOurs(path),
            Untrusted::Failed(error) => Self::Failed(error),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs(path) => write!(f, "others could write to `{}`", path.display()),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl Error for StoreError {}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{ORIGIN_FILE, Origin, PARTIAL_FILE, Store, StoreError};
    use crate::kernel::images::BuildId;

    const NAME: &str = "abcd";

    fn open(cache: &Path) -> Result<Store, StoreError> {
        Store::open(cache, &BuildId(vec![0xab, 0xcd]))
    }

    fn refused(cache: &Path) -> String {
        let error = open(cache).unwrap_err();
        assert!(matches!(error, StoreError::NotOurs(_)), "{error}");
        error.to_string()
    }

    #[test]
    fn what_is_published_has_the_name_that_other_clients_look_for() {
        let base = tempfile::tempdir().unwrap();
        let cache = base.path().join("a/cache");
        let store = open(&cache).unwrap();
        assert_eq!(store.whole(), None);
        let partial = store.lock(|| panic!("nobody else is there")).unwrap();
        fs::write(cache.join(NAME).join(PARTIAL_FILE), b"bytes").unwrap();
        let path = store.publish(&partial).unwrap();
        assert_eq!(path, cache.join("abcd/debuginfo"));
        assert_eq!(fs::read(&path).unwrap(), b"bytes");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o400
        );
        assert_eq!(store.whole(), Some(path));
        // A mark of other clients that no server has it.
        fs::write(cache.join("abcd/other"), b"").unwrap();
        fs::rename(cache.join("abcd/other"), cache.join("abcd/debuginfo")).unwrap();
        assert_eq!(store.whole(), None);
    }

    #[test]
    fn links_of_others_are_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let (cache, victim) = (base.path().join("cache"), base.path().join("victim"));
        fs::write(&victim, b"precious").unwrap();
        let store = open(&cache).unwrap();
        for name in [PARTIAL_FILE, ORIGIN_FILE] {
            symlink(&victim, cache.join(NAME).join(name)).unwrap();
        }
        assert!(matches!(store.lock(|| {}), Err(StoreError::NotOurs(_))));
        assert_eq!(store.origin(), None);
        // The link is removed, and its target is not changed.
        let origin = Origin {
            url: "u".to_owned(),
            validator: "v".to_owned(),
        };
        store.set_origin(Some(&origin)).unwrap();
        assert_eq!(store.origin(), Some(origin));
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        // A second name of a file is not followed either.
        fs::remove_file(cache.join(NAME).join(PARTIAL_FILE)).unwrap();
        fs::hard_link(&victim, cache.join(NAME).join(PARTIAL_FILE)).unwrap();
        assert!(matches!(store.lock(|| {}), Err(StoreError::NotOurs(_))));
        // A link in place of the directory of a build id is not followed either.
        fs::remove_dir_all(cache.join(NAME)).unwrap();
        fs::create_dir(base.path().join("elsewhere")).unwrap();
        symlink(base.path().join("elsewhere"), cache.join(NAME)).unwrap();
        assert!(refused(&cache).contains("abcd"));
    }

    #[test]
    fn where_others_write_nothing_is_written() {
        let base = tempfile::tempdir().unwrap();
        let (shared, cache) = (base.path().join("shared"), base.path().join("shared/cache"));
        open(&cache).unwrap();
        for path in [&cache.join(NAME), &cache, &shared] {
            let mode = |mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            mode(0o777);
            assert!(refused(&cache).contains("shared"));
            mode(0o700);
            open(&cache).unwrap();
        }
        // A link of ours does not make a directory of others trusted.
        symlink(&shared, base.path().join("link")).unwrap();
        open(&base.path().join("link/cache")).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o777)).unwrap();
        assert!(refused(&base.path().join("link/cache")).contains("shared"));
    }

    #[test]
    fn an_origin_that_is_damaged_is_none() {
        let base = tempfile::tempdir().unwrap();
        let store = open(base.path()).unwrap();
        for text in [
            &b""[..],
            b"url",
            b"url\n",
            b"url\nvalidator",
            b"a\nb\nc\n",
            b"\xff\n\xff\n",
        ] {
            fs::write(base.path().join(NAME).join(ORIGIN_FILE), text).unwrap();
            fs::set_permissions(
                base.path().join(NAME).join(ORIGIN_FILE),
                Permissions::from_mode(0o600),
            )
            .unwrap();
            assert_eq!(store.origin(), None, "{text:?}");
        }
    }
}
