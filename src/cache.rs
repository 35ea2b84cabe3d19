// SPDX-License-Identifier: BSD-2-Clause
//! Stores results that later runs can reuse, in the user's cache directory.
//!
//! Data is trusted only as far as its owner. Directories and files that others could have written
//! are not used, and damaged data counts as absent. All operations are relative to the open
//! directory, so that nobody can redirect them to another one. Writers replace whole files, so that
//! readers see either the old or the new one.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use crate::trusted::{directory_of, is_ours, make_directory};

/// The format version of entries. Other versions are not read.
const MAGIC: &[u8; 8] = b"rsncach1";

/// Maximum size of an entry in bytes. We never write a larger one.
const MAX_ENTRY: u64 = 64 << 20;

/// Maximum number of entries. The oldest are removed.
const MAX_ENTRIES: usize = 64;

/// Maximum number of large files, each for one kernel. The oldest are removed.
const MAX_FILES: usize = 4;

/// A directory of entries.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: Arc<File>,
    path: PathBuf,
}

/// The type of a file in the cache, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CacheFileKind {
    /// A small value: `0123456789abcdef.entry`.
    Entry,
    /// A large file: `lines-0123….index`.
    File,
}

impl CacheFileKind {
    /// Whether a file with this name has this type.
    fn has(self, name: &str) -> bool {
        let is_hex = |text: &str| {
            let mut digits = text.bytes();
            !text.is_empty() && digits.all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        };
        match self {
            Self::Entry => name
                .strip_suffix(".entry")
                .is_some_and(|hash| hash.len() == 16 && is_hex(hash)),
            Self::File => name
                .strip_suffix(".index")
                .and_then(|name| name.strip_prefix("lines-"))
                .is_some_and(is_hex),
        }
    }

    /// Maximum number of files of this type.
    fn most(self) -> usize {
        match self {
            Self::Entry => MAX_ENTRIES,
            Self::File => MAX_FILES,
        }
    }
}

impl Cache {
    /// Opens the directory `retsnoop-rs` below `base`, and creates it if needed.
    ///
    /// # Errors
    ///
    /// When it cannot be created, when another user owns a directory on the path or may write to
    /// it, or when the path is relative.
    pub fn open(base: &Path) -> Result<Self> {
        ensure!(
            base.is_absolute(),
            "`{}` is a relative path",
            base.display()
        );
        let path = base.join("retsnoop-rs");
        let opened = make_directory(&path);
        let (directory, path) =
            opened.with_context(|| format!("failed to open the cache `{}`", path.display()))?;
        Ok(Self {
            directory: Arc::new(directory),
            path,
        })
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the value of `key`; `None` if there is none or if it is damaged.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let file = self.open_ours(&entry_name(key))?;
        let length = file.metadata().ok()?.len();
        if length > MAX_ENTRY {
            return None;
        }
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(MAX_ENTRY).read_to_end(&mut bytes).ok()?;
        value(&bytes, key).map(<[u8]>::to_vec)
    }

    /// Stores `value` under `key`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let write = |file: &mut File| file.write_all(&entry(key, value)).map(|()| true);
        self.replace(&entry_name(key), CacheFileKind::Entry, write)
    }

    /// Opens a file by name; `None` if it does not exist, if others could have written it, or if it
    /// is larger than `most_bytes`.
    #[must_use]
    pub fn open_file(&self, name: &str, most_bytes: u64) -> Option<File> {
        let file = self.open_ours(&file_name(name))?;
        (file.metadata().ok()?.len() <= most_bytes).then_some(file)
    }

    /// Replaces a file by what `write` writes, if `write` returns true.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn replace_file(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<bool>,
    ) -> io::Result<()> {
        self.replace(&file_name(name), CacheFileKind::File, write)
    }

    fn replace(
        &self,
        name: &str,
        kind: CacheFileKind,
        write: impl FnOnce(&mut File) -> io::Result<bool>,
    ) -> io::Result<()> {
        let mut file = self.unnamed()?;
        if !write(&mut file)? {
            return Ok(());
        }
        // The file has no name until it is complete. If we are killed before, nothing is left.
        let temporary = temporary_name(name);
        let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
        let follow = AtFlags::AT_SYMLINK_FOLLOW;
        linkat(
            AT_FDCWD,
            &opened[..],
            &self.directory,
            &temporary[..],
            follow,
        )?;
        let renamed = renameat(&self.directory, &temporary[..], &self.directory, name);
        if renamed.is_err() {
            let _ = unlinkat(&self.directory, &temporary[..], UnlinkatFlags::NoRemoveDir);
        }
        renamed?;
        self.remove_oldest(kind)
    }

    /// Creates a file that is removed when it is closed, unless it gets a name.
    fn unnamed(&self) -> io::Result<File> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        Ok(File::from(openat(&self.directory, ".", flags, mode)?))
    }

    /// Opens a regular file that nobody else could have written.
    fn open_ours(&self, name: &str) -> Option<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.directory, name, flags, Mode::empty()).ok()?);
        let metadata = file.metadata().ok()?;
        (metadata.is_file() && is_ours(&metadata)).then_some(file)
    }

    fn remove_oldest(&self, kind: CacheFileKind) -> io::Result<()> {
        let directory = format!("/proc/self/fd/{}", self.directory.as_raw_fd());
        let mut entries: Vec<(SystemTime, String)> = fs::read_dir(directory)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let metadata = entry.metadata().ok()?;
                let is_ours = kind.has(&name) && metadata.is_file() && is_ours(&metadata);
                is_ours.then_some((metadata.modified().ok()?, name))
            })
            .collect();
        let n_old = entries.len().saturating_sub(kind.most());
        entries.sort_unstable();
        for (_, name) in entries.drain(..n_old) {
            // Another instance may have removed it.
            let _ = unlinkat(&self.directory, &name[..], UnlinkatFlags::NoRemoveDir);
        }
        Ok(())
    }
}

/// Returns a name that no other writer uses.
fn temporary_name(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{name}.{}.{number}.new", process::id())
}

fn file_name(name: &str) -> String {
    format!("{name}.index")
}

fn entry_name(key: &[u8]) -> String {
    format!("{:016x}.entry", hash(key))
}

fn entry(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((key.len() as u64).to_le_bytes());
    bytes.extend(key);
    bytes.extend(value);
    bytes.extend(hash(&bytes).to_le_bytes());
    bytes
}

/// Returns the value of an entry; `None` if it is damaged or has another key.
fn value<'a>(bytes: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let (rest, sum) = bytes.split_last_chunk()?;
    if hash(rest) != u64::from_le_bytes(*sum) {
        return None;
    }
    let rest = rest.strip_prefix(MAGIC)?;
    let (len, rest) = rest.split_first_chunk()?;
    (u64::from_le_bytes(*len) == key.len() as u64).then_some(())?;
    rest.strip_prefix(key)
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The user's cache directory: `$XDG_CACHE_HOME`, or `~/.cache`; `None` if neither is an absolute
/// path.
#[must_use]
pub fn user_directory() -> Option<PathBuf> {
    let home = || directory_of(env::var_os("HOME")).map(|home| home.join(".cache"));
    directory_of(env::var_os("XDG_CACHE_HOME")).or_else(home)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    use nix::unistd::{Uid, chown, geteuid};

    use super::{Cache, MAX_ENTRIES, MAX_FILES, entry_name};

    fn entries(cache: &Cache) -> Vec<PathBuf> {
        let found = fs::read_dir(cache.path()).unwrap();
        found.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn what_is_put_is_got_under_its_key_only() {
        let base = tempfile::tempdir().unwrap();
        let cache = Cache::open(base.path()).unwrap();
        assert_eq!(cache.get(b"one"), None);
        cache.put(b"one", b"1").unwrap();
        cache.put(b"two", b"").unwrap();
        cache.put(b"one", b"11").unwrap();
        assert_eq!(cache.get(b"one").as_deref(), Some(&b"11"[..]));
        assert_eq!(cache.get(b"two").as_deref(), Some(&b""[..]));
        assert_eq!(cache.get(b"three"), None);
        assert_eq!(entries(&cache).len(), 2);
    }

    #[test]
    fn a_damaged_entry_is_none() {
        let base = tempfile::tempdir().unwrap();
        let cache = Cache::open(base.path()).unwrap();
        cache.put(b"key", b"value").unwrap();
        let path = cache.path().join(entry_name(b"key"));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(cache.get(b"key"), None, "{at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(cache.get(b"key"), None, "{at}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(cache.get(b"key").is_some());
    }

    #[test]
    fn what_others_could_have_written_is_not_read() {
        let base = tempfile::tempdir().unwrap();
        let cache = Cache::open(base.path()).unwrap();
        cache.put(b"key", b"value").unwrap();
        let path = cache.path().join(entry_name(b"key"));
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert_eq!(cache.get(b"key"), None);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let elsewhere = base.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert_eq!(cache.get(b"key"), None);
        fs::set_permissions(cache.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(base.path()).is_err());
    }

    #[test]
    fn nothing_is_made_in_the_home_of_another_user() {
        // Only root can change the owner of a directory.
        if !geteuid().is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        chown(home.path(), Some(Uid::from_raw(12_345)), None).unwrap();
        let error = Cache::open(&home.path().join(".cache")).unwrap_err();
        assert!(
            format!("{error:#}").contains("belongs to another user"),
            "{error:#}"
        );
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        assert!(Cache::open(Path::new(".cache")).is_err());
        assert!(Cache::open(Path::new("")).is_err());
    }

    #[test]
    fn only_files_of_our_own_names_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let cache = Cache::open(base.path()).unwrap();
        let foreign = ["00000000000000000001.index", "a.entry", "lines-x.index"];
        for name in foreign {
            fs::write(cache.path().join(name), b"precious").unwrap();
        }
        for number in 0..2 * MAX_FILES {
            let write = |_: &mut File| Ok(true);
            cache
                .replace_file(&format!("lines-{number:x}"), write)
                .unwrap();
        }
        for number in 0..MAX_ENTRIES + 9 {
            cache.put(format!("{number}").as_bytes(), b"x").unwrap();
        }
        assert!(foreign.iter().all(|name| cache.path().join(name).exists()));
        let n_ours = MAX_ENTRIES + MAX_FILES;
        assert_eq!(entries(&cache).len(), n_ours + foreign.len());
    }

    #[test]
    fn a_directory_that_is_replaced_by_a_link_is_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let cache = Cache::open(base.path()).unwrap();
        fs::rename(cache.path(), base.path().join("moved")).unwrap();
        symlink(elsewhere.path(), cache.path()).unwrap();
        cache.put(b"key", b"value").unwrap();
        assert_eq!(cache.get(b"key").as_deref(), Some(&b"value"[..]));
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_oldest_entries_go() {
        let base = tempfile::tempdir().unwrap();
        let cache = Cache::open(base.path()).unwrap();
        for number in 0..MAX_ENTRIES + 9 {
            cache.put(format!("{number}").as_bytes(), b"x").unwrap();
        }
        assert_eq!(entries(&cache).len(), MAX_ENTRIES);
        assert!(
            cache
                .get(format!("{}", MAX_ENTRIES + 8).as_bytes())
                .is_some()
        );
    }
}
