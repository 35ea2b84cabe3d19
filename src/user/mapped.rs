// SPDX-License-Identifier: BSD-2-Clause
//! The files whose code a process has mapped: its executable and its libraries.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::loader::is_library;
use super::locate::FoundFile;
use super::root::Root;
use crate::spec::{Pid, nearest};
use crate::trusted::open_regular;

/// Maximum size of a list of mappings that is read, in bytes.
const MAX_MAPS: u64 = 16 << 20;

/// Maximum number of files.
const MAX_FILES: usize = 4096;

/// What the kernel writes behind a path that was removed.
const DELETED: &str = " (deleted)";

/// Number of names that a message has of the files that are mapped.
const MAX_NAMES_TOLD: usize = 5;

/// Returns the mapped files that can be opened, with their paths as the process has them.
pub(super) fn mapped_files(pid: Pid) -> io::Result<Vec<(File, PathBuf)>> {
    let text = maps(pid)?;
    let opened = mappings(&text).into_iter().filter_map(|mapping| {
        let file = mapping.open(pid).ok()?;
        Some((file, PathBuf::from(mapping.path)))
    });
    Ok(opened.take(MAX_FILES).collect())
}

/// Opens a file that a process has mapped: by its path, or by the name of a library.
pub(super) fn library(pid: Pid, name: &str) -> Result<FoundFile, String> {
    let text = maps(pid).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no process {pid}"),
        _ => format!("failed to list the files of process {pid}: {error}"),
    })?;
    let mappings = mappings(&text);
    if mappings.is_empty() {
        return Err(format!(
            "process {pid} has nothing mapped: it has ended, or is a kernel thread"
        ));
    }
    let is_wanted = |mapping: &&Mapping<'_>| {
        let path = mapping.path_without_mark();
        path == name || is_library(file_name(path), name)
    };
    let Some(mapping) = mappings.iter().find(is_wanted) else {
        return Err(not_mapped(pid, name, &mappings));
    };
    let path = PathBuf::from(mapping.path_without_mark());
    match mapping.open(pid) {
        Ok(file) => Ok(FoundFile { file, path }),
        Err(error) if !Path::new(&format!("/proc/{pid}/ns")).exists() => {
            Err(format!("process {pid} has ended meanwhile: {error}"))
        }
        Err(error) => Err(format!(
            "failed to open `{}`, which process {pid} has mapped: {error}",
            path.display()
        )),
    }
}

fn not_mapped(pid: Pid, name: &str, mappings: &[Mapping<'_>]) -> String {
    let names: Vec<&str> = mappings
        .iter()
        .map(|mapping| file_name(mapping.path_without_mark()))
        .collect();
    let mut text = format!("process {pid} has mapped no library `{name}`");
    // Versions say nothing about how similar names are.
    let stems = names.iter().map(|name| stem(name));
    let similar = nearest(stem(name), stems, 3);
    let is_similar = |name: &&&str| similar.iter().any(|similar| *similar == stem(name));
    let similar: Vec<&str> = names.iter().filter(is_similar).copied().collect();
    if similar.is_empty() {
        let some = &names[..names.len().min(MAX_NAMES_TOLD)];
        text += &format!("; it has mapped {}", some.join(", "));
        let n_others = names.len() - some.len();
        if n_others > 0 {
            text += &format!(" and {n_others} more");
        }
    } else {
        text += &format!("; similar: {}", similar.join(", "));
    }
    text
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns `libssl` of `libssl.so.3`.
fn stem(file_name: &str) -> &str {
    file_name.split(".so").next().unwrap_or(file_name)
}

/// Reads the list of mappings. A path that is not UTF-8 hides none of the others: its file is opened
/// by its mapping.
fn maps(pid: Pid) -> io::Result<String> {
    let mut text = Vec::new();
    let maps = File::open(format!("/proc/{pid}/maps"))?;
    maps.take(MAX_MAPS).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Returns the mappings of code, one for each file.
fn mappings(text: &str) -> Vec<Mapping<'_>> {
    let mut seen = HashSet::new();
    let mappings = text.lines().filter_map(Mapping::parse);
    let first = mappings.filter(|mapping| seen.insert((mapping.device, mapping.inode)));
    first.take(MAX_FILES).collect()
}

/// A mapping of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping<'t> {
    range: &'t str,
    device: &'t str,
    inode: &'t str,
    path: &'t str,
}

impl<'t> Mapping<'t> {
    /// Parses a line of `/proc/PID/maps`: range, permissions, offset, device, inode, path.
    fn parse(line: &'t str) -> Option<Self> {
        let mut rest = line;
        let mut field = || {
            let (field, behind) = rest.split_once(' ')?;
            rest = behind.trim_start();
            Some(field)
        };
        let (range, permissions) = (field()?, field()?);
        field()?;
        let (device, inode) = (field()?, field()?);
        let is_code = permissions.contains('x') && rest.starts_with('/');
        is_code.then_some(Self {
            range,
            device,
            inode,
            path: rest,
        })
    }

    /// Returns the path as it was before the kernel marked it as removed.
    fn path_without_mark(&self) -> &'t str {
        self.path.strip_suffix(DELETED).unwrap_or(self.path)
    }

    /// Opens the file by its mapping, which works even if its path was removed, or else by its path
    /// in the process's root directory, if that is the same file.
    fn open(&self, pid: Pid) -> io::Result<File> {
        let by_mapping = format!("/proc/{pid}/map_files/{}", self.range);
        open_regular(Path::new(&by_mapping)).or_else(|_| self.open_by_path(pid))
    }

    fn open_by_path(&self, pid: Pid) -> io::Result<File> {
        let root = Root::of(File::open(format!("/proc/{pid}/root"))?);
        let file = root.open(Path::new(self.path))?;
        if !self.is_of(&file.metadata()?) {
            return Err(io::Error::other("another file is at its path now"));
        }
        Ok(file)
    }

    fn is_of(&self, found: &Metadata) -> bool {
        let Some((major, minor)) = self.device.split_once(':') else {
            return false;
        };
        let device = |text| u32::from_str_radix(text, 16).ok();
        let (major, minor) = (device(major), device(minor));
        let of_found = (
            libc::major(found.dev()) as u32,
            libc::minor(found.dev()) as u32,
        );
        // Subvolumes of btrfs have anonymous devices of their own for `stat`, of major number 0.
        let is_anonymous = major == Some(0) && of_found.0 == 0;
        let is_on_device = is_anonymous || (major, minor) == (Some(of_found.0), Some(of_found.1));
        is_on_device && self.inode.parse() == Ok(found.ino())
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::{Mapping, library, mapped_files, mappings, maps};
    use crate::spec::Pid;

    #[test]
    fn mappings_of_code_are_found() {
        let line = "7f00-7f80 r-xp 00001000 fe:01 42                  /usr/lib/a b.so (deleted)";
        assert_eq!(
            Mapping::parse(line),
            Some(Mapping {
                range: "7f00-7f80",
                device: "fe:01",
                inode: "42",
                path: "/usr/lib/a b.so (deleted)",
            })
        );
        for other in [
            "7f00-7f80 rw-p 00001000 fe:01 42 /usr/lib/a.so",
            "7f00-7f80 r-xp 00000000 00:00 0 [vdso]",
            "7f00-7f80 r-xp 00000000 00:00 0 ",
            "",
        ] {
            assert_eq!(Mapping::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_process_has_its_libraries() {
        let files = mapped_files(Pid(process::id())).unwrap();
        let has = |name: &str| files.iter().any(|(_, path)| path.ends_with(name));
        assert!(has("libc.so.6"), "{files:?}");
        assert!(mapped_files(Pid(4_000_000)).is_err());
    }

    #[test]
    fn a_library_is_opened_by_its_name_or_its_path() {
        let own = Pid(process::id());
        let path = library(own, "libc").unwrap().path;
        assert!(path.ends_with("libc.so.6"), "{path:?}");
        assert_eq!(library(own, path.to_str().unwrap()).unwrap().path, path);
        let why = library(own, "libd").unwrap_err();
        assert!(why.contains("has mapped no library `libd`"), "{why}");
        assert!(why.contains("libc.so.6"), "{why}");
        let why = library(Pid(4_000_000), "libc").unwrap_err();
        assert_eq!(why, "there is no process 4000000");
    }

    /// Where mappings cannot be opened, the path may lead to another file by now.
    #[test]
    fn a_path_counts_only_if_it_leads_to_the_mapped_file() {
        let own = Pid(process::id());
        let text = maps(own).unwrap();
        let mappings = mappings(&text);
        let libc = mappings.iter().find(|m| m.path.ends_with("libc.so.6"));
        let libc = libc.unwrap();
        assert!(libc.open_by_path(own).is_ok());
        let replaced = Mapping {
            inode: "1",
            ..*libc
        };
        let why = replaced.open_by_path(own).unwrap_err().to_string();
        assert!(why.contains("another file"), "{why}");
    }
}
