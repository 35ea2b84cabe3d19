// SPDX-License-Identifier: BSD-2-Clause
//! Reads the parts of an ELF file that tell where its functions are: segments, symbol tables, build
//! id. The file is hostile: every size is checked against the file and against a limit.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::mem::size_of;
use std::os::unix::fs::FileExt;

use flate2::read::ZlibDecoder;
use object::LittleEndian;
use object::elf::{
    self, CompressionHeader64, FileHeader64, NoteHeader64, ProgramHeader64, SectionHeader64,
};
use object::pod::{Pod, from_bytes, slice_from_bytes};
use ruzstd::decoding::StreamingDecoder;

use super::arch::MACHINE;
use super::symbol_table::SymbolTable;

type E = LittleEndian;
const ENDIAN: E = LittleEndian;

/// What is read and inflated of a file has at most [`ALWAYS_READ`] bytes and [`READ_FACTOR`] times its
/// size. Tables that overlap and sections that inflate to much cost no more.
const ALWAYS_READ: u64 = 16 << 20;
const READ_FACTOR: u64 = 4;

/// Maximum length of the loader's path, in bytes.
const MAX_PATH: u64 = 4096;

/// Maximum window of a zstd decoder, in bytes: that of the highest usual level.
const LARGEST_WINDOW: u64 = 8 << 20;

/// Maximum number of bytes that are read of notes.
const MAX_NOTES: u64 = 64 << 10;

/// Why a file has no functions that could be traced.
#[derive(Debug)]
pub(super) enum BadElf {
    /// It cannot be read.
    Io(io::Error),
    /// It is no ELF file, or damaged: what is wrong.
    Malformed(&'static str),
    /// It is for another architecture.
    Foreign(&'static str),
}

impl fmt::Display for BadElf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Malformed(what) => f.write_str(what),
            Self::Foreign(what) => write!(f, "it is for {what}, which is not supported"),
        }
    }
}

impl Error for BadElf {}

impl From<io::Error> for BadElf {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A segment that is mapped into memory.
#[derive(Clone, Copy, Debug)]
struct Segment {
    addr: u64,
    offset: u64,
    size: u64,
}

impl Segment {
    fn of(header: &ProgramHeader64<E>) -> Self {
        Self {
            addr: header.p_vaddr.get(ENDIAN),
            offset: header.p_offset.get(ENDIAN),
            size: header.p_filesz.get(ENDIAN),
        }
    }

    /// Returns the offset in the file of what is at an address.
    fn offset_of(&self, addr: u64) -> Option<u64> {
        let inside = addr.checked_sub(self.addr)?;
        let offset = self.offset.checked_add(inside)?;
        (inside < self.size).then_some(offset)
    }
}

/// Where the bytes of an ELF file are.
#[derive(Clone, Copy, Debug)]
pub(super) enum ElfBytes<'s> {
    File(&'s File),
    Bytes(&'s [u8]),
}

impl ElfBytes<'_> {
    fn len(self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Reads from an offset; fewer bytes than asked for if the file is shorter.
    fn read_up_to(self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = match self {
            Self::File(file) => file,
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = bytes.get(start..).unwrap_or_default();
                let n = rest.len().min(buffer.len());
                buffer[..n].copy_from_slice(&rest[..n]);
                return Ok(n);
            }
        };
        let mut n_read = 0;
        while n_read < buffer.len() {
            match file.read_at(&mut buffer[n_read..], offset + n_read as u64)? {
                0 => break,
                n => n_read += n,
            }
        }
        Ok(n_read)
    }
}

/// The tables of an ELF file.
#[derive(Debug)]
pub(super) struct UserElf<'s> {
    source: ElfBytes<'s>,
    len: u64,
    code: Vec<Segment>,
    writable: Vec<Segment>,
    /// All segments that are mapped, and the one with the loader's table.
    loaded: Vec<Segment>,
    dynamic: Option<Segment>,
    interpreter: Option<Segment>,
    sections: Vec<SectionHeader64<E>>,
    names: Vec<u8>,
    /// How many bytes may still be read or inflated.
    budget: Cell<u64>,
}

impl<'s> UserElf<'s> {
    /// Reads the headers of a file.
    pub(super) fn read(source: ElfBytes<'s>) -> Result<Self, BadElf> {
        let len = source.len()?;
        let mut header = [0; size_of::<FileHeader64<E>>()];
        let n_read = source.read_up_to(&mut header, 0)?;
        check_ident(&header[..n_read])?;
        let (header, _) = from_bytes::<FileHeader64<E>>(&header)
            .map_err(|()| BadElf::Malformed("its header is damaged"))?;
        if header.e_machine.get(ENDIAN) != MACHINE {
            return Err(BadElf::Foreign("another architecture"));
        }
        let kind = header.e_type.get(ENDIAN);
        if kind != elf::ET_EXEC && kind != elf::ET_DYN {
            return Err(BadElf::Malformed("it is no executable and no library"));
        }
        let mut elf = Self {
            source,
            len,
            code: Vec::new(),
            writable: Vec::new(),
            loaded: Vec::new(),
            dynamic: None,
            interpreter: None,
            sections: Vec::new(),
            names: Vec::new(),
            budget: Cell::new(max_bytes(len)),
        };
        let n_segments = u64::from(header.e_phnum.get(ENDIAN));
        let segments: Vec<ProgramHeader64<E>> =
            elf.table(header.e_phoff.get(ENDIAN), n_segments)?;
        let loaded = |flag: u32| {
            let loaded = segments.iter().filter(move |segment| {
                segment.p_type.get(ENDIAN) == elf::PT_LOAD
                    && segment.p_flags.get(ENDIAN).0 & flag != 0
            });
            loaded.map(Segment::of).collect()
        };
        elf.code = loaded(elf::PF_X.0);
        elf.writable = loaded(elf::PF_W.0);
        elf.loaded = loaded(u32::MAX);
        let first = |kind| {
            let mut segments = segments.iter();
            let found = segments.find(|segment| segment.p_type.get(ENDIAN) == kind);
            found.map(Segment::of)
        };
        elf.dynamic = first(elf::PT_DYNAMIC);
        elf.interpreter = first(elf::PT_INTERP);
        // A file without sections runs as well, but has no symbol table.
        let n_sections = u64::from(header.e_shnum.get(ENDIAN));
        if n_sections > 0 {
            elf.sections = elf.table(header.e_shoff.get(ENDIAN), n_sections)?;
            let names = elf
                .sections
                .get(usize::from(header.e_shstrndx.get(ENDIAN).0));
            elf.names = match names.copied() {
                Some(names) => elf.bytes_of(&names)?,
                None => Vec::new(),
            };
        }
        Ok(elf)
    }

    /// Returns the offset in the file of the code at an address; `None` if no code is there.
    pub(super) fn offset_of(&self, addr: u64) -> Option<u64> {
        let mut offsets = self
            .code
            .iter()
            .filter_map(|segment| segment.offset_of(addr));
        offsets.find(|offset| *offset < self.len)
    }

    /// Returns the offset in the file of the variable at an address; `None` if no variable of the
    /// file is there.
    pub(super) fn variable_offset(&self, addr: u64) -> Option<u64> {
        let mut offsets = self
            .writable
            .iter()
            .filter_map(|segment| segment.offset_of(addr));
        offsets.find(|offset| *offset < self.len)
    }

    /// Returns the address of the code at an offset in the file; `None` if no code is there.
    pub(super) fn addr_of(&self, offset: u64) -> Option<u64> {
        self.code.iter().find_map(|segment| {
            let inside = offset.checked_sub(segment.offset)?;
            (inside < segment.size).then(|| segment.addr.wrapping_add(inside))
        })
    }

    /// Returns the table for the loader; empty if the file is linked statically. It is cut off at `max`
    /// bytes.
    pub(super) fn dynamic_table(&self, max: u64) -> Result<Vec<u8>, BadElf> {
        self.dynamic.map_or(Ok(Vec::new()), |table| {
            self.bytes(table.offset, table.size.min(max))
        })
    }

    /// Returns the path of the loader; `None` if there is none.
    pub(super) fn interpreter(&self) -> Option<Vec<u8>> {
        let path = self.interpreter?;
        let mut path = self.bytes(path.offset, path.size.min(MAX_PATH)).ok()?;
        path.truncate(memchr::memchr(0, &path)?);
        Some(path)
    }

    /// Returns what the file has for memory from an address on: at most `max` bytes, fewer at the end
    /// of the segment.
    pub(super) fn memory(&self, addr: u64, max: u64) -> Option<Vec<u8>> {
        let mut segments = self.loaded.iter();
        let segment = segments.find(|segment| segment.offset_of(addr).is_some())?;
        let rest = segment.size - (addr - segment.addr);
        self.bytes(segment.offset_of(addr)?, rest.min(max)).ok()
    }

    /// Returns a symbol table: of type `SHT_SYMTAB` or `SHT_DYNSYM`. `None` if there is none.
    pub(super) fn symbol_table(&self, kind: u32) -> Result<Option<SymbolTable>, BadElf> {
        let mut sections = self.sections.iter();
        let Some(table) = sections.find(|section| section.sh_type.get(ENDIAN).0 == kind) else {
            return Ok(None);
        };
        let Some(names) = self.sections.get(table.sh_link.get(ENDIAN) as usize) else {
            return Err(BadElf::Malformed("its symbols have no names"));
        };
        Ok(Some(SymbolTable {
            symbols: self.bytes_of(table)?,
            names: self.bytes_of(names)?,
        }))
    }

    /// Returns the content of a section by name, inflated, if it has at most `max` bytes; `None` if
    /// there is no such section.
    pub(super) fn section(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, BadElf> {
        let section = self.find(name);
        let Some(section) = section.filter(|section| section.sh_size.get(ENDIAN) <= max) else {
            return Ok(None);
        };
        let bytes = self.bytes_of(section)?;
        if section.sh_flags.get(ENDIAN).0 & elf::SHF_COMPRESSED.0 == 0 {
            return Ok(Some(bytes));
        }
        let inflated_size = inflated_size(&bytes)?;
        if inflated_size > max {
            return Ok(None);
        }
        self.spend(inflated_size)?;
        inflated(&bytes).map(Some)
    }

    /// Takes bytes out of the budget.
    fn spend(&self, n_bytes: u64) -> Result<(), BadElf> {
        let left = self.budget.get().checked_sub(n_bytes);
        let left = left.ok_or(BadElf::Malformed("its tables are larger than it"))?;
        self.budget.set(left);
        Ok(())
    }

    /// Returns how many bytes what is derived from the file may have, all in all: the names of its
    /// functions (many symbols may have the same long name), and an inflated symbol table.
    pub(super) fn max_derived_bytes(&self) -> u64 {
        max_bytes(self.len)
    }

    /// Returns address and size of a section by name; `None` if there is no such section.
    pub(super) fn section_range(&self, name: &str) -> Option<(u64, u64)> {
        let section = self.find(name)?;
        Some((section.sh_addr.get(ENDIAN), section.sh_size.get(ENDIAN)))
    }

    /// Returns whether there is a section with this name.
    pub(super) fn has_section(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&SectionHeader64<E>> {
        self.sections.iter().find(|section| {
            let start = section.sh_name.get(ENDIAN) as usize;
            let name_of_section = self.names.get(start..).unwrap_or_default();
            name_of_section
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&0))
        })
    }

    /// Returns the build id in hexadecimal; `None` if there is none.
    pub(super) fn build_id(&self) -> Option<String> {
        let notes = self.section(".note.gnu.build-id", MAX_NOTES).ok()??;
        let (header, rest) = from_bytes::<NoteHeader64<E>>(&notes).ok()?;
        let n_name = header.n_namesz.get(ENDIAN) as usize;
        let n_id = header.n_descsz.get(ENDIAN) as usize;
        let id = rest
            .get(n_name.checked_next_multiple_of(4)?..)?
            .get(..n_id)?;
        let is_gnu =
            rest.starts_with(b"GNU\0") && header.n_type.get(ENDIAN) == elf::NT_GNU_BUILD_ID;
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        (is_gnu && (2..=64).contains(&n_id)).then_some(hex)
    }

    fn table<T: Pod>(&self, offset: u64, n: u64) -> Result<Vec<T>, BadElf> {
        let bytes = self.bytes(offset, n * size_of::<T>() as u64)?;
        let (table, _) = slice_from_bytes::<T>(&bytes, n as usize)
            .map_err(|()| BadElf::Malformed("one of its tables is damaged"))?;
        Ok(table.to_vec())
    }

    fn bytes_of(&self, section: &SectionHeader64<E>) -> Result<Vec<u8>, BadElf> {
        if section.sh_type.get(ENDIAN) == elf::SHT_NOBITS {
            return Ok(Vec::new());
        }
        self.bytes(section.sh_offset.get(ENDIAN), section.sh_size.get(ENDIAN))
    }

    fn bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>, BadElf> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(BadElf::Malformed(
                "one of its tables reaches beyond its end",
            ));
        }
        self.spend(len)?;
        let mut bytes = vec![0; len as usize];
        if self.source.read_up_to(&mut bytes, offset)? < bytes.len() {
            return Err(BadElf::Malformed("it became shorter while it was read"));
        }
        Ok(bytes)
    }
}

const DAMAGED: BadElf = BadElf::Malformed("one of its compressed sections is damaged");

/// Returns the size that a section's compression header says.
fn inflated_size(section: &[u8]) -> Result<u64, BadElf> {
    let header = from_bytes::<CompressionHeader64<E>>(section);
    header
        .map(|(header, _)| header.ch_size.get(ENDIAN))
        .map_err(|()| DAMAGED)
}

/// Inflates a section that begins with a compression header.
fn inflated(section: &[u8]) -> Result<Vec<u8>, BadElf> {
    let (header, packed) = from_bytes::<CompressionHeader64<E>>(section).map_err(|()| DAMAGED)?;
    let size = header.ch_size.get(ENDIAN);
    let mut content = Vec::new();
    let n_read = match header.ch_type.get(ENDIAN) {
        elf::ELFCOMPRESS_ZLIB => ZlibDecoder::new(packed)
            .take(size)
            .read_to_end(&mut content),
        elf::ELFCOMPRESS_ZSTD => {
            let decoder = StreamingDecoder::new_with_max_window_size(packed, LARGEST_WINDOW);
            let decoder = decoder.map_err(|_| DAMAGED)?;
            decoder.take(size).read_to_end(&mut content)
        }
        _ => {
            return Err(BadElf::Malformed(
                "the compression of its sections is not known",
            ));
        }
    };
    match n_read {
        Ok(n_read) if n_read as u64 == size => Ok(content),
        _ => Err(DAMAGED),
    }
}

/// Returns how many bytes may be read of a file with this length, or derived from it.
fn max_bytes(len: u64) -> u64 {
    ALWAYS_READ.saturating_add(len.saturating_mul(READ_FACTOR))
}

fn check_ident(header: &[u8]) -> Result<(), BadElf> {
    if !header.starts_with(&elf::ELFMAG) {
        return Err(BadElf::Malformed("it is no ELF file"));
    }
    match header.get(4) {
        Some(class) if *class == elf::ELFCLASS32.0 => {
            return Err(BadElf::Foreign("a 32-bit architecture"));
        }
        Some(class) if *class == elf::ELFCLASS64.0 => {}
        _ => return Err(BadElf::Malformed("its header is damaged")),
    }
    if header.len() < size_of::<FileHeader64<E>>() {
        return Err(BadElf::Malformed("its header is cut off"));
    }
    if header[5] != elf::ELFDATA2LSB.0 {
        return Err(BadElf::Foreign("a big-endian architecture"));
    }
    Ok(())
}
