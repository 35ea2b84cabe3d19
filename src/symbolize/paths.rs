// SPDX-License-Identifier: BSD-2-Clause
//! Shortens paths of DWARF to paths as a kernel developer writes them: `kernel/bpf/syscall.c`.
//!
//! The prefix is derived from the image: it is the directory that contains all units. Cutting at
//! the first directory with the name of a top-level directory would be wrong for a tree at
//! `/home/me/kernel/linux`. That is only done for images from which no prefix can be derived.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::dwarf::{Abbreviations, DebugSections, Header, Section, Unit};
use super::units::UnitAt;

/// Number of units whose paths are sampled, about.
const N_SAMPLED_UNITS: usize = 48;

/// Top-level directories of the kernel that contain code.
const TOP_LEVEL: [&str; 20] = [
    "arch", "block", "certs", "crypto", "drivers", "fs", "include", "init", "io_uring", "ipc",
    "kernel", "lib", "mm", "net", "rust", "samples", "security", "sound", "usr", "virt",
];

/// The root directories of the source tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    /// Prefixes that end in a slash, the longest first.
    roots: Vec<String>,
}

impl Paths {
    /// Derives the roots from the units of an image.
    pub(super) fn of_image(sections: DebugSections<'_>, units: &[UnitAt]) -> Self {
        let step = units.len().div_ceil(N_SAMPLED_UNITS).max(1);
        let mut abbreviations = Abbreviations::default();
        let places: Vec<_> = units
            .iter()
            .step_by(step)
            .filter_map(|unit| place(sections, *unit, &mut abbreviations))
            .collect();
        Self::of_places(&places)
    }

    /// Derives the roots from pairs of compilation directory and name of a unit.
    pub(super) fn of_places(places: &[(String, String)]) -> Self {
        let files: Vec<_> = places
            .iter()
            .map(|(directory, name)| normalize(&join(directory, name)))
            .collect();
        let mut roots: Vec<String> = tree(&files).map(str::to_owned).into_iter().collect();
        // A tree that is built in another directory has generated files there.
        roots.extend(build_directory(places).map(|directory| format!("{directory}/")));
        roots.sort_by_key(|root| Reverse(root.len()));
        roots.dedup();
        Self { roots }
    }

    /// Returns the path to show.
    pub(super) fn trim(&self, path: &str) -> String {
        let path = normalize(path);
        let cut = self
            .roots
            .iter()
            .find_map(|root| path.strip_prefix(root.as_str()));
        let shown = match cut {
            Some(rest) => rest,
            None if self.roots.is_empty() => from_top_level(&path),
            None => from_named_tree(&path).unwrap_or(&path),
        };
        shown.to_owned()
    }
}

/// Compilation directory and name of a unit.
fn place(
    sections: DebugSections<'_>,
    unit: UnitAt,
    abbreviations: &mut Abbreviations,
) -> Option<(String, String)> {
    let header = Header::read(sections.get(Section::Info), unit.0)?;
    let unit = Unit::read(sections, header, abbreviations)?;
    let text = |part| String::from_utf8_lossy(part).into_owned();
    Some((text(unit.directory.unwrap_or_default()), text(unit.name?)))
}

pub(super) fn join(directory: &str, name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// Removes `.`, `..` and doubled slashes.
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

/// Returns the directory, with a slash at its end, below which the files are in the largest number
/// of top-level directories of a kernel. `None` if that number is 1, because such a directory
/// cannot be distinguished from others.
///
/// The longest directory common to all files is not used, because units of Rust's library are
/// elsewhere.
fn tree(files: &[String]) -> Option<&str> {
    let mut below: HashMap<&str, (HashSet<&str>, usize)> = HashMap::new();
    for file in files {
        for (at, part) in parts(file).filter(|(_, part)| TOP_LEVEL.contains(part)) {
            let (top_levels, votes) = below.entry(&file[..at]).or_default();
            top_levels.insert(part);
            *votes += 1;
        }
    }
    let score = |(directory, (top_levels, votes)): (&&str, &(HashSet<&str>, usize))| {
        (top_levels.len(), *votes, Reverse(directory.len()))
    };
    let best = below
        .iter()
        .max_by_key(|(directory, found)| score((directory, found)))?;
    (best.1.0.len() > 1).then_some(*best.0)
}

/// Returns the directory that most units were compiled in; `None` if there is no majority.
fn build_directory(places: &[(String, String)]) -> Option<String> {
    let mut directories: Vec<_> = places.iter().map(|(directory, _)| directory).collect();
    directories.sort_unstable();
    let runs = directories.chunk_by(|one, other| one == other);
    let most = runs
        .max_by_key(|run| run.len())
        .filter(|run| run.len() * 2 > directories.len())?;
    let directory = normalize(most[0]);
    let is_sure = most.len() > 1 || places.iter().all(is_below_top_level);
    (is_sure && !directory.is_empty() && directory != "/").then_some(directory)
}

/// Returns whether the name of a unit begins with a top-level directory. The only unit of a module
/// was then compiled at the root of the tree.
fn is_below_top_level((_, name): &(String, String)) -> bool {
    let name = name.strip_prefix("./").unwrap_or(name);
    name.split_once('/')
        .is_some_and(|(first, _)| TOP_LEVEL.contains(&first))
}

/// Iterates over the directories of a path, with their byte offsets.
fn parts(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let slashes = path.match_indices('/').map(|(at, _)| at + 1);
    let starts = (!path.starts_with('/'))
        .then_some(0)
        .into_iter()
        .chain(slashes);
    starts.filter_map(|start| Some((start, &path[start..start + path[start..].find('/')?])))
}

/// Returns the path below a directory that is named like a kernel's sources. Some files (assembler,
/// Rust) keep their original path when a distribution removes it from all others.
fn from_named_tree(path: &str) -> Option<&str> {
    let parts: Vec<_> = parts(path).collect();
    let pairs = parts.windows(2).find(|pair| {
        let (tree, below) = (pair[0].1, pair[1].1);
        (tree == "linux" || tree.starts_with("linux-")) && TOP_LEVEL.contains(&below)
    })?;
    path.get(pairs[1].0..)
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
