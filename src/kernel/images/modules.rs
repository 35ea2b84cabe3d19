// SPDX-License-Identifier: BSD-2-Clause
//! Finds the debug information of a module and the addresses of its sections.

use std::fs;
use std::path::{Path, PathBuf};

use super::candidate::{Caches, ImageCandidate, ImageFile};
use super::elf_file::build_id_of_notes;
use super::{BuildId, ImageProblem, KernelIdentity, by_build_id, judge_candidate};
use crate::kernel::absent::AbsentModule;
use crate::spec::parse_hex;

/// A file with the debug information of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleImage {
    /// The file.
    pub file: ImageFile,
    /// Its sections, each with name and load address.
    pub sections: Vec<(String, u64)>,
}

/// Searches for the file of a loaded module of the kernel whose files are below `root`. `caches`
/// are the directories in which debuginfod clients store files.
///
/// # Errors
///
/// When there is no file, or when the kernel does not show the section addresses.
pub fn find_module(
    root: &Path,
    caches: &[PathBuf],
    kernel: &KernelIdentity,
    name: &str,
) -> Result<ModuleImage, ImageProblem> {
    let hidden = || ImageProblem::ModuleHidden(name.to_owned());
    let loaded = loaded(root, name).ok_or_else(hidden)?;
    let identity = KernelIdentity {
        release: kernel.release.clone(),
        build_id: module_build_id(root, name),
    };
    let sections = sections(&loaded);
    if sections.is_empty() {
        return Err(hidden());
    }
    let places = places(root, caches, &identity, name);
    choose((root, caches), places, &identity, name, sections)
}

/// As [`find_module`], for a module that is not loaded yet, or not any more. Its sections are at
/// their placeholders.
///
/// # Errors
///
/// When there is no file.
pub fn find_absent_module(
    root: &Path,
    caches: &[PathBuf],
    kernel: &KernelIdentity,
    module: &AbsentModule,
) -> Result<ModuleImage, ImageProblem> {
    let identity = KernelIdentity {
        release: kernel.release.clone(),
        build_id: module.build_id.clone(),
    };
    let mut places = places(root, caches, &identity, &module.name);
    places.push(module.path.clone());
    let sections = module.sections.iter();
    let sections = sections.map(|section| (section.name.clone(), section.range.start.addr().0));
    let sections = sections.collect();
    choose((root, caches), places, &identity, &module.name, sections)
}

/// Returns the first of `places` that has the module's debug information or leads to it.
fn choose(
    (root, caches): (&Path, &[PathBuf]),
    places: Vec<PathBuf>,
    identity: &KernelIdentity,
    name: &str,
    sections: Vec<(String, u64)>,
) -> Result<ModuleImage, ImageProblem> {
    let mut problem = None;
    for place in &places {
        let Ok(Some(candidate)) = ImageCandidate::open(place, Caches(caches)) else {
            continue;
        };
        match judge_candidate(root, caches, place, candidate, identity) {
            Ok(image) => {
                let file = image.file;
                return Ok(ModuleImage { file, sections });
            }
            // The problem of the likeliest place is reported.
            Err(found) => problem = problem.or(Some(found)),
        }
    }
    Err(problem.unwrap_or_else(|| ImageProblem::ModuleNotFound {
        module: name.to_owned(),
        places,
    }))
}

/// The build id of a loaded module; `None` if the kernel does not give it.
#[must_use]
pub fn module_build_id(root: &Path, name: &str) -> Option<BuildId> {
    let notes = fs::read(loaded(root, name)?.join("notes/.note.gnu.build-id"));
    build_id_of_notes(&notes.ok()?)
}

/// The address of a section of a loaded module; `None` if the kernel does not show it.
#[must_use]
pub fn module_section(root: &Path, module: &str, section: &str) -> Option<u64> {
    address(&loaded(root, module)?.join("sections").join(section))
}

/// The directory of a loaded module in `/sys`; `None` if the name is not valid.
fn loaded(root: &Path, name: &str) -> Option<PathBuf> {
    // The name comes from a symbol table and is not trusted.
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    is_name.then(|| root.join("sys/module").join(name))
}

fn sections(loaded: &Path) -> Vec<(String, u64)> {
    let Ok(entries) = fs::read_dir(loaded.join("sections")) else {
        return Vec::new();
    };
    let sections = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let addr = address(&entry.path())?;
        Some((entry.file_name().into_string().ok()?, addr))
    });
    sections.collect()
}

/// Reads an address; `None` if it is hidden.
fn address(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    parse_hex(text.trim()).filter(|addr| *addr != 0)
}

/// The paths at which the file may be, the likeliest first.
fn places(root: &Path, caches: &[PathBuf], identity: &KernelIdentity, name: &str) -> Vec<PathBuf> {
    let release = &identity.release;
    let (mut places, in_caches) = by_build_id(root, caches, identity.build_id.as_ref());
    let modules = root.join("lib/modules").join(release);
    if let Some(relative) = relative_path(&modules, name) {
        let build = relative.strip_prefix("kernel/").unwrap_or(&relative);
        places.extend(
            [
                format!("usr/lib/debug/lib/modules/{release}/{relative}"),
                format!("usr/lib/debug/lib/modules/{release}/{relative}.debug"),
                format!("usr/lib/debug/usr/lib/modules/{release}/{relative}"),
                format!("usr/lib/debug/usr/lib/modules/{release}/{relative}.debug"),
                format!("lib/modules/{release}/{relative}"),
                format!("lib/modules/{release}/{relative}.zst"),
                format!("lib/modules/{release}/{relative}.xz"),
                format!("lib/modules/{release}/{relative}.gz"),
                format!("lib/modules/{release}/build/{build}"),
            ]
            .map(|place| root.join(place)),
        );
    }
    places.extend(in_caches);
    places
}

/// The path of a module's file relative to the modules of its kernel, such as
/// `kernel/fs/xfs/xfs.ko`; `None` if `modules.dep` does not list it.
#[must_use]
pub fn module_path(root: &Path, release: &str, name: &str) -> Option<String> {
    relative_path(&root.join("lib/modules").join(release), name)
}

/// The path in `modules.dep`, such as `kernel/fs/xfs/xfs.ko`, without the suffix of a compression.
fn relative_path(modules: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(modules.join("modules.dep")).ok()?;
    text.lines().find_map(|line| {
        let path = line.split_once(':')?.0;
        let end = path.rfind(".ko")? + ".ko".len();
        let path = path.get(..end)?;
        let stem = Path::new(path).file_stem()?.to_str()?;
        // File names may have dashes where the kernel has underscores. The path must not leave the
        // directory.
        let is_it = stem.replace('-', "_") == name && !path.split('/').any(|part| part == "..");
        (is_it && !path.starts_with('/')).then(|| path.to_owned())
    })
}
