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
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;

/// Of the form of the files: another one is not read.
const MAGIC: &[u8; 8] = b"rsncach1";

/// No entry is larger; what is, was not written by us.
const MAX_ENTRY: u64 = 64 << 20;

/// How many entries are kept; the oldest go.
const MAX_ENTRIES: usize = 64;

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
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = options.open(self.path(key)).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || !is_ours(&metadata) || metadata.len() > MAX_ENTRY {
            return None;
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
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
        let temporary = path.with_extension(format!("{}.new", process::id()));
        let written =
            write_new(&temporary, &entry(key, value)).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            // It may not be there at all.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.remove_oldest()
    }

    fn path(&self, key: &[u8]) -> PathBuf {
        self.directory.join(format!("{:016x}.entry", hash(key)))
    }

    fn remove_oldest(&self) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.directory)?
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let is_entry = path.extension() == Some(OsStr::new("entry"));
                let changed = fs::symlink_metadata(&path).ok()?.modified().ok()?;
                is_entry.then_some((changed, path))
            })
            .collect();
        if entries.len() <= MAX_ENTRIES {
            return Ok(());
        }
        entries.sort_unstable();
        let n_old = entries.len() - MAX_ENTRIES;
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
    let mut file: File = options.open(path)?;
    file.write_all(bytes)
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
