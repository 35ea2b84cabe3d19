// SPDX-License-Identifier: BSD-2-Clause
//! What an ELF file says about itself: architecture, build id, whether it has DWARF. Only its
//! headers and notes are read.

use std::env::consts::ARCH;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use object::read::{FileKind, ReadCache};
use object::{Architecture, Object, ObjectSection};

use super::BuildId;

/// The type of the note that holds a build id, of the owner `GNU`.
const NT_GNU_BUILD_ID: u32 = 3;

#[derive(Debug)]
pub(super) struct Facts {
    /// The architecture, where it is not ours.
    pub(super) foreign_architecture: Option<String>,
    pub(super) build_id: Option<BuildId>,
    pub(super) has_dwarf: bool,
}

impl Facts {
    /// `None` where the file is no ELF file.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let mut magic = [0; 4];
        match (&file).read_exact(&mut magic) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let data = ReadCache::new(file);
        Ok(Self::of_object(&data))
    }

    fn of_object(data: &ReadCache<File>) -> Option<Self> {
        if !matches!(FileKind::parse(data), Ok(FileKind::Elf32 | FileKind::Elf64)) {
            return None;
        }
        let elf = object::File::parse(data).ok()?;
        let found = elf.architecture();
        let is_ours = Some(found) == ours() && elf.is_little_endian() && elf.is_64();
        // Sizes come from section headers: what was compressed has one as well.
        let has = |name| {
            elf.section_by_name(name)
                .is_some_and(|section| section.size() > 0)
        };
        Some(Self {
            foreign_architecture: (!is_ours).then(|| format!("{found:?}")),
            build_id: elf.build_id().ok().flatten().map(|id| BuildId(id.to_vec())),
            has_dwarf: has(".debug_info") && has(".debug_line"),
        })
    }
}

fn ours() -> Option<Architecture> {
    match ARCH {
        "x86_64" => Some(Architecture::X86_64),
        "aarch64" => Some(Architecture::Aarch64),
        _ => None,
    }
}

/// The build id among notes as `/sys/kernel/notes` has them, in the byte order of the machine.
pub(super) fn build_id_of_notes(mut notes: &[u8]) -> Option<BuildId> {
    loop {
        let (header, rest) = notes.split_at_checked(12)?;
        let word = |at: usize| {
            let bytes = header.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_ne_bytes(bytes))
        };
        let (name_len, desc_len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let name = rest.get(..name_len)?;
        let rest = rest.get(name_len.checked_next_multiple_of(4)?..)?;
        let desc = rest.get(..desc_len)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" && !desc.is_empty() {
            return Some(BuildId(desc.to_vec()));
        }
        notes = rest
            .get(desc_len.checked_next_multiple_of(4)?..)
            .unwrap_or_default();
    }
}
