// SPDX-License-Identifier: BSD-2-Clause
//! Finds the debug information of a file that has none, by its debug link (`.gnu_debuglink`) or by
//! its build id.
//!
//! Only a file with the same build id is used. A link also has a checksum, which would allow to
//! check files without a build id, but no kernel of this century is built without one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::candidate::{Caches, ImageCandidate, ImageFile};
use super::elf_file::ElfFacts;
use super::{BuildId, by_build_id};

/// The first bytes of every ELF file.
const ELF_MAGIC: &[u8; 4] = b"\x7fELF";

/// Finds the debug information of a file that has none; `None` if there is none.
pub(super) fn find(
    root: &Path,
    caches: &[PathBuf],
    path: &Path,
    facts: &ElfFacts,
) -> Option<ImageFile> {
    let id = facts.build_id.as_ref()?;
    let mut places = facts
        .debug_link
        .as_deref()
        .map_or_else(Vec::new, |name| linked(root, path, name));
    let (system, in_caches) = by_build_id(root, caches, Some(id));
    places.extend(system.into_iter().chain(in_caches));
    let mut candidates = places
        .iter()
        .filter_map(|place| ImageCandidate::open(place, Caches(caches)).ok()?);
    let found = candidates.find(|ImageCandidate { facts, .. }| {
        facts.has_dwarf && facts.build_id.as_ref() == Some(id)
    });
    found.map(|found| found.file)
}

/// The paths at which gdb looks for a linked file.
fn linked(root: &Path, path: &Path, name: &Path) -> Vec<PathBuf> {
    // Only the file name is used, so that a link cannot lead to other directories.
    let Some(name) = name.file_name() else {
        return Vec::new();
    };
    let Some(directory) = path.parent() else {
        return Vec::new();
    };
    let below = directory.strip_prefix(root).or(directory.strip_prefix("/"));
    let mut places = vec![directory.join(name), directory.join(".debug").join(name)];
    if let Ok(below) = below {
        places.push(root.join("usr/lib/debug").join(below).join(name));
    }
    places
}

/// Checks that a file is uncompressed and has the debug information of a build id.
///
/// # Errors
///
/// A description of what is wrong.
pub fn check_debug(path: &Path, id: &BuildId) -> Result<(), String> {
    let mut magic = [0; ELF_MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    if read.is_err() || magic != *ELF_MAGIC {
        return Err("it is not an ELF file".to_owned());
    }
    let facts = ElfFacts::read(path).map_err(|error| error.to_string())?;
    let facts = facts.ok_or("it is a damaged ELF file")?;
    if let Some(found) = facts.foreign_architecture {
        return Err(format!("it is for another architecture ({found})"));
    }
    match facts.build_id {
        None => Err("it has no build id".to_owned()),
        Some(found) if found != *id => Err(format!("its build id is {found} instead of {id}")),
        Some(_) if !facts.has_dwarf => Err("it has no debug information (DWARF)".to_owned()),
        Some(_) => Ok(()),
    }
}
