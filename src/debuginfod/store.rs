// SPDX-License-Identifier: BSD-2-Clause
//! The cache of debuginfod's clients: `BUILDID/debuginfo`, and beside it what has come so far of
//! one that is being fetched, with where it comes from.
//!
//! Everything goes through the opened directory of the build id, after a look at each directory
//! on the way: whoever else could write there could have us write elsewhere.

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

/// As every client of debuginfod calls it.
const WHOLE: &str = "debuginfo";

/// What has come so far. Other clients' own have six random letters, and none resumes.
const PARTIAL: &str = "debuginfo.retsnoop-rs";

/// Where that comes from: two lines, the address and the server's word for this very content.
const ORIGIN: &str = "debuginfo.retsnoop-rs.from";

/// In bytes: what the origin may have.
const LARGEST_ORIGIN: u64 = 8 << 10;

/// How often is looked whether another process is done.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why nothing can be kept.
#[derive(Debug)]
pub enum StoreError {
    /// Somebody else could write to this.
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

/// What has come so far; no other process has it.
pub(super) type Partial = Flock<File>;

/// Where a part comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) url: String,
    /// For `If-Range`: an entity tag or a date.
    pub(super) validator: String,
}

impl Store {
    /// The directory of a build id below a cache, made if it is not there.
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

    /// The file, where it is there. What clients leave as a mark that no server has it is empty.
    pub(super) fn whole(&self) -> Option<PathBuf> {
        let path = self.path.join(WHOLE);
        let metadata = path.symlink_metadata().ok()?;
        (metadata.is_file() && metadata.len() > 0).then_some(path)
    }

    /// The part, once no other process has it; `wait` is called while one has.
    pub(super) fn lock(&self, wait: impl Fn()) -> Result<Partial, StoreError> {
        loop {
            let file = self.open_ours(PARTIAL, OFlag::O_CREAT | OFlag::O_RDWR)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // Whoever had it may have given it its name: then it is not the part any more.
                Ok(partial) if self.is_there(&partial) => return Ok(partial),
                Ok(_) => {}
                Err((_, Errno::EWOULDBLOCK)) => {
                    wait();
                    thread::sleep(LOOK_EVERY);
                }
                Err((_, error)) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// Where the part comes from, if that is known.
    pub(super) fn origin(&self) -> Option<Origin> {
        let file = self.open_ours(ORIGIN, OFlag::O_RDONLY).ok()?;
        let mut text = String::new();
        file.take(LARGEST_ORIGIN).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let (url, validator) = (lines.next()?.to_owned(), lines.next()?.to_owned());
        // Without its last line end it was not written to its end.
        (text.ends_with('\n') && lines.next().is_none()).then_some(Origin { url, validator })
    }

    /// Keeps where the part comes from; `None`: it cannot be continued.
    pub(super) fn set_origin(&self, origin: Option<&Origin>) -> io::Result<()> {
        match unlinkat(&self.directory, ORIGIN, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(Origin { url, validator }) = origin else {
            return Ok(());
        };
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
        let mut file = self.open_ours(ORIGIN, flags).map_err(io::Error::other)?;
        write!(file, "{url}\n{validator}\n")
    }

    /// A path to the part that is the part whatever happens to its name.
    pub(super) fn partial_path(&self, partial: &Partial) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", partial.as_raw_fd()))
    }

    /// Makes the part, which is whole, the file.
    pub(super) fn publish(&self, partial: &Partial) -> Result<PathBuf, StoreError> {
        // As other clients leave it: nobody changes it, and those that clean up remove it.
        partial.set_permissions(Permissions::from_mode(0o400))?;
        partial.sync_all()?;
        renameat(&self.directory, PARTIAL, &self.directory, WHOLE).map_err(io::Error::from)?;
        self.remove(ORIGIN);
        Ok(self.path.join(WHOLE))
    }

    /// Removes a part that nobody needs.
    pub(super) fn discard(&self) {
        self.remove(PARTIAL);
        self.remove(ORIGIN);
    }

    /// Removes a part that cannot be continued, and the directory if it is empty.
    pub(super) fn tidy(&self, partial: &Partial) {
        let is_empty = partial.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if is_empty || self.origin().is_none() {
            self.discard();
            // It is not where it holds something.
            let _ = fs::remove_dir(&self.path);
        }
    }

    fn remove(&self, name: &str) {
        // What cannot be removed is looked at again by the next run.
        let _ = unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir);
    }

    /// Whether the part still has its name.
    fn is_there(&self, partial: &Partial) -> bool {
        let (Ok(ours), Ok(there)) = (
            partial.metadata(),
            self.path.join(PARTIAL).symlink_metadata(),
        ) else {
            return false;
        };
        (ours.dev(), ours.ino()) == (there.dev(), there.ino())
    }

    /// A regular file of the directory that only we write to.
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

    use super::{ORIGIN, Origin, PARTIAL, Store, StoreError};
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
        fs::write(cache.join(NAME).join(PARTIAL), b"bytes").unwrap();
        let path = store.publish(&partial).unwrap();
        assert_eq!(path, cache.join("abcd/debuginfo"));
        assert_eq!(fs::read(&path).unwrap(), b"bytes");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o400
        );
        assert_eq!(store.whole(), Some(path));
        // A mark of other clients: nobody has it.
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
        for name in [PARTIAL, ORIGIN] {
            symlink(&victim, cache.join(NAME).join(name)).unwrap();
        }
        assert!(matches!(store.lock(|| {}), Err(StoreError::NotOurs(_))));
        assert_eq!(store.origin(), None);
        // The name is taken away, not what it leads to.
        let origin = Origin {
            url: "u".to_owned(),
            validator: "v".to_owned(),
        };
        store.set_origin(Some(&origin)).unwrap();
        assert_eq!(store.origin(), Some(origin));
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        // Nor a second name of the file.
        fs::remove_file(cache.join(NAME).join(PARTIAL)).unwrap();
        fs::hard_link(&victim, cache.join(NAME).join(PARTIAL)).unwrap();
        assert!(matches!(store.lock(|| {}), Err(StoreError::NotOurs(_))));
        // Nor where the directory of the build id leads.
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
        // What is not ours cannot be made to look like it.
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
            fs::write(base.path().join(NAME).join(ORIGIN), text).unwrap();
            fs::set_permissions(
                base.path().join(NAME).join(ORIGIN),
                Permissions::from_mode(0o600),
            )
            .unwrap();
            assert_eq!(store.origin(), None, "{text:?}");
        }
    }
}
