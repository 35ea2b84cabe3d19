// SPDX-License-Identifier: BSD-2-Clause
//! Reads the facts of an ELF file: architecture, build id, whether it has DWARF.
//!
//! The build id is not known yet, so the file may come from anybody. Only headers and a bounded
//! part of the notes are read, into buffers of bounded size.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use object::elf;

use super::BuildId;
use super::plain::open_plain;
use crate::kernel::arch;

/// Type of the note that holds a build id; its owner is `GNU`.
const NT_GNU_BUILD_ID: u32 = 3;

/// Size in bytes of the file header and of each section header.
const HEADER_SIZE: usize = 64;

/// Maximum number of sections. A kernel whose functions have a section each (FG-KASLR) has some
/// 50,000.
const MOST_SECTIONS: u64 = 1 << 18;

/// How many note sections are read, and how many bytes of each.
const MOST_NOTES: usize = 64;
const LONGEST_NOTES: u64 = 64 << 10;

/// Maximum length in bytes of the file name in a debug link, and of the section names that are
/// compared.
const LONGEST_LINK: u64 = 4096;
const LONGEST_NAME: usize = 24;

#[derive(Debug)]
pub(super) struct ElfFacts {
    /// The architecture of the file; `None` if it is ours.
    pub(super) foreign_architecture: Option<String>,
    pub(super) build_id: Option<BuildId>,
    pub(super) has_dwarf: bool,
    /// Name of the file with its debug information (`.gnu_debuglink`).
    pub(super) debug_link: Option<PathBuf>,
}

impl ElfFacts {
    /// Returns `None` if the file is not ELF or is damaged.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        Self::of_file(&open_plain(path)?)
    }

    /// Returns `None` if the file is not ELF or is damaged.
    pub(super) fn of_file(file: &File) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER_SIZE];
        let n_read = read_up_to(file, &mut header, 0)?;
        let ident = [
            elf::ELFMAG.as_slice(),
            &[elf::ELFCLASS64.0, elf::ELFDATA2LSB.0],
        ]
        .concat();
        if !header.starts_with(&elf::ELFMAG) || n_read < 16 {
            return Ok(None);
        }
        if header[4] == elf::ELFCLASS32.0 {
            return Ok(Some(Self::foreign("a 32-bit architecture".to_owned())));
        }
        if n_read < HEADER_SIZE || header[4] != elf::ELFCLASS64.0 {
            return Ok(None);
        }
        if !header.starts_with(&ident) {
            return Ok(Some(Self::foreign("a big-endian architecture".to_owned())));
        }
        let machine = u16_at(&header, 18);
        if machine != arch::MACHINE.0 {
            return Ok(Some(Self::foreign(machine_name(machine))));
        }
        let Some(table) = SectionTable::read(file, &header)? else {
            return Ok(None);
        };
        table.facts(file).map(Some)
    }

    fn foreign(architecture: String) -> Self {
        Self {
            foreign_architecture: Some(architecture),
            build_id: None,
            has_dwarf: false,
            debug_link: None,
        }
    }
}

/// The section header table.
struct SectionTable {
    start: u64,
    n_sections: u64,
    /// Offset and length in the file of the section names.
    names: (u64, u64),
}

/// The fields of a section header that are needed.
struct SectionHeader {
    name: u32,
    kind: u32,
    offset: u64,
    size: u64,
}

impl SectionTable {
    /// Returns `None` if the table is malformed.
    fn read(file: &File, header: &[u8; HEADER_SIZE]) -> io::Result<Option<Self>> {
        let start = u64_at(header, 40);
        let mut table = Self {
            start,
            n_sections: u16_at(header, 60).into(),
            names: (0, 0),
        };
        if start == 0 {
            table.n_sections = 0;
            return Ok(Some(table));
        }
        if usize::from(u16_at(header, 58)) != HEADER_SIZE {
            return Ok(None);
        }
        // Numbers that do not fit into the file header are in the first section header.
        let mut names: u64 = u16_at(header, 62).into();
        if (table.n_sections == 0 || names == u64::from(elf::SHN_XINDEX.0))
            && let Some(first) = table.bytes(file, 0)?
        {
            if table.n_sections == 0 {
                table.n_sections = u64_at(&first, 32);
            }
            if names == u64::from(elf::SHN_XINDEX.0) {
                names = u32_at(&first, 40).into();
            }
        }
        if table.n_sections > MOST_SECTIONS || names >= table.n_sections.max(1) {
            return Ok(None);
        }
        let Some(found) = table.section(file, names)? else {
            return Ok(None);
        };
        table.names = (found.offset, found.size);
        Ok(Some(table))
    }

    fn facts(&self, file: &File) -> io::Result<ElfFacts> {
        let mut facts = ElfFacts {
            foreign_architecture: None,
            build_id: None,
            has_dwarf: false,
            debug_link: None,
        };
        let (mut n_notes, mut has_info, mut has_line) = (0, false, false);
        for index in 1..self.n_sections {
            let Some(section) = self.section(file, index)? else {
                break;
            };
            if section.kind == elf::SHT_NOTE.0 {
                n_notes += 1;
                if facts.build_id.is_none() && n_notes <= MOST_NOTES {
                    let notes = section.bytes(file, LONGEST_NOTES)?;
                    facts.build_id = build_id_of_notes(&notes);
                }
            } else if section.kind == elf::SHT_PROGBITS.0 && section.size > 0 {
                // The size is that of the section header, which compressed sections have too.
                match self.name(file, &section)? {
                    Some(name) if name == b".debug_info" => has_info = true,
                    Some(name) if name == b".debug_line" => has_line = true,
                    Some(name) if name == b".gnu_debuglink" => {
                        let link = section.bytes(file, LONGEST_LINK)?;
                        let name = link.split(|byte| *byte == 0).next();
                        facts.debug_link = name.map(|name| PathBuf::from(OsStr::from_bytes(name)));
                    }
                    _ => {}
                }
            }
        }
        facts.has_dwarf = has_info && has_line;
        Ok(facts)
    }

    fn bytes(&self, file: &File, index: u64) -> io::Result<Option<[u8; HEADER_SIZE]>> {
        let mut bytes = [0; HEADER_SIZE];
        let place = index
            .checked_mul(HEADER_SIZE as u64)
            .and_then(|place| place.checked_add(self.start));
        let Some(place) = place else {
            return Ok(None);
        };
        let n_read = read_up_to(file, &mut bytes, place)?;
        Ok((n_read == HEADER_SIZE).then_some(bytes))
    }

    fn section(&self, file: &File, index: u64) -> io::Result<Option<SectionHeader>> {
        let bytes = self.bytes(file, index)?;
        Ok(bytes.map(|bytes| SectionHeader {
            name: u32_at(&bytes, 0),
            kind: u32_at(&bytes, 4),
            offset: u64_at(&bytes, 24),
            size: u64_at(&bytes, 32),
        }))
    }

    /// The name of a section; `None` if it is longer than all names that are compared.
    fn name(&self, file: &File, section: &SectionHeader) -> io::Result<Option<Vec<u8>>> {
        let (start, length) = self.names;
        let (offset, mut name) = (u64::from(section.name), [0; LONGEST_NAME]);
        let Some(place) = start.checked_add(offset).filter(|_| offset < length) else {
            return Ok(None);
        };
        let n_read = read_up_to(file, &mut name, place)?;
        let read = &name[..n_read];
        Ok(memchr::memchr(0, read).map(|end| read[..end].to_vec()))
    }
}

impl SectionHeader {
    /// Reads at most `most` bytes of the section.
    fn bytes(&self, file: &File, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.size.min(most) as usize];
        let n_read = read_up_to(file, &mut bytes, self.offset)?;
        bytes.truncate(n_read);
        Ok(bytes)
    }
}

/// Reads until `bytes` is full or the file ends; returns the number of bytes read.
fn read_up_to(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    // A position that the system cannot represent is beyond the end of the file.
    if i64::try_from(at.saturating_add(bytes.len() as u64)).is_err() {
        return Ok(0);
    }
    let mut n_read = 0;
    while n_read < bytes.len() {
        match file.read_at(&mut bytes[n_read..], at + n_read as u64) {
            Ok(0) => break,
            Ok(more) => n_read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n_read)
}

fn u16_at(bytes: &[u8; HEADER_SIZE], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8; HEADER_SIZE], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8; HEADER_SIZE], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn machine_name(machine: u16) -> String {
    let name = match elf::Machine(machine) {
        elf::EM_X86_64 => "X86_64",
        elf::EM_AARCH64 => "Aarch64",
        elf::EM_RISCV => "Riscv64",
        elf::EM_PPC64 => "PowerPc64",
        elf::EM_S390 => "S390x",
        elf::EM_LOONGARCH => "LoongArch64",
        elf::EM_MIPS => "Mips64",
        _ => return format!("machine {machine}"),
    };
    name.to_owned()
}

/// Finds the build id in notes of the format of `/sys/kernel/notes`, in the byte order of this
/// machine.
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
