// SPDX-License-Identifier: BSD-2-Clause
//! Finds the file that the user names: a path, the name of a library, the name of a program, or a
//! process.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::arch::{LIBRARY_DIRECTORY, MUSL_PATHS};
use super::ld_cache::{self, Library};
use crate::spec::{UserObject, nearest};
use crate::trusted::open_regular;

/// Maximum size of `ld.so.cache`, in bytes.
const MAX_LD_CACHE: u64 = 16 << 20;

/// Maximum size of musl's list of directories, in bytes.
const MAX_MUSL_PATHS: u64 = 64 << 10;

/// Directories that the loader searches without its cache, as musl does.
const LIBRARY_DIRECTORIES: [&str; 5] =
    ["/lib64", "/usr/lib64", "/lib", "/usr/local/lib", "/usr/lib"];

/// A file that was found.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) file: File,
    /// Its path, for messages and for the name of the object.
    pub(super) path: PathBuf,
}

/// Opens the file of an object.
///
/// # Errors
///
/// What is wrong, in words that follow the object's name.
pub(super) fn locate(object: &UserObject) -> Result<FoundFile, String> {
    match object {
        UserObject::Process(pid) => {
            let link = format!("/proc/{pid}/exe");
            let path = fs::read_link(&link).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("there is no process {pid}, or it is a kernel thread")
                }
                _ => format!("failed to read `{link}`: {error}"),
            })?;
            // The link leads to the file even if its path was removed or is in a container.
            open(Path::new(&link), path)
        }
        UserObject::File(name) if name.contains('/') => open(Path::new(name), name.into()),
        UserObject::File(name) => {
            let path = library(name).or_else(|| program(name));
            let path = path.ok_or_else(|| not_found(name))?;
            open(&path, path.clone())
        }
    }
}

fn open(at: &Path, path: PathBuf) -> Result<FoundFile, String> {
    match open_regular(at) {
        Ok(file) => Ok(FoundFile { file, path }),
        Err(error) => Err(format!("failed to open `{}`: {error}", path.display())),
    }
}

/// Returns the file of a library: `libc`, `libc.so`, `libc.so.6`.
fn library(name: &str) -> Option<PathBuf> {
    let libraries = cached_libraries();
    let cached = libraries
        .iter()
        .find(|library| is_library(&library.name, name));
    cached
        .map(|library| library.path.clone())
        .or_else(|| in_directories(name))
}

fn in_directories(name: &str) -> Option<PathBuf> {
    let of_architecture = ["/lib", "/usr/lib"].map(|lib| Path::new(lib).join(LIBRARY_DIRECTORY));
    let of_all = LIBRARY_DIRECTORIES.map(PathBuf::from);
    let of_musl = musl_directories(&musl_paths());
    let mut directories = of_architecture.into_iter().chain(of_musl).chain(of_all);
    directories.find_map(|directory| {
        let entries = fs::read_dir(directory).ok()?.flatten();
        let mut found: Vec<PathBuf> = entries
            .filter(|entry| is_library(&entry.file_name().to_string_lossy(), name))
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
            .collect();
        found.sort();
        found.into_iter().next()
    })
}

/// Reads the file in which musl's loader looks for its directories; empty if there is none.
fn musl_paths() -> String {
    let read = || -> io::Result<String> {
        let file = open_regular(Path::new(MUSL_PATHS))?;
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, MAX_MUSL_PATHS), &mut text)?;
        Ok(text)
    };
    read().unwrap_or_default()
}

/// The directories are separated by colons or newlines. musl ignores what does not begin with a
/// slash.
fn musl_directories(paths: &str) -> Vec<PathBuf> {
    let directories = paths.split([':', '\n']).map(str::trim);
    directories
        .filter(|directory| directory.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Returns true if a file name is that of the library: `libc` means `libc.so` and `libc.so.6`.
fn is_library(file_name: &str, name: &str) -> bool {
    let rest = file_name.strip_prefix(name);
    rest.is_some_and(|rest| {
        let is_version = rest.starts_with('.') && name.contains(".so");
        rest.is_empty() && name.contains(".so") || rest.starts_with(".so") || is_version
    })
}

/// Returns the file of a program in `$PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let directories = env::var_os("PATH")?;
    let mut candidates = env::split_paths(&directories).map(|directory| directory.join(name));
    candidates.find(|candidate| candidate.is_absolute() && candidate.is_file())
}

fn cached_libraries() -> Vec<Library> {
    let read = || -> io::Result<Vec<u8>> {
        let file = open_regular(Path::new("/etc/ld.so.cache"))?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MAX_LD_CACHE), &mut bytes)?;
        Ok(bytes)
    };
    read().map_or_else(|_| Vec::new(), |bytes| ld_cache::libraries(&bytes))
}

fn not_found(name: &str) -> String {
    let libraries = cached_libraries();
    let names = libraries.iter().map(|library| library.name.as_str());
    let similar = nearest(name, names, 3);
    let mut text = format!("no library or program `{name}` was found");
    if !similar.is_empty() {
        text += &format!("; similar: {}", similar.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process;

    use super::{is_library, locate, musl_directories};
    use crate::spec::{Pid, UserObject};

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
        let directories = musl_directories("/lib:/usr/local/lib\n/opt/lib\nrelative:\n");
        let expected = ["/lib", "/usr/local/lib", "/opt/lib"].map(Path::new);
        assert_eq!(directories, expected);
        assert!(musl_directories("").is_empty());
    }

    #[test]
    fn names_paths_and_processes_are_found() {
        let file = |name: &str| locate(&UserObject::File(name.to_owned()));
        assert!(file("libc").unwrap().path.ends_with("libc.so.6"));
        assert!(file("sh").unwrap().path.ends_with("sh"));
        assert!(locate(&UserObject::Process(Pid(process::id()))).is_ok());
    }

    #[test]
    fn what_is_not_there_is_said() {
        let file = |name: &str| locate(&UserObject::File(name.to_owned())).unwrap_err();
        assert!(file("libnosuch").contains("no library or program `libnosuch`"));
        assert!(file("/nosuch/file").contains("failed to open `/nosuch/file`"));
        assert!(file("/dev/zero").contains("/dev/zero"));
        let gone = locate(&UserObject::Process(Pid(4_000_000))).unwrap_err();
        assert!(gone.contains("no process 4000000"), "{gone}");
    }
}
