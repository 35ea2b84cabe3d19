// SPDX-License-Identifier: BSD-2-Clause
//! Finds the file that the user names: a path, the name of a library, the name of a program, or a
//! process.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::loader::{Loader, Program};
use super::mapped;
use super::root::Root;
use crate::spec::{UserObject, nearest};
use crate::trusted::open_regular;

/// A file that was found.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) file: File,
    /// Its path, for messages and for the name of the object.
    pub(super) path: PathBuf,
}

/// Directories of programs in a container, whose `$PATH` is not known.
const PROGRAM_DIRECTORIES: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Where files are looked for.
#[derive(Debug, Default)]
pub struct Surroundings {
    root: Root,
    program: Option<Program>,
}

/// Where the files of a run are looked for, and how two of them are known to be the same.
#[derive(Debug)]
pub struct FileSearch {
    /// One, or those of several containers.
    pub around: Vec<Surroundings>,
    /// Returns what is equal for two files exactly if probes on them go to the same inode; `None` if
    /// that is not known. Then device and inode number are compared.
    pub identify: fn(&File) -> Option<Vec<u8>>,
}

impl FileSearch {
    /// Returns what is equal for two files exactly if probes on them go to the same inode.
    pub(super) fn identity(&self, file: &File) -> io::Result<Vec<u8>> {
        let metadata = file.metadata()?;
        let numbers = || [metadata.dev().to_le_bytes(), metadata.ino().to_le_bytes()].concat();
        Ok((self.identify)(file).unwrap_or_else(numbers))
    }
}

impl Default for FileSearch {
    fn default() -> Self {
        Self {
            around: vec![Surroundings::default()],
            identify: |_| None,
        }
    }
}

impl Surroundings {
    /// Those below a root directory: that of a container.
    #[must_use]
    pub fn below(root: File) -> Self {
        Self {
            root: Root::of(root),
            program: None,
        }
    }

    /// Those of a command that inherits our environment: `words` are the program and its arguments.
    #[must_use]
    pub fn of_command(words: &[OsString]) -> Self {
        let of_word = |word: &OsString| {
            let path = PathBuf::from(word);
            let path = match word.to_string_lossy().contains('/') {
                true => Some(path),
                false => program(&path),
            };
            // `$ORIGIN` is the directory of the real file.
            path.and_then(|path| path.canonicalize().ok())
        };
        let environment = env::var_os("LD_LIBRARY_PATH").map(OsString::into_vec);
        let program = words.first().and_then(of_word);
        Self {
            root: Root::default(),
            program: program.map(|path| Program { path, environment }),
        }
    }
}

/// Opens the file of an object.
///
/// # Errors
///
/// What is wrong, in words that follow the object's name.
pub(super) fn locate(object: &UserObject, around: &Surroundings) -> Result<FoundFile, String> {
    let root = &around.root;
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
            opened(open_regular(Path::new(&link)), path)
        }
        UserObject::Mapped(pid, library) => mapped::library(*pid, library),
        UserObject::File(name) if name.contains('/') => {
            opened(root.open(Path::new(name)), name.into())
        }
        UserObject::File(name) => {
            let loader = Loader::new(root);
            let path = loader.find(name, around.program.as_ref());
            let path = path.or_else(|| match root.is_ours() {
                true => program(Path::new(name)),
                false => program_below(root, name),
            });
            let path = path.ok_or_else(|| not_found(name, &loader))?;
            opened(root.open(&path), path)
        }
    }
}

fn opened(file: io::Result<File>, path: PathBuf) -> Result<FoundFile, String> {
    match file {
        Ok(file) => Ok(FoundFile { file, path }),
        Err(error) => Err(format!("failed to open `{}`: {error}", path.display())),
    }
}

/// Returns the file of a program in `$PATH`.
fn program(name: &Path) -> Option<PathBuf> {
    let directories = env::var_os("PATH")?;
    let mut candidates = env::split_paths(&directories).map(|directory| directory.join(name));
    candidates.find(|candidate| candidate.is_absolute() && candidate.is_file())
}

fn program_below(root: &Root, name: &str) -> Option<PathBuf> {
    let directories = PROGRAM_DIRECTORIES.iter();
    let mut candidates = directories.map(|directory| Path::new(directory).join(name));
    candidates.find(|candidate| root.open(candidate).is_ok())
}

fn not_found(name: &str, loader: &Loader<'_>) -> String {
    let similar = nearest(name, loader.names(), 3);
    let mut text = format!("no library or program `{name}` was found");
    if !similar.is_empty() {
        text += &format!("; similar: {}", similar.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::{Surroundings, locate};
    use crate::spec::{Pid, UserObject};

    #[test]
    fn names_paths_and_processes_are_found() {
        let around = Surroundings::default();
        let file = |name: &str| locate(&UserObject::File(name.to_owned()), &around);
        assert!(file("libc").unwrap().path.ends_with("libc.so.6"));
        assert!(file("sh").unwrap().path.ends_with("sh"));
        assert!(locate(&UserObject::Process(Pid(process::id())), &around).is_ok());
    }

    #[test]
    fn what_is_not_there_is_said() {
        let around = Surroundings::default();
        let file = |name: &str| locate(&UserObject::File(name.to_owned()), &around).unwrap_err();
        assert!(file("libnosuch").contains("no library or program `libnosuch`"));
        assert!(file("/nosuch/file").contains("failed to open `/nosuch/file`"));
        assert!(file("/dev/zero").contains("/dev/zero"));
        let gone = locate(&UserObject::Process(Pid(4_000_000)), &around).unwrap_err();
        assert!(gone.contains("no process 4000000"), "{gone}");
    }
}
