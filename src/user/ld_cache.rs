// SPDX-License-Identifier: BSD-2-Clause
//! Reads `ld.so.cache`: which file the loader takes for the name of a library.
//!
//! There are two formats, which may follow one another in a file: `ld.so-1.7.0` of glibc before 2.2,
//! and `glibc-ld.so.cache1.1`. Both are bounded by the file's size.

use std::path::PathBuf;

use super::arch::LD_CACHE_FLAG;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// Sizes of headers and entries, in bytes.
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const NEW_HEADER: usize = 48;
const NEW_ENTRY: usize = 24;

/// Low byte of an entry's flags: a library of glibc 2. The byte above is the architecture.
const ELF_LIBC6: u32 = 3;

/// A library in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Library {
    /// Name that programs ask for, such as `libc.so.6`.
    pub(super) name: String,
    /// The file.
    pub(super) path: PathBuf,
}

/// Returns the libraries of this architecture, in the order of the file. Empty if the file is in
/// neither format.
pub(super) fn libraries(bytes: &[u8]) -> Vec<Library> {
    if let Some(new) = new_part(bytes) {
        return new_entries(new);
    }
    old_entries(bytes).unwrap_or_default()
}

/// Returns the part in the new format. It begins the file, or follows the entries of the old format
/// at the next multiple of 8.
fn new_part(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.starts_with(NEW_MAGIC) {
        return Some(bytes);
    }
    let n = old_count(bytes)?;
    let end = OLD_HEADER.checked_add(n.checked_mul(OLD_ENTRY)?)?;
    let new = bytes.get(end.checked_next_multiple_of(8)?..)?;
    new.starts_with(NEW_MAGIC).then_some(new)
}

fn new_entries(bytes: &[u8]) -> Vec<Library> {
    let n = u32_at(bytes, NEW_MAGIC.len()).unwrap_or_default() as usize;
    let entries = bytes.get(NEW_HEADER..).unwrap_or_default();
    let entries = entries.chunks_exact(NEW_ENTRY).take(n);
    entries
        .filter_map(|entry| {
            // Entries for CPUs with certain features have a mask of their own; the loader prefers
            // them if it can. Their paths are in the cache, too, but which one is taken depends on
            // the CPU.
            let for_every_cpu = entry[16..24] == [0; 8];
            library(
                bytes,
                u32_at(entry, 0)?,
                u32_at(entry, 4)?,
                u32_at(entry, 8)?,
            )
            .filter(|_| for_every_cpu)
        })
        .collect()
}

fn old_count(bytes: &[u8]) -> Option<usize> {
    let is_old = bytes.starts_with(OLD_MAGIC);
    u32_at(bytes, 12).filter(|_| is_old).map(|n| n as usize)
}

fn old_entries(bytes: &[u8]) -> Option<Vec<Library>> {
    let n = old_count(bytes)?;
    let entries = bytes.get(OLD_HEADER..)?;
    let strings = entries.get(n.checked_mul(OLD_ENTRY)?..)?;
    let entries = entries.chunks_exact(OLD_ENTRY).take(n);
    let found = entries.filter_map(|entry| {
        library(
            strings,
            u32_at(entry, 0)?,
            u32_at(entry, 4)?,
            u32_at(entry, 8)?,
        )
    });
    Some(found.collect())
}

/// `name` and `path` are offsets in `strings`.
fn library(strings: &[u8], flags: u32, name: u32, path: u32) -> Option<Library> {
    if flags != ELF_LIBC6 | LD_CACHE_FLAG {
        return None;
    }
    Some(Library {
        name: string_at(strings, name)?.to_owned(),
        path: PathBuf::from(string_at(strings, path)?),
    })
}

fn string_at(strings: &[u8], offset: u32) -> Option<&str> {
    let rest = strings.get(offset as usize..)?;
    let end = memchr::memchr(0, rest)?;
    str::from_utf8(&rest[..end]).ok()
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{ELF_LIBC6, LD_CACHE_FLAG, Library, libraries};

    const OURS: u32 = ELF_LIBC6 | LD_CACHE_FLAG;

    fn new_format(entries: &[(u32, &str, &str, u64)]) -> Vec<u8> {
        let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
        bytes.extend((entries.len() as u32).to_ne_bytes());
        bytes.resize(48, 0);
        let mut strings = Vec::new();
        let start = 48 + 24 * entries.len();
        for (flags, name, path, features) in entries {
            let mut offset = |text: &str| {
                let at = (start + strings.len()) as u32;
                strings.extend(text.as_bytes());
                strings.push(0);
                at
            };
            let (name, path) = (offset(name), offset(path));
            for number in [*flags, name, path, 0] {
                bytes.extend(number.to_ne_bytes());
            }
            bytes.extend(features.to_ne_bytes());
        }
        bytes.extend(strings);
        bytes
    }

    fn old_format(entries: &[(u32, &str, &str)]) -> Vec<u8> {
        let mut bytes = b"ld.so-1.7.0\0".to_vec();
        bytes.extend((entries.len() as u32).to_ne_bytes());
        let mut strings = Vec::new();
        for (flags, name, path) in entries {
            bytes.extend(flags.to_ne_bytes());
            for text in [name, path] {
                bytes.extend((strings.len() as u32).to_ne_bytes());
                strings.extend(text.as_bytes());
                strings.push(0);
            }
        }
        bytes.extend(strings);
        bytes
    }

    fn paths(bytes: &[u8]) -> Vec<String> {
        let path = |library: Library| format!("{} {}", library.name, library.path.display());
        libraries(bytes).into_iter().map(path).collect()
    }

    #[test]
    fn libraries_of_this_architecture_are_found() {
        let bytes = new_format(&[
            (OURS, "libc.so.6", "/lib/libc.so.6", 0),
            (ELF_LIBC6, "libc.so.6", "/lib32/libc.so.6", 0),
            (OURS, "libm.so.6", "/lib/haswell/libm.so.6", 1 << 62),
        ]);
        assert_eq!(paths(&bytes), ["libc.so.6 /lib/libc.so.6"]);
    }

    #[test]
    fn the_old_format_alone_or_before_the_new_one() {
        let old = old_format(&[(OURS, "libz.so.1", "/lib/libz.so.1")]);
        assert_eq!(paths(&old), ["libz.so.1 /lib/libz.so.1"]);
        // Offsets of the new part count from its own start.
        let mut both = b"ld.so-1.7.0\0\0\0\0\0".to_vec();
        both.extend(new_format(&[(OURS, "libc.so.6", "/lib/libc.so.6", 0)]));
        assert_eq!(paths(&both), ["libc.so.6 /lib/libc.so.6"]);
    }

    #[test]
    fn damage_costs_entries_and_nothing_else() {
        let whole = new_format(&[(OURS, "libc.so.6", "/lib/libc.so.6", 0); 3]);
        for end in 0..whole.len() {
            assert!(libraries(&whole[..end]).len() <= 3);
        }
        let mut many = whole.clone();
        many[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(libraries(&many).len() >= 3);
        let mut old = old_format(&[(OURS, "a", "b")]);
        old[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(libraries(&old).is_empty());
    }

    #[test]
    fn the_cache_of_this_machine_has_a_c_library() {
        let bytes = fs::read("/etc/ld.so.cache").unwrap();
        let all = libraries(&bytes);
        let libc = all.iter().find(|library| library.name == "libc.so.6");
        assert!(libc.is_some_and(|libc| Path::new(&libc.path).exists()));
    }
}
