// SPDX-License-Identifier: BSD-2-Clause
//! The files that the globs of a run name. Each is opened once, and stays open.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::PathBuf;

use super::elf::{BadElf, ElfBytes, UserElf};
use super::locate::{FileSearch, FoundFile, locate};
use super::symbols::{Functions, functions};
use super::usdt::{Probes, probes};
use crate::spec::{ObjectId, UserObject};

/// A file that has functions or probes to trace.
#[derive(Debug)]
pub struct UserFile {
    /// The open file. It stays the same if the path is replaced.
    pub file: File,
    /// Its path; in a container, as the container has it.
    pub path: PathBuf,
    /// What tells it from others ([`FileSearch::identify`]).
    pub identity: Vec<u8>,
}

/// Files that were opened, each once, and what they have.
#[derive(Debug)]
pub(super) struct OpenFiles<'a> {
    search: &'a FileSearch,
    pub(super) files: Vec<UserFile>,
    /// In which of the surroundings, by their index, a file was found.
    pub(super) holders: BTreeSet<(usize, ObjectId)>,
    functions: Vec<Functions>,
    /// The probes of files that were asked for them.
    probes: BTreeMap<ObjectId, Result<Probes, String>>,
    by_inode: HashMap<Vec<u8>, ObjectId>,
    by_name: BTreeMap<UserObject, Result<Vec<ObjectId>, String>>,
}

impl<'a> OpenFiles<'a> {
    /// No files are open yet.
    pub(super) fn new(search: &'a FileSearch) -> Self {
        Self {
            search,
            files: Vec::new(),
            holders: BTreeSet::new(),
            functions: Vec::new(),
            probes: BTreeMap::new(),
            by_inode: HashMap::new(),
            by_name: BTreeMap::new(),
        }
    }

    /// Opens the file of an object and reads its functions, unless that is done. In several containers
    /// an object may have several files. It is an error if it has none.
    pub(super) fn open(&mut self, object: &UserObject) -> Result<Vec<ObjectId>, String> {
        if let Some(known) = self.by_name.get(object) {
            return known.clone();
        }
        let opened = self.open_all(object);
        self.by_name.insert(object.clone(), opened.clone());
        opened
    }

    fn open_all(&mut self, object: &UserObject) -> Result<Vec<ObjectId>, String> {
        // A process has its files wherever we look.
        let n_places = match object {
            UserObject::File(_) => usize::MAX,
            UserObject::Process(_) | UserObject::Mapped(..) => 1,
        };
        let search = self.search;
        let (mut found, mut why) = (BTreeSet::new(), None);
        for (place, around) in search.around.iter().enumerate().take(n_places) {
            match locate(object, around).and_then(|located| self.read(located)) {
                Ok(id) => {
                    found.insert(id);
                    self.holders.insert((place, id));
                }
                Err(error) => why = why.or(Some(error)),
            }
        }
        match why {
            Some(why) if found.is_empty() => Err(why),
            _ => Ok(found.into_iter().collect()),
        }
    }

    /// Two names of one file have one object, so that each function has one probe.
    fn read(&mut self, located: FoundFile) -> Result<ObjectId, String> {
        let FoundFile { file, path } = located;
        let unreadable = |why: String| format!("`{}` cannot be used: {why}", path.display());
        let identity = self.search.identity(&file);
        let identity = identity.map_err(|error| unreadable(error.to_string()))?;
        if let Some(known) = self.by_inode.get(&identity) {
            return Ok(*known);
        }
        let functions = functions(&file).map_err(|error| unreadable(error.to_string()))?;
        let id = ObjectId(self.files.len() as u32);
        self.by_inode.insert(identity.clone(), id);
        self.functions.push(functions);
        self.files.push(UserFile {
            file,
            path,
            identity,
        });
        Ok(id)
    }

    /// Reads the probes of a file, unless that is done. [`OpenFiles::probes`] returns them.
    pub(super) fn read_probes(&mut self, object: ObjectId) {
        let UserFile { file, path, .. } = self.file(object);
        if self.probes.contains_key(&object) {
            return;
        }
        let read = || -> Result<Probes, BadElf> { probes(&UserElf::read(ElfBytes::File(file))?) };
        let read = read().map_err(|error| format!("`{}` cannot be used: {error}", path.display()));
        self.probes.insert(object, read);
    }

    /// Returns the probes of a file that [`OpenFiles::read_probes`] has read.
    pub(super) fn probes(&self, object: ObjectId) -> Result<&Probes, String> {
        match self.probes.get(&object) {
            Some(read) => read.as_ref().map_err(Clone::clone),
            None => Err("its probes were not read".to_owned()),
        }
    }

    /// Returns the functions of a file.
    pub(super) fn functions(&self, object: ObjectId) -> &Functions {
        &self.functions[object.0 as usize]
    }

    /// Returns a file.
    pub(super) fn file(&self, object: ObjectId) -> &UserFile {
        &self.files[object.0 as usize]
    }

    /// Returns the name of a file, without its directory.
    pub(super) fn name(&self, object: ObjectId) -> String {
        let path = &self.file(object).path;
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// Does something with each file, and returns the sum. It is an error only if it fails with all.
pub(super) fn in_each(
    objects: &[ObjectId],
    mut work: impl FnMut(ObjectId) -> Result<usize, String>,
) -> Result<usize, String> {
    let results: Vec<Result<usize, String>> = objects.iter().map(|id| work(*id)).collect();
    let sum = results.iter().flatten().sum();
    match results.into_iter().find_map(Result::err) {
        Some(why) if sum == 0 => Err(why),
        _ => Ok(sum),
    }
}
