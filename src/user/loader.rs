// SPDX-License-Identifier: BSD-2-Clause
//! Looks for a library as the loader of a program does: in directories that the program and its
//! libraries name, in those of `LD_LIBRARY_PATH`, in `ld.so.cache`, and in directories of the system.
//!
//! Which copy of a library for CPUs with certain features is taken (`glibc-hwcaps`) is left out.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::arch::{LIBRARY_DIRECTORY, MUSL_PATHS};
use super::dynamic::{Dynamic, dynamic};
use super::elf::{ElfBytes, UserElf};
use super::ld_cache::{self, Library};
use super::root::Root;

/// Maximum size of `ld.so.cache`, in bytes.
const MAX_LD_CACHE: u64 = 16 << 20;

/// Maximum size of musl's list of directories, in bytes.
const MAX_MUSL_PATHS: u64 = 64 << 10;

/// Directories that the loader searches without its cache, as musl does.
const LIBRARY_DIRECTORIES: [&str; 5] =
    ["/lib64", "/usr/lib64", "/lib", "/usr/local/lib", "/usr/lib"];

/// Maximum number of libraries of a program that are looked at.
const MAX_LIBRARIES: usize = 512;

/// Maximum number of directories of one list.
const MAX_DIRECTORIES: usize = 64;

/// A program whose libraries are looked for.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// Its path.
    pub(super) path: PathBuf,
    /// Its `LD_LIBRARY_PATH`.
    pub(super) environment: Option<Vec<u8>>,
}

/// A program or a library that the loader has loaded.
#[derive(Debug)]
struct Loaded {
    path: PathBuf,
    /// The name by which it was asked for.
    name: String,
    dynamic: Dynamic,
    /// Which object needed it.
    needed_by: Option<usize>,
}

/// A loader: the libraries of a root directory, and how those of a program are found.
pub(super) struct Loader<'r> {
    root: &'r Root,
    cached: Vec<Library>,
    directories: Vec<PathBuf>,
}

impl<'r> Loader<'r> {
    pub(super) fn new(root: &'r Root) -> Self {
        let of_architecture =
            ["/lib", "/usr/lib"].map(|lib| Path::new(lib).join(LIBRARY_DIRECTORY));
        let of_all = LIBRARY_DIRECTORIES.map(PathBuf::from);
        let read = |path, max| read_up_to(root, path, max).unwrap_or_default();
        let of_musl = musl_directories(&read(MUSL_PATHS, MAX_MUSL_PATHS));
        Self {
            root,
            cached: ld_cache::libraries(&read("/etc/ld.so.cache", MAX_LD_CACHE)),
            directories: of_architecture
                .into_iter()
                .chain(of_musl)
                .chain(of_all)
                .collect(),
        }
    }

    /// Returns the file of a library by a name such as `libc`, `libc.so` or `libc.so.6`: of the one
    /// that the program uses, or else that it would find.
    pub(super) fn find(&self, name: &str, program: Option<&Program>) -> Option<PathBuf> {
        let of_program = program.and_then(|program| self.of_program(name, program));
        let cached = || {
            let mut cached = self.cached.iter();
            let found = cached.find(|library| is_library(&library.name, name));
            found.map(|library| library.path.clone())
        };
        of_program
            .or_else(cached)
            .or_else(|| self.in_directories(name, &self.directories))
    }

    /// Returns the names of libraries, for messages.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.cached.iter().map(|library| library.name.as_str())
    }

    /// Follows what the program needs, and what that needs, in the loader's order.
    fn of_program(&self, name: &str, program: &Program) -> Option<PathBuf> {
        let path = program.path.clone();
        let (dynamic, is_musl) = self.read(&path)?;
        let mut loaded = vec![Loaded {
            path,
            name: String::new(),
            dynamic,
            needed_by: None,
        }];
        let mut known = HashSet::new();
        let mut next = 0;
        while next < loaded.len() && loaded.len() < MAX_LIBRARIES {
            let directories = self.lists(&loaded, next, program, is_musl);
            for needed in loaded[next].dynamic.needed.clone() {
                if !known.insert(needed.clone()) || loaded.len() >= MAX_LIBRARIES {
                    continue;
                }
                if let Some((path, dynamic)) = self.load(&needed, &directories, &loaded[next].path)
                {
                    loaded.push(Loaded {
                        path,
                        name: needed,
                        dynamic,
                        needed_by: Some(next),
                    });
                }
            }
            next += 1;
        }
        let is_wanted = |library: &&Loaded| {
            let soname = library.dynamic.soname.as_deref();
            is_library(&library.name, name) || soname.is_some_and(|soname| is_library(soname, name))
        };
        match loaded[1..].iter().find(is_wanted) {
            Some(library) => Some(library.path.clone()),
            // It may load the library later (`dlopen`).
            None => self.in_directories(name, &self.lists(&loaded, 0, program, is_musl)),
        }
    }

    /// Returns the directories that are searched, before those of the system, for what an object needs.
    fn lists(
        &self,
        loaded: &[Loaded],
        object: usize,
        program: &Program,
        is_musl: bool,
    ) -> Vec<PathBuf> {
        let mut inherited = Vec::new();
        let mut above = Some(object);
        while let Some(of) = above {
            let Loaded {
                path,
                dynamic,
                needed_by,
                ..
            } = &loaded[of];
            // musl makes no difference between the two lists.
            let list = match &dynamic.runpath {
                None => dynamic.rpath.as_ref(),
                Some(runpath) => is_musl.then_some(runpath),
            };
            inherited.extend(list.into_iter().flat_map(|list| expanded(list, path)));
            above = *needed_by;
        }
        let Loaded { path, dynamic, .. } = &loaded[object];
        let environment = program.environment.as_deref().unwrap_or_default();
        let environment = environment_directories(environment, &program.path);
        let own = dynamic.runpath.iter();
        let own: Vec<PathBuf> = own.flat_map(|list| expanded(list, path)).collect();
        if is_musl {
            return [environment, inherited].concat();
        }
        if dynamic.runpath.is_some() {
            inherited.clear();
        }
        [inherited, environment, own].concat()
    }

    /// Loads a library by its whole name. `of` is the file that needs it.
    fn load(&self, name: &str, directories: &[PathBuf], of: &Path) -> Option<(PathBuf, Dynamic)> {
        let load = |path: PathBuf| {
            let (dynamic, _) = self.read(&path)?;
            Some((path, dynamic))
        };
        if name.contains('/') {
            return expanded(name, of).next().and_then(load);
        }
        let cached = self.cached.iter().filter(|library| library.name == name);
        let cached = cached.map(|library| library.path.clone());
        let in_directory = |directory: &PathBuf| directory.join(name);
        let ahead = directories.iter().map(in_directory);
        let system = self.directories.iter().map(in_directory);
        ahead.chain(cached).chain(system).find_map(load)
    }

    /// Reads what a file needs, and whether its loader is that of musl.
    fn read(&self, path: &Path) -> Option<(Dynamic, bool)> {
        let file = self.root.open(path).ok()?;
        let elf = UserElf::read(ElfBytes::File(&file)).ok()?;
        let interpreter = elf.interpreter().unwrap_or_default();
        let is_musl = memmem::find(&interpreter, b"ld-musl").is_some();
        Some((dynamic(&elf), is_musl))
    }

    fn in_directories(&self, name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
        let in_directory = |directory: &PathBuf| {
            let names = self.root.names(directory).into_iter();
            names
                .filter(|file_name| is_library(&file_name.to_string_lossy(), name))
                .map(|file_name| directory.join(file_name))
                .find(|path| self.root.open(path).is_ok())
        };
        directories.iter().find_map(in_directory)
    }
}

fn read_up_to(root: &Root, path: &str, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = root.open(Path::new(path))?;
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the directories of a list, with `$ORIGIN` replaced by the directory of the file that has
/// the list. Those with other variables are left out, and relative ones, which depend on the current
/// directory of the program.
fn expanded<'t>(list: &'t str, file: &'t Path) -> impl Iterator<Item = PathBuf> + 't {
    let origin = file.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let directories = list.split(':').take(MAX_DIRECTORIES);
    directories.filter_map(move |directory| {
        let directory = directory
            .replace("${ORIGIN}", &origin)
            .replace("$ORIGIN", &origin);
        let is_usable = directory.starts_with('/') && !directory.contains('$');
        is_usable.then(|| PathBuf::from(directory))
    })
}

/// Returns the directories of `LD_LIBRARY_PATH`, separated by colons or semicolons.
fn environment_directories(list: &[u8], program: &Path) -> Vec<PathBuf> {
    let directories = list.split(|byte| matches!(byte, b':' | b';'));
    let directories = directories.take(MAX_DIRECTORIES);
    directories
        .flat_map(|directory| {
            let text = OsStr::from_bytes(directory).to_string_lossy();
            expanded(&text, program).collect::<Vec<_>>()
        })
        .collect()
}

/// The directories are separated by colons or newlines. musl ignores what does not begin with a
/// slash.
fn musl_directories(paths: &[u8]) -> Vec<PathBuf> {
    let paths = String::from_utf8_lossy(paths);
    let directories = paths.split([':', '\n']).map(str::trim);
    directories
        .filter(|directory| directory.starts_with('/'))
        .take(MAX_DIRECTORIES)
        .map(PathBuf::from)
        .collect()
}

/// Returns true if a file name is that of the library: `libc` means `libc.so` and `libc.so.6`.
pub(super) fn is_library(file_name: &str, name: &str) -> bool {
    let rest = file_name.strip_prefix(name);
    rest.is_some_and(|rest| {
        let is_version = rest.starts_with('.') && name.contains(".so");
        rest.is_empty() && name.contains(".so") || rest.starts_with(".so") || is_version
    })
}

#[cfg(test)]
#[path = "loader_tests.rs"]
mod tests;
