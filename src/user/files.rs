// SPDX-License-Identifier: BSD-2-Clause
//! The files that the globs of a run name. Each is opened once, and stays open.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::elf::{BadElf, ElfBytes, UserElf};
use super::locate::{FoundFile, Surroundings, locate};
use super::symbols::{Functions, functions};
use super::usdt::{Probes, probes};
use crate::spec::{ObjectId, UserObject};

/// A file that has functions or probes to trace.
#[derive(Debug)]
pub struct UserFile {
    /// The open file. It stays the same if the path is replaced.
    pub file: File,
    /// Its path.
    pub path: PathBuf,
}

/// Files that were opened, each once, and what they have.
#[derive(Debug)]
pub(super) struct OpenFiles<'a> {
    around: &'a Surroundings,
    pub(super) files: Vec<UserFile>,
    functions: Vec<Functions>,
    /// The probes of files that were asked for them.
    probes: BTreeMap<ObjectId, Result<Probes, String>>,
    by_inode: HashMap<(u64, u64), ObjectId>,
    by_name: BTreeMap<UserObject, Result<ObjectId, String>>,
}

impl<'a> OpenFiles<'a> {
    /// No files are open yet.
    pub(super) fn new(around: &'a Surroundings) -> Self {
        Self {
            around,
            files: Vec::new(),
            functions: Vec::new(),
            probes: BTreeMap::new(),
            by_inode: HashMap::new(),
            by_name: BTreeMap::new(),
        }
    }

    /// Opens the file of an object and reads its functions, unless that is done.
    pub(super) fn open(&mut self, object: &UserObject) -> Result<ObjectId, String> {
        if let Some(known) = self.by_name.get(object) {
            return known.clone();
        }
        let opened = locate(object, self.around).and_then(|located| self.read(located));
        self.by_name.insert(object.clone(), opened.clone());
        opened
    }

    /// Two names of one file have one object, so that each function has one probe.
    fn read(&mut self, located: FoundFile) -> Result<ObjectId, String> {
        let FoundFile { file, path } = located;
        let unreadable = |why: String| format!("`{}` cannot be used: {why}", path.display());
        let metadata = file
            .metadata()
            .map_err(|error| unreadable(error.to_string()))?;
        let inode = (metadata.dev(), metadata.ino());
        if let Some(known) = self.by_inode.get(&inode) {
            return Ok(*known);
        }
        let functions = functions(&file).map_err(|error| unreadable(error.to_string()))?;
        let id = ObjectId(self.files.len() as u32);
        self.by_inode.insert(inode, id);
        self.functions.push(functions);
        self.files.push(UserFile { file, path });
        Ok(id)
    }

    /// Reads the probes of a file, unless that is done. [`OpenFiles::probes`] returns them.
    pub(super) fn read_probes(&mut self, object: ObjectId) {
        let UserFile { file, path } = self.file(object);
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
