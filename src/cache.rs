// SPDX-License-Identifier: BSD-2-Clause
//! Results that are the same next time, kept in the user's cache directory.
//!
//! Nothing that is read from it is trusted further than its owner: a directory or file that others
//! could have written is not looked at, what is damaged counts as absent. Writers replace whole
//! files, so that readers see one or the other.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{geteuid, linkat};

/// Of the form of the files: another one is not read.
const MAGIC: &[u8; 8] = b"rsncach1";

/// No entry is larger; what is, was not written by us.
const MAX_ENTRY: u64 = 64 << 20;

/// How many entries are kept; the oldest go.
const MAX_ENTRIES: usize = 64;

/// How many large files are kept: those of as many kernels.
const MAX_FILES: usize = 4;

/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;

/// A directory of entries.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The directory `retsnoop-rs` below `base`, made if it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or when others may write to it.
    pub fn open(base: &Path) -> Result<Self> {
        let directory = base.join("retsnoop-rs");
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&directory)
            .with_context(|| format!("failed to make `{}`", directory.display()))?;
        let metadata = fs::symlink_metadata(&directory)
            .with_context(|| format!("failed to look at `{}`", directory.display()))?;
        ensure!(
            metadata.is_dir() && is_ours(&metadata),
            "`{}` is not ours alone",
            directory.display()
        );
        Ok(Self { directory })
    }

    /// What was kept under `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let file = open_ours(&self.path(key))?;
        let length = file.metadata().ok()?.len();
        if length > MAX_ENTRY {
            return None;
        }
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(MAX_ENTRY).read_to_end(&mut bytes).ok()?;
        value(&bytes, key).map(<[u8]>::to_vec)
    }

    /// Keeps `value` under `key`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let temporary = self.temporary("entry");
        write_new(&temporary, &entry(key, value))?;
        rename_or_remove(&temporary, &path)?;
        self.remove_oldest("entry", MAX_ENTRIES)
    }

    /// A file that was kept under a name, which is ours; `None` where it is larger than that.
    #[must_use]
    pub fn open_file(&self, name: &str, most_bytes: u64) -> Option<File> {
        let file = open_ours(&self.file_path(name))?;
        (file.metadata().ok()?.len() <= most_bytes).then_some(file)
    }

    /// Keeps what `write` writes under a name, if it says so.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn replace_file(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<bool>,
    ) -> io::Result<()> {
        let mut file = unnamed(&self.directory)?;
        if !write(&mut file)? {
            return Ok(());
        }
        // It has no name until it is whole: who is killed before leaves nothing.
        let temporary = self.temporary(name);
        let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
        let follow = AtFlags::AT_SYMLINK_FOLLOW;
        linkat(AT_FDCWD, &opened[..], AT_FDCWD, &temporary, follow)?;
        rename_or_remove(&temporary, &self.file_path(name))?;
        self.remove_oldest("index", MAX_FILES)
    }

    /// A name that no other writer has.
    fn temporary(&self, name: &str) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.directory
            .join(format!("{name}.{}.{number}.new", process::id()))
    }

    fn file_path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.index"))
    }

    fn path(&self, key: &[u8]) -> PathBuf {
        self.directory.join(format!("{:016x}.entry", hash(key)))
    }

    fn remove_oldest(&self, extension: &str, most: usize) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.directory)?
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let is_entry = path.extension() == Some(OsStr::new(extension));
                let changed = fs::symlink_metadata(&path).ok()?.modified().ok()?;
                is_entry.then_some((changed, path))
            })
            .collect();
        if entries.len() <= most {
            return Ok(());
        }
        entries.sort_unstable();
        let n_old = entries.len() - most;
        for (_, path) in entries.drain(..n_old) {
            // Another instance may have been quicker.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == geteuid().as_raw() && metadata.mode() & OTHERS_WRITE == 0
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(path)?.write_all(bytes);
    if written.is_err() {
        // A full disk should not be fuller for it.
        let _ = fs::remove_file(path);
    }
    written
}

fn rename_or_remove(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = fs::rename(from, to);
    if renamed.is_err() {
        let _ = fs::remove_file(from);
    }
    renamed
}

/// A file that goes when it is closed, unless it is given a name.
fn unnamed(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options.custom_flags(libc::O_TMPFILE).open(directory)
}

/// A regular file that nobody else could have written.
fn open_ours(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path).ok()?;
    let metadata = file.metadata().ok()?;
    (metadata.is_file() && is_ours(&metadata)).then_some(file)
}

fn entry(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((key.len() as u64).to_le_bytes());
    bytes.extend(key);
    bytes.extend(value);
    bytes.extend(hash(&bytes).to_le_bytes());
    bytes
}

/// The value of an entry that is whole and of this key.
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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::{Cache, MAX_ENTRIES};

    fn entries(cache: &Cache) -> Vec<PathBuf> {
        let found = fs::read_dir(&cache.directory).unwrap();
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
        let path = cache.path(b"key");
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
        let path = cache.path(b"key");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert_eq!(cache.get(b"key"), None);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let elsewhere = base.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert_eq!(cache.get(b"key"), None);
        fs::set_permissions(&cache.directory, Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(base.path()).is_err());
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
