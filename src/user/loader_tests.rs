// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the search for libraries, with forged programs in temporary directories.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{Loader, Program, is_library, musl_directories};
use crate::user::root::Root;

const NEEDED: u64 = 1;
const SONAME: u64 = 14;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;

/// A file with a table for the loader and nothing else.
fn elf(interpreter: &str, entries: &[(u64, &str)]) -> Vec<u8> {
    let word = |number: usize| (number as u64).to_le_bytes();
    let mut names = vec![0];
    let mut table = Vec::new();
    for (tag, text) in entries {
        table.extend([tag.to_le_bytes(), word(names.len())].concat());
        names.extend(text.as_bytes());
        names.push(0);
    }
    let start = 64 + 3 * 56;
    let strings = start + table.len() + 3 * 16;
    table.extend(
        [
            word(5),
            word(strings),
            word(10),
            word(names.len()),
            word(0),
            word(0),
        ]
        .concat(),
    );
    let path = strings + names.len();
    let len = path + interpreter.len() + 1;
    // The machine is that of the program that runs.
    let mut file = fs::read("/proc/self/exe").unwrap()[..64].to_vec();
    file[32..40].copy_from_slice(&word(64));
    file[56..58].copy_from_slice(&3_u16.to_le_bytes());
    file[60..62].copy_from_slice(&0_u16.to_le_bytes());
    for (kind, offset, size) in [
        (1_u32, 0, len),
        (2, start, table.len()),
        (3, path, interpreter.len() + 1),
    ] {
        file.extend([kind.to_le_bytes(), 4_u32.to_le_bytes()].concat());
        file.extend([offset, offset, offset, size, size, 8].map(word).concat());
    }
    file.extend(table);
    file.extend(names);
    file.extend(interpreter.as_bytes());
    file.push(0);
    file
}

/// Files below a directory that is the root of the search.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, path: &str, content: &[u8]) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn library(&self, path: &str, entries: &[(u64, &str)]) {
        self.put(path, &elf("", entries));
    }

    fn program(&self, interpreter: &str, entries: &[(u64, &str)]) {
        self.put("/opt/bin/app", &elf(interpreter, entries));
    }

    /// Looks for `libx`, with a `LD_LIBRARY_PATH`.
    fn find(&self, environment: &str) -> Option<PathBuf> {
        let root = Root::of(File::open(self.0.path()).unwrap());
        let program = Program {
            path: "/opt/bin/app".into(),
            environment: Some(environment.into()),
        };
        Loader::new(&root).find("libx", Some(&program))
    }

    fn assert_finds(&self, environment: &str, expected: &str) {
        let found = self.find(environment);
        assert_eq!(found.as_deref(), Some(Path::new(expected)), "{environment}");
    }
}

const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// A copy of `libx.so.1` in each directory.
fn with_copies(directories: &[&str]) -> Files {
    let files = Files::new();
    for directory in directories {
        files.library(&format!("{directory}/libx.so.1"), &[(SONAME, "libx.so.1")]);
    }
    files
}

#[test]
fn rpath_goes_before_the_environment_and_runpath_behind_it() {
    let files = with_copies(&["/opt/lib", "/env", "/usr/lib"]);
    files.program(GLIBC, &[(NEEDED, "libx.so.1"), (RPATH, "$ORIGIN/../lib")]);
    files.assert_finds("/env", "/opt/bin/../lib/libx.so.1");
    files.program(
        GLIBC,
        &[(NEEDED, "libx.so.1"), (RUNPATH, "${ORIGIN}/../lib")],
    );
    files.assert_finds("/nosuch;/env", "/env/libx.so.1");
    files.assert_finds("", "/opt/bin/../lib/libx.so.1");
    // With a RUNPATH, the RPATH does not count.
    let both = [
        (NEEDED, "libx.so.1"),
        (RPATH, "/opt/lib"),
        (RUNPATH, "/nosuch"),
    ];
    files.program(GLIBC, &both);
    files.assert_finds("", "/usr/lib/libx.so.1");
    // musl looks at the environment first, whichever of the two it is.
    files.program(MUSL, &[(NEEDED, "libx.so.1"), (RPATH, "/opt/lib")]);
    files.assert_finds("/env", "/env/libx.so.1");
    files.assert_finds("", "/opt/lib/libx.so.1");
}

#[test]
fn a_library_of_a_library_is_looked_for_where_that_one_says() {
    let files = with_copies(&["/of/program", "/of/library"]);
    files.library(
        "/of/program/liby.so",
        &[(NEEDED, "libx.so.1"), (RUNPATH, "/of/library")],
    );
    files.program(GLIBC, &[(NEEDED, "liby.so"), (RUNPATH, "/of/program")]);
    files.assert_finds("", "/of/library/libx.so.1");
    // A RUNPATH holds only for what the file itself needs, a RPATH for all below.
    files.library("/of/program/liby.so", &[(NEEDED, "libx.so.1")]);
    files.program(GLIBC, &[(NEEDED, "liby.so"), (RPATH, "/of/program")]);
    files.assert_finds("", "/of/program/libx.so.1");
    fs::remove_file(files.0.path().join("of/program/libx.so.1")).unwrap();
    assert_eq!(files.find(""), None);
}

#[test]
fn a_file_that_is_no_library_is_passed_over() {
    let files = with_copies(&["/usr/lib"]);
    files.put("/opt/lib/libx.so.1", b"\x7fELF nonsense");
    files.program(GLIBC, &[(NEEDED, "libx.so.1"), (RUNPATH, "/opt/lib")]);
    files.assert_finds("", "/usr/lib/libx.so.1");
}

#[test]
fn a_library_that_is_loaded_later_is_found_in_the_directories_of_the_program() {
    let files = with_copies(&["/opt/plugins"]);
    files.program(GLIBC, &[(RUNPATH, "/opt/plugins")]);
    files.assert_finds("", "/opt/plugins/libx.so.1");
}

/// Libraries that need one another, and many that need many.
#[test]
fn the_search_ends() {
    let files = Files::new();
    let names: Vec<String> = (0..700).map(|n| format!("lib{n}.so")).collect();
    let needed: Vec<(u64, &str)> = names.iter().map(|name| (NEEDED, &**name)).collect();
    for name in &names {
        files.library(&format!("/lib/{name}"), &needed);
    }
    files.program(GLIBC, &needed);
    assert_eq!(files.find(""), None);
}

#[test]
fn a_library_is_known_by_its_name_with_or_without_version() {
    for name in ["libc", "libc.so", "libc.so.6"] {
        assert!(is_library("libc.so.6", name), "{name}");
    }
    assert!(!is_library("libcrypt.so.1", "libc"));
    assert!(!is_library("libc-client.so", "libc"));
    assert!(!is_library("bash", "bash"));
}

#[test]
fn directories_of_musl_are_separated_by_colons_or_newlines() {
    let directories = musl_directories(b"/lib:/usr/local/lib\n/opt/lib\nrelative:\n");
    let expected = ["/lib", "/usr/local/lib", "/opt/lib"].map(Path::new);
    assert_eq!(directories, expected);
    assert!(musl_directories(b"").is_empty());
}
