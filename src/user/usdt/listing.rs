// SPDX-License-Identifier: BSD-2-Clause
//! Lists the USDT probes of a file, or of all files of a process.

use std::fs::File;
use std::path::PathBuf;

use super::notes::{ProbeName, ProbeSite, Probes, probes};
use crate::spec::{UsdtSite, UserObject};
use crate::user::elf::{BadElf, ElfBytes, UserElf};
use crate::user::locate::{FoundFile, Surroundings, locate};
use crate::user::mapped::mapped_files;

/// The probes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProbes {
    /// Path of the file.
    pub path: PathBuf,
    /// The probes, in order of provider and name.
    pub probes: Vec<ListedProbe>,
    /// Number of places that are left out, because their notes are damaged.
    pub n_damaged: usize,
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProbe {
    /// Who has it: a program or a part of it.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Where it is, in order of the offsets.
    pub sites: Vec<ListedSite>,
}

/// A place where a probe is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSite {
    /// Offsets and arguments.
    pub site: UsdtSite,
    /// The arguments as the file has them.
    pub arguments: String,
}

/// Lists the probes of an object: of a file, or of the files of a process. Files without probes are
/// left out.
///
/// # Errors
///
/// What is wrong, in words for the user: the file cannot be read, or nothing has a probe.
pub fn list_probes(object: &UserObject) -> Result<Vec<FileProbes>, String> {
    let UserObject::Process(pid) = object else {
        let FoundFile { file, path } = locate(object, &Surroundings::default())?;
        let read = read(&file);
        let found = read.map_err(|why| format!("`{}` cannot be used: {why}", path.display()))?;
        if found.by_name.is_empty() && found.n_damaged == 0 {
            return Err(format!("`{}` has no USDT probes", path.display()));
        }
        return Ok(vec![listed(path, found)]);
    };
    // It says what is wrong with the process if its files cannot be listed.
    locate(object, &Surroundings::default())?;
    let files = mapped_files(*pid)
        .map_err(|error| format!("failed to list the files of process {pid}: {error}"))?;
    // A library that cannot be read hides none of the others.
    let found = files
        .into_iter()
        .filter_map(|(file, path)| Some(listed(path, read(&file).ok()?)))
        .filter(|file| !file.probes.is_empty());
    let mut found: Vec<FileProbes> = found.collect();
    if found.is_empty() {
        return Err(format!("no file of process {pid} has USDT probes"));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read(file: &File) -> Result<Probes, BadElf> {
    probes(&UserElf::read(ElfBytes::File(file))?)
}

fn listed(path: PathBuf, probes: Probes) -> FileProbes {
    let Probes { by_name, n_damaged } = probes;
    let listed = by_name
        .into_iter()
        .map(|(ProbeName { provider, name }, sites)| ListedProbe {
            provider,
            name,
            sites: sites.into_iter().map(listed_site).collect(),
        });
    FileProbes {
        path,
        probes: listed.collect(),
        n_damaged,
    }
}

fn listed_site(site: ProbeSite) -> ListedSite {
    ListedSite {
        site: site.site,
        arguments: site.text,
    }
}
