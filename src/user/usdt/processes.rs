// SPDX-License-Identifier: BSD-2-Clause
//! The files whose code a process has mapped: its executable and its libraries.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::spec::Pid;
use crate::trusted::open_regular;

/// Maximum size of a list of mappings that is read, in bytes.
const MAX_MAPS: u64 = 16 << 20;

/// Maximum number of files.
const MAX_FILES: usize = 4096;

/// Returns the mapped files that can be opened, with their paths as the process has them.
pub(super) fn mapped_files(pid: Pid) -> io::Result<Vec<(File, PathBuf)>> {
    let mut text = Vec::new();
    let maps = File::open(format!("/proc/{pid}/maps"))?;
    maps.take(MAX_MAPS).read_to_end(&mut text)?;
    // A path that is not UTF-8 hides none of the others. Its file is opened by its mapping.
    let text = String::from_utf8_lossy(&text);
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for mapping in text.lines().filter_map(Mapping::parse) {
        if files.len() < MAX_FILES && seen.insert((mapping.device, mapping.inode)) {
            files.extend(mapping.open(pid));
        }
    }
    Ok(files)
}

/// A mapping of code.
#[derive(Debug, PartialEq, Eq)]
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

    /// Opens the file by its mapping, which works even if its path was removed, or else by its path
    /// in the process's root directory.
    fn open(&self, pid: Pid) -> Option<(File, PathBuf)> {
        let by_mapping = format!("/proc/{pid}/map_files/{}", self.range);
        let by_path = format!("/proc/{pid}/root{}", self.path);
        let opened = open_regular(Path::new(&by_mapping));
        let file = opened.or_else(|_| open_regular(Path::new(&by_path))).ok()?;
        Some((file, PathBuf::from(self.path)))
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::{Mapping, mapped_files};
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
}
