// SPDX-License-Identifier: BSD-2-Clause
//! Finds the image of the running kernel, and checks whether a file is that image.
//!
//! The image is given by the user or searched for in the standard places, and checked by build id.
//! A problem with an image is a value. It is an error for a file that the user named. For a
//! standard place it is the reason why there are no lines.

mod candidate;
mod elf_file;
mod lz4;
mod modules;
mod plain;
mod remedy;
mod separate;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf, absolute};
use std::{fmt, fs, io};

pub use self::candidate::ImageFile;
use self::candidate::{Caches, ImageCandidate};
use self::elf_file::ElfFacts;
pub use self::modules::{
    ModuleImage, find_absent_module, find_module, module_build_id, module_path, module_section,
};
pub(in crate::kernel) use self::plain::bytes_at;
pub use self::plain::open_plain;
pub use self::remedy::{family, remedy};
pub use self::separate::check_debug;
use crate::trusted::directory_of;

/// A GNU build id, as raw bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BuildId(pub Vec<u8>);

/// Identifies the running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelIdentity {
    /// The release as `uname -r` prints it: `6.12.0-1-amd64`.
    pub release: String,
    /// The build id; `None` if the kernel does not give it.
    pub build_id: Option<BuildId>,
}

/// An image from which lines can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelImage {
    /// The file with the debug information.
    pub file: ImageFile,
    /// Whether its build id is that of the running kernel. False if one of them has no build id.
    pub is_verified: bool,
}

/// Why a file is not used as the image of the running kernel.
#[derive(Debug)]
pub enum ImageProblem {
    /// The file does not exist or cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file is not ELF or is damaged. A compressed `vmlinuz` is not ELF.
    NotElf(PathBuf),
    /// The file is for another architecture.
    ForeignArchitecture {
        /// The file.
        path: PathBuf,
        /// Name of its architecture.
        found: String,
    },
    /// The file has no debug information, and no other file with its build id and debug information
    /// was found.
    NoDwarf {
        /// The file.
        path: PathBuf,
        /// Its build id; `None` if it has none.
        build_id: Option<BuildId>,
    },
    /// The file belongs to another kernel.
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Build id of the file.
        image: BuildId,
        /// Build id of the running kernel.
        running: BuildId,
    },
    /// No standard place has a file of a module.
    ModuleNotFound {
        /// Name of the module.
        module: String,
        /// The places that were searched.
        places: Vec<PathBuf>,
    },
    /// The kernel does not show the section addresses of a module.
    ModuleHidden(String),
    /// No standard place has a file of the kernel.
    NotFound {
        /// The release that was searched for.
        release: String,
        /// The places that were searched.
        places: Vec<PathBuf>,
    },
}

/// The result of the search for the running kernel's image.
#[derive(Debug, Default)]
pub struct ImageSearch {
    /// The image to read lines from; `None` if no file can be used.
    pub image: Option<KernelImage>,
    /// Why files were rejected. If there was no file, the only entry says so.
    pub problems: Vec<ImageProblem>,
}

impl KernelIdentity {
    /// Reads the identity of the kernel whose `/proc` and `/sys` are below `root`.
    ///
    /// # Errors
    ///
    /// When the release cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease"))?;
        let notes = fs::read(root.join("sys/kernel/notes")).unwrap_or_default();
        Ok(Self {
            release: release.trim_end().to_owned(),
            build_id: elf_file::build_id_of_notes(&notes),
        })
    }
}

/// Checks the image that the user named. If it has no debug information, a file with its build id
/// is used. `root` and `caches` are as for [`find`].
///
/// # Errors
///
/// When it cannot be used at all. An image of another kernel is not an error but a problem in the
/// result, so that the run continues without lines.
pub fn named(
    root: &Path,
    caches: &[PathBuf],
    path: &Path,
    kernel: &KernelIdentity,
) -> Result<ImageSearch, ImageProblem> {
    match judge(root, caches, path, kernel) {
        Ok(image) => Ok(ImageSearch {
            image: Some(image),
            problems: Vec::new(),
        }),
        Err(problem @ ImageProblem::Mismatch { .. }) => Ok(ImageSearch {
            image: None,
            problems: vec![problem],
        }),
        Err(problem) => Err(problem),
    }
}

/// Searches the standard places below `root` for the image. `caches` are the directories in which
/// debuginfod clients store files.
#[must_use]
pub fn find(root: &Path, caches: &[PathBuf], kernel: &KernelIdentity) -> ImageSearch {
    let places = places(root, caches, kernel);
    let mut found = ImageSearch::default();
    for place in &places {
        match judge(root, caches, place, kernel) {
            Ok(image) => {
                found.image = Some(image);
                return found;
            }
            Err(ImageProblem::Unreadable(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
            // An empty file with which debuginfod clients record that no server has it.
            Err(ImageProblem::NotElf(path)) if is_mark(caches, &path) => {}
            Err(problem) => found.problems.push(problem),
        }
    }
    if found.problems.is_empty() {
        let release = kernel.release.clone();
        found
            .problems
            .push(ImageProblem::NotFound { release, places });
    }
    found
}

/// Reads the build id of a file; `None` if it has none or if it is not ELF.
///
/// # Errors
///
/// When the file cannot be read.
pub fn build_id(file: &File) -> io::Result<Option<BuildId>> {
    let facts = ElfFacts::of_file(file)?;
    Ok(facts.and_then(|facts| facts.build_id))
}

/// Finds the file with the debug information of `path`: itself, or the file that its debug link or
/// its build id leads to. If `path` is not an image, it is returned unchanged, and opening it
/// reports the error.
///
/// # Errors
///
/// When it has no debug information, and no other file with its build id was found that has.
pub fn with_debug(root: &Path, caches: &[PathBuf], path: &Path) -> Result<ImageFile, ImageProblem> {
    let Ok(Some(candidate)) = ImageCandidate::open(path, Caches::NONE) else {
        return Ok(ImageFile::from(path.to_owned()));
    };
    let facts = &candidate.facts;
    if facts.has_dwarf || facts.foreign_architecture.is_some() {
        return Ok(candidate.file);
    }
    separate::find(root, caches, path, facts).ok_or_else(|| ImageProblem::NoDwarf {
        path: path.to_owned(),
        build_id: facts.build_id.clone(),
    })
}

/// The cache directories of debuginfod clients and perf, according to environment variables.
#[must_use]
pub fn debuginfod_caches(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let directory = |name| directory_of(variable(name));
    let own = variable("DEBUGINFOD_CACHE_PATH").filter(|value| !value.is_empty());
    let caches = [
        own.and_then(|path| absolute(path).ok()),
        directory("XDG_CACHE_HOME").map(|cache| cache.join("debuginfod_client")),
        directory("HOME").map(|home| home.join(".cache/debuginfod_client")),
        directory("HOME").map(|home| home.join(".debuginfod_client_cache")),
        directory("HOME").map(|home| home.join(".debug")),
    ];
    caches.into_iter().flatten().collect()
}

/// The standard places, the likeliest first.
#[must_use]
pub fn places(root: &Path, caches: &[PathBuf], kernel: &KernelIdentity) -> Vec<PathBuf> {
    let release = &kernel.release;
    let (mut places, in_caches) = by_build_id(root, caches, kernel.build_id.as_ref());
    places.extend(
        [
            format!("usr/lib/debug/boot/vmlinux-{release}"),
            format!("usr/lib/debug/lib/modules/{release}/vmlinux"),
            format!("usr/lib/debug/boot/vmlinux-{release}.debug"),
            format!("lib/modules/{release}/build/vmlinux"),
            format!("lib/modules/{release}/vmlinux"),
            format!("usr/lib/modules/{release}/kernel/vmlinux"),
            format!("boot/vmlinux-{release}"),
        ]
        .map(|place| root.join(place)),
    );
    // Files that the administrator installed are preferred to those in a user's cache.
    places.extend(in_caches);
    places
}

/// Paths of files that are named by their build id: in the system's directory, and in caches.
fn by_build_id(
    root: &Path,
    caches: &[PathBuf],
    id: Option<&BuildId>,
) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut system, mut places) = (Vec::new(), Vec::new());
    let Some(id) = id.map(BuildId::to_string) else {
        return (system, places);
    };
    if let Some((first, rest)) = id.split_at_checked(2) {
        system.push(root.join(format!("usr/lib/debug/.build-id/{first}/{rest}.debug")));
        // The cache of perf is indexed by build id too.
        for cache in caches {
            let of_perf = cache.join(".build-id").join(first).join(rest);
            places.extend([of_perf.join("debug"), of_perf.join("elf")]);
        }
    }
    places.extend(caches.iter().map(|cache| cache.join(&id).join("debuginfo")));
    (system, places)
}

/// Whether a file is an empty file of a cache.
fn is_mark(caches: &[PathBuf], path: &Path) -> bool {
    caches.iter().any(|cache| path.starts_with(cache))
        && fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0)
}

fn judge(
    root: &Path,
    caches: &[PathBuf],
    path: &Path,
    kernel: &KernelIdentity,
) -> Result<KernelImage, ImageProblem> {
    let own = || path.to_owned();
    let candidate = match ImageCandidate::open(path, Caches(caches)) {
        Ok(Some(candidate)) => candidate,
        Ok(None) => return Err(ImageProblem::NotElf(own())),
        Err(error) => return Err(ImageProblem::Unreadable(own(), error)),
    };
    judge_candidate(root, caches, path, candidate, kernel)
}

fn judge_candidate(
    root: &Path,
    caches: &[PathBuf],
    path: &Path,
    ImageCandidate { file, facts }: ImageCandidate,
    kernel: &KernelIdentity,
) -> Result<KernelImage, ImageProblem> {
    let own = || path.to_owned();
    if let Some(found) = facts.foreign_architecture {
        return Err(ImageProblem::ForeignArchitecture { path: own(), found });
    }
    if let (Some(image), Some(running)) = (&facts.build_id, &kernel.build_id)
        && image != running
    {
        let (image, running) = (image.clone(), running.clone());
        return Err(ImageProblem::Mismatch {
            path: own(),
            image,
            running,
        });
    }
    let is_verified = facts.build_id.is_some() && kernel.build_id.is_some();
    let file = if facts.has_dwarf {
        file
    } else {
        separate::find(root, caches, path, &facts).ok_or_else(|| ImageProblem::NoDwarf {
            path: own(),
            build_id: facts.build_id,
        })?
    };
    Ok(KernelImage { file, is_verified })
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for ImageProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "failed to read `{}`: {error}", path.display())
            }
            Self::NotElf(path) => write!(f, "`{}` is not an ELF file", path.display()),
            Self::ForeignArchitecture { path, found } => {
                write!(
                    f,
                    "`{}` is for another architecture ({found})",
                    path.display()
                )
            }
            Self::NoDwarf { path, build_id } => {
                write!(f, "`{}` has no debug information (DWARF)", path.display())?;
                build_id.as_ref().map_or(Ok(()), |id| {
                    write!(f, ", and there is none of its build id {id}")
                })
            }
            Self::Mismatch {
                path,
                image,
                running,
            } => write!(
                f,
                "`{}` is another kernel's image: its build id is {image}, \
                 the running kernel's {running}",
                path.display()
            ),
            Self::ModuleNotFound { module, places } => write!(
                f,
                "no file of module `{module}` found, looked in {} places",
                places.len()
            ),
            Self::ModuleHidden(module) => write!(
                f,
                "the kernel does not tell where the sections of module `{module}` lie"
            ),
            Self::NotFound { release, places } => write!(
                f,
                "no kernel image (vmlinux) found for {release}, looked in {} places",
                places.len()
            ),
        }
    }
}

impl Error for ImageProblem {}
