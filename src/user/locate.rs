// SPDX-License-Identifier: BSD-2-Clause
//! Finds the file that the user names: a path, the name of a library, the name of a program, or a
//! process.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt;
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

/// Where files are looked for.
#[derive(Debug, Default)]
pub struct Surroundings {
    root: Root,
    program: Option<Program>,
}

impl Surroundings {
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
            let path = path.or_else(|| {
                let is_ours = root.is_ours();
                is_ours.then(|| program(Path::new(name))).flatten()
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
