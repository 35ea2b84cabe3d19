// SPDX-License-Identifier: BSD-2-Clause
//! Paths as DWARF has them → paths as a kernel developer writes them: `kernel/bpf/syscall.c`.
//!
//! What is cut is learnt from the image: the directory that all units lie in. (Cutting at the
//! first directory that has a name of the kernel's top level is wrong for a tree at
//! `/home/me/kernel/linux`; it is left for images of which nothing can be learnt.)

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use gimli::{DebugInfoOffset, Dwarf};

use super::sections::Slice;
use super::units::{UnitAt, UnitIndex};

/// How many units are asked where they lie.
const SAMPLE: usize = 48;

/// Directories of the kernel's top level that have code in them.
const TOP_LEVEL: [&str; 20] = [
    "arch", "block", "certs", "crypto", "drivers", "fs", "include", "init", "io_uring", "ipc",
    "kernel", "lib", "mm", "net", "rust", "samples", "security", "sound", "usr", "virt",
];

/// The roots of the tree, and every path told so far.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Prefixes that end in a slash, the longest first.
    roots: Vec<String>,
    told: RefCell<HashSet<Arc<str>>>,
}

impl Paths {
    /// Learns the roots from the units of an image.
    pub(super) fn of_image(dwarf: &Dwarf<Slice<'_>>, index: &UnitIndex) -> Self {
        let units = index.listed_units();
        let step = units.len().div_ceil(SAMPLE).max(1);
        let sampled = units.iter().step_by(step);
        let places: Vec<_> = sampled.filter_map(|unit| place(dwarf, *unit)).collect();
        Self::of_places(&places)
    }

    /// Learns the roots from (compilation directory, name) of units.
    pub(super) fn of_places(places: &[(String, String)]) -> Self {
        let files: Vec<_> = places
            .iter()
            .map(|(directory, name)| normalize(&join(directory, name)))
            .collect();
        let mut roots: Vec<String> = common_directory(&files).into_iter().collect();
        // A tree that is built elsewhere has generated files there.
        if let Some((directory, _)) = places.first()
            && places.iter().all(|(other, _)| other == directory)
            && directory.starts_with('/')
            && places.len() > 1
        {
            roots.push(format!("{}/", normalize(directory)));
        }
        roots.sort_by_key(|root| Reverse(root.len()));
        roots.dedup();
        Self {
            roots,
            told: RefCell::default(),
        }
    }

    /// The path to show.
    pub(super) fn trim(&self, path: &str) -> Arc<str> {
        let path = normalize(path);
        let cut = self
            .roots
            .iter()
            .find_map(|root| path.strip_prefix(root.as_str()));
        let shown = match cut {
            Some(rest) => rest,
            None if self.roots.is_empty() => from_top_level(&path),
            None => &path,
        };
        let mut told = self.told.borrow_mut();
        if let Some(known) = told.get(shown) {
            return Arc::clone(known);
        }
        let new: Arc<str> = shown.into();
        told.insert(Arc::clone(&new));
        new
    }
}

/// Compilation directory and name of a unit.
fn place(dwarf: &Dwarf<Slice<'_>>, unit: UnitAt) -> Option<(String, String)> {
    let header = dwarf
        .debug_info
        .header_from_offset(DebugInfoOffset(unit.0))
        .ok()?;
    let unit = dwarf.unit(header).ok()?;
    let directory = unit
        .comp_dir
        .map_or_else(String::new, |text| text.to_string_lossy().into());
    Some((directory, unit.name?.to_string_lossy().into()))
}

fn join(directory: &str, name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// Without `.`, `..` and doubled slashes.
fn normalize(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if absolute {
        format!("/{joined}")
    } else {
        joined
    }
}

/// The longest directory that holds all files, with a slash behind; `None` where it is not the
/// top of a kernel tree, which has several of the top-level directories.
fn common_directory(files: &[String]) -> Option<String> {
    let files: Vec<_> = files.iter().filter(|file| file.starts_with('/')).collect();
    let first = files.first()?;
    let mut common = &first[..=first.rfind('/')?];
    for file in &files {
        while !file.starts_with(common) {
            let end = common[..common.len() - 1].rfind('/')?;
            common = &common[..=end];
        }
    }
    let below = files
        .iter()
        .filter_map(|file| file[common.len()..].split('/').next());
    let top_level: HashSet<_> = below.filter(|part| TOP_LEVEL.contains(part)).collect();
    (top_level.len() > 1).then(|| common.to_owned())
}

fn from_top_level(path: &str) -> &str {
    if !path.starts_with('/') {
        return path;
    }
    let mut rest = path;
    while let Some((part, behind)) = rest.split_once('/') {
        if TOP_LEVEL.contains(&part) {
            return rest;
        }
        rest = behind;
    }
    path
}

#[cfg(test)]
mod tests;
