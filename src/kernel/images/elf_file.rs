// SPDX-License-Identifier: BSD-2-Clause
//! What an ELF file says about itself: architecture, build id, whether it has DWARF. Only its
//! headers and notes are read.

use std::env::consts::ARCH;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::elf::{self, EM_AARCH64, EM_X86_64, FileHeader64, Machine};
use object::read::elf::{FileHeader, NoteIterator, SectionHeader};
use object::read::{FileKind, ReadCache};
use object::{Endian, Endianness, Object};

use super::BuildId;
use super::plain::open_plain;

/// The type of the note that holds a build id, of the owner `GNU`.
const NT_GNU_BUILD_ID: u32 = 3;

#[derive(Debug)]
pub(super) struct Facts {
    /// The architecture, where it is not ours.
    pub(super) foreign_architecture: Option<String>,
    pub(super) build_id: Option<BuildId>,
    pub(super) has_dwarf: bool,
    /// The name of the file that has its debug information (`.gnu_debuglink`).
    pub(super) debug_link: Option<PathBuf>,
}

impl Facts {
    /// `None` where the file is no ELF file.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let file = open_plain(path)?;
        let mut magic = [0; 4];
        match (&file).read_exact(&mut magic) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Self::of_object(&ReadCache::new(file)))
    }

    fn of_object(data: &ReadCache<File>) -> Option<Self> {
        let foreign = |architecture: String| Self {
            foreign_architecture: Some(architecture),
            build_id: None,
            has_dwarf: false,
            debug_link: None,
        };
        match FileKind::parse(data).ok()? {
            FileKind::Elf32 => return Some(foreign("a 32-bit architecture".to_owned())),
            FileKind::Elf64 => {}
            _ => return None,
        }
        // `object::File` would read the symbol table: megabytes that nobody asks for here.
        let header = FileHeader64::<Endianness>::parse(data).ok()?;
        let endian = header.endian().ok()?;
        if !(endian.is_little_endian() && Some(header.e_machine(endian)) == ours()) {
            let elf = object::File::parse(data).ok();
            let found =
                elf.map_or_else(|| "?".to_owned(), |elf| format!("{:?}", elf.architecture()));
            return Some(foreign(found));
        }
        let sections = header.sections(endian, data).ok()?;
        // Sizes come from section headers: what was compressed has one as well.
        let has = |name: &[u8]| {
            let section = sections.section_by_name(endian, name);
            section.is_some_and(|(_, section)| section.sh_size(endian) > 0)
        };
        Some(Self {
            foreign_architecture: None,
            build_id: sections
                .iter()
                .find_map(|section| build_id(section.notes(endian, data).ok()??, endian)),
            has_dwarf: has(b".debug_info") && has(b".debug_line"),
            debug_link: sections
                .section_by_name(endian, b".gnu_debuglink")
                .and_then(|(_, section)| section.data(endian, data).ok())
                .and_then(|link| link.split(|byte| *byte == 0).next())
                .map(|name| PathBuf::from(OsStr::from_bytes(name))),
        })
    }
}

fn build_id(
    mut notes: NoteIterator<'_, FileHeader64<Endianness>>,
    endian: Endianness,
) -> Option<BuildId> {
    while let Ok(Some(note)) = notes.next() {
        if note.name() == b"GNU" && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
            return Some(BuildId(note.desc().to_vec()));
        }
    }
    None
}

/// `e_machine` of what we run on.
fn ours() -> Option<Machine> {
    match ARCH {
        "x86_64" => Some(EM_X86_64),
        "aarch64" => Some(EM_AARCH64),
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
