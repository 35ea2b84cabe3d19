// SPDX-License-Identifier: BSD-2-Clause
//! A mapped image: its DWARF sections, its code ranges, and the address that relates it to the
//! running kernel.
//!
//! Compressed sections are inflated when they are first needed. With an index they are not needed.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memchr::memmem;
use memmap2::Mmap;
use object::read::CompressionFormat;
use object::read::elf::ElfFile64;
use object::read::elf::FileHeader;
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, SectionIndex, SymbolKind, SymbolSection, elf,
};

use super::dwarf::{DebugSections, Section};
use super::fgkaslr::FunctionOffsets;
use super::map::map;
use super::readable::{compressed, make_readable};
use super::relocate::{Bases, RelocationPlacement, is_code};
use super::shared::SharedLink;
use crate::kernel::images::{ImageFile, build_id};
use crate::kernel::kallsyms::Kallsyms;

/// The symbols whose addresses in image and kernel give the KASLR offset, in order of preference.
pub(super) const ANCHORS: [&str; 2] = ["_stext", "_text"];

/// Maximum number of sections. A kernel whose functions have a section each (FG-KASLR) has some
/// 50,000.
const MOST_SECTIONS: usize = 1 << 18;

/// Maximum length of a symbol's name in bytes. Names in a kernel have at most 512. Longer ones are
/// ignored.
const LONGEST_NAME: usize = 4096;

/// Maximum length of a section's name in bytes. A section may be named after its only function,
/// with the prefix `.text.`.
const LONGEST_SECTION_NAME: usize = 1024;

/// How many occurrences of an anchor's name in the name table are considered.
const MOST_PLACES: usize = 64;

/// Why an image gives no lines.
#[derive(Debug)]
pub enum OpenError {
    /// The file could not be opened or mapped.
    Unreadable(PathBuf, io::Error),
    /// The file is not a 64-bit little-endian ELF file, or it is damaged.
    NotElf(PathBuf),
    /// The file has no DWARF.
    NoDwarf(PathBuf),
    /// A compressed section could not be inflated.
    Compressed(PathBuf, &'static str, io::Error),
    /// Neither `_stext` nor `_text` is known both in the image and in the running kernel.
    NoAnchor(PathBuf),
    /// The file has no symbols.
    NoSymbols(PathBuf),
    /// The thread that reads the image could not be started, or it panicked.
    Thread,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "failed to read `{}`: {error}", path.display())
            }
            Self::NotElf(path) => {
                write!(
                    f,
                    "`{}` is not a 64-bit little-endian ELF file",
                    path.display()
                )
            }
            Self::NoDwarf(path) => {
                write!(f, "`{}` has no debug information (DWARF)", path.display())
            }
            Self::Compressed(path, section, error) => {
                write!(
                    f,
                    "failed to inflate `{section}` of `{}`: {error}",
                    path.display()
                )
            }
            Self::NoAnchor(path) => write!(
                f,
                "neither `_stext` nor `_text` is known both in `{}` and in the kernel",
                path.display()
            ),
            Self::NoSymbols(path) => write!(f, "`{}` has no symbols", path.display()),
            Self::Thread => write!(f, "the thread that reads the kernel image ended"),
        }
    }
}

impl Error for OpenError {}

/// An open image.
#[derive(Debug)]
pub(super) struct Image {
    path: PathBuf,
    file: Mmap,
    /// Byte range in the file of each debug section, as it is stored.
    places: Vec<(Section, Range<usize>)>,
    /// Whether the sections can be read from the file: none is compressed, and the file is linked.
    is_plain: bool,
    /// Copies of sections that had to be inflated or relocated.
    made: OnceLock<Vec<(Section, Mmap)>>,
    /// Address ranges of its code.
    code: Vec<Range<u64>>,
    build_id: Option<Vec<u8>>,
    /// Addresses of the sections; only for a file that is not linked.
    bases: Option<Bases>,
    /// The file to which dwz moved the entries that this file has in common with others.
    shared: Option<Box<Self>>,
    problem: Option<String>,
}

impl Image {
    /// Maps an image, and the file that it shares entries with.
    pub(super) fn open(
        file: &ImageFile,
        placement: &RelocationPlacement,
    ) -> Result<Self, OpenError> {
        let path = &file.path;
        let mut image = Self::open_alone(file, placement)?;
        if image.size_of(Section::Line) == 0 {
            return Err(OpenError::NoDwarf(path.to_owned()));
        }
        if let Some(link) = image.shared_link() {
            match link.open(path) {
                Ok(shared) => image.shared = Some(Box::new(shared)),
                Err(why) => image.problem = Some(why),
            }
        }
        Ok(image)
    }

    pub(super) fn open_alone(
        file: &ImageFile,
        placement: &RelocationPlacement,
    ) -> Result<Self, OpenError> {
        let path = &file.path;
        let unreadable = |error| OpenError::Unreadable(path.to_owned(), error);
        let opened = file.open().map_err(unreadable)?;
        let build_id = build_id(&opened).map_err(unreadable)?;
        let file = map(&opened).map_err(unreadable)?;
        let elf = parse(&file, path)?;
        let bases = Bases::of(&elf, placement);
        let mut places = Vec::new();
        let mut is_plain = bases.is_none();
        for section in Section::ALL {
            let Some(data) = compressed(&elf, section) else {
                continue;
            };
            is_plain &= data.format == CompressionFormat::None;
            if data.data.is_empty() {
                continue;
            }
            let start = data.data.as_ptr() as usize - file.as_ptr() as usize;
            places.push((section, start..start + data.data.len()));
        }
        let code = code(&elf, bases.as_ref());
        let has = |wanted| places.iter().any(|(section, _)| *section == wanted);
        if !(has(Section::Info) && has(Section::Abbrev)) {
            return Err(OpenError::NoDwarf(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            places,
            is_plain,
            made: OnceLock::new(),
            code,
            build_id: build_id.map(|id| id.0),
            bases,
            shared: None,
            problem: None,
            file,
        })
    }

    /// Prepares the debug information: inflates compressed sections, and relocates them if the file
    /// is not linked.
    pub(super) fn prepare(&self) -> Result<(), OpenError> {
        if let Some(shared) = &self.shared {
            shared.prepare()?;
        }
        if self.is_plain || self.made.get().is_some() {
            return Ok(());
        }
        let elf = parse(&self.file, &self.path)?;
        let n_bytes = self.file.len() as u64;
        let made = make_readable(&elf, self.bases.as_ref(), n_bytes)
            .map_err(|(section, error)| OpenError::Compressed(self.path.clone(), section, error))?;
        // If another thread was faster, its result is kept. Both are equal.
        let _ = self.made.set(made);
        Ok(())
    }

    /// The debug information; empty if it could not be prepared.
    pub(super) fn debug(&self) -> DebugSections<'_> {
        let made = if self.is_plain || self.prepare().is_err() {
            &[][..]
        } else {
            self.made.get().map_or(&[][..], Vec::as_slice)
        };
        let sections = DebugSections::new(|wanted| {
            if let Some((_, mapping)) = made.iter().find(|(section, _)| *section == wanted) {
                return &mapping[..];
            }
            let place = self.places.iter().find(|(section, _)| *section == wanted);
            let is_readable = self.is_plain || !made.is_empty();
            place
                .filter(|_| is_readable)
                .and_then(|(_, place)| self.file.get(place.clone()))
                .unwrap_or_default()
        });
        match &self.shared {
            Some(shared) => sections.sharing(&shared.debug()),
            None => sections,
        }
    }

    /// A message if the image is readable but its shared file is not.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Reads the reference to the shared file (`.gnu_debugaltlink`).
    fn shared_link(&self) -> Option<SharedLink> {
        let elf = parse(&self.file, &self.path).ok()?;
        SharedLink::read(elf.section_by_name(".gnu_debugaltlink")?.data().ok()?)
    }

    /// Returns whether an address is in its code.
    pub(super) fn has_code_at(&self, addr: u64) -> bool {
        self.code.iter().any(|range| range.contains(&addr))
    }

    /// The build id, which identifies the image.
    pub(super) fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// Size of a section in the file, in bytes; 0 if there is none.
    pub(super) fn size_of(&self, wanted: Section) -> u64 {
        let place = self.places.iter().find(|(section, _)| *section == wanted);
        place.map_or(0, |(_, place)| place.len() as u64)
    }

    /// The address in the image of one of [`ANCHORS`]; `None` for a file that is not linked.
    pub(super) fn anchor(&self, name: &str) -> Option<u64> {
        match parse(&self.file, &self.path) {
            Ok(elf) if self.bases.is_none() => symbol(&elf, name),
            _ => None,
        }
    }

    /// Returns whether at least `enough` of these symbols have these addresses in the image.
    pub(super) fn are_there(&self, symbols: &[(&str, u64)], enough: usize) -> bool {
        let Ok(elf) = parse(&self.file, &self.path) else {
            return enough == 0;
        };
        let addrs = symbols.iter().map(|(_, addr)| *addr);
        let (lowest, highest) = (addrs.clone().min(), addrs.max());
        let span = lowest.unwrap_or(0)..=highest.unwrap_or(0);
        let Some(names) = symbol_names(&elf) else {
            return enough == 0;
        };
        let (endian, table) = (elf.endian(), elf.elf_symbol_table());
        let is_one = |symbol: &elf::Sym64<Endianness>| {
            let addr = symbol.st_value.get(endian);
            if !span.contains(&addr) {
                return false;
            }
            let mut here = symbols.iter().filter(|(_, wanted)| *wanted == addr);
            here.any(|(name, _)| symbol_name(names, symbol, endian) == Some(*name))
        };
        // Most images have all of them, so that the search ends soon.
        let found = table.iter().filter(|symbol| is_one(symbol));
        found.take(enough).count() == enough
    }

    /// Its functions by name.
    pub(super) fn names(&self) -> FunctionOffsets {
        let Ok(elf) = parse(&self.file, &self.path) else {
            return FunctionOffsets::default();
        };
        let Some(names) = symbol_names(&elf) else {
            return FunctionOffsets::default();
        };
        let (endian, mut fits) = (elf.endian(), fit_into(names));
        let functions = elf
            .symbols()
            .filter(|symbol| symbol.is_definition() || symbol.kind() == SymbolKind::Text);
        let named = functions.filter_map(|symbol| {
            let name = symbol_name(names, symbol.elf_symbol(), endian)?;
            fits(name).then(|| (name.to_owned(), symbol.address(), symbol.size()))
        });
        FunctionOffsets::of(named)
    }

    /// Whether the file is not linked. Its addresses then depend on the [`RelocationPlacement`].
    pub(super) fn is_relocatable(&self) -> bool {
        self.bases.is_some()
    }

    /// The symbols of its code, with `moved` added to their addresses; `None` if there are none.
    pub(super) fn symbols(&self, moved: u64) -> Option<Kallsyms> {
        let elf = parse(&self.file, &self.path).ok()?;
        let code: Vec<bool> = elf
            .sections()
            .map(|section| is_code(section.flags()))
            .collect();
        let names = symbol_names(&elf)?;
        let (endian, mut fits) = (elf.endian(), fit_into(names));
        let symbols = elf.symbols().filter_map(|symbol| {
            let SymbolSection::Section(index) = symbol.section() else {
                return None;
            };
            // Sections are counted from 1. Number 0 means no section.
            if !*code.get(index.0.checked_sub(1)?)? || symbol.kind() == SymbolKind::Section {
                return None;
            }
            let name = symbol_name(names, symbol.elf_symbol(), endian)?;
            fits(name).then_some(())?;
            let kind = match (symbol.is_weak(), symbol.is_local()) {
                (true, _) => b'W',
                (_, true) => b't',
                _ => b'T',
            };
            let base = self.bases.as_ref().map_or(0, |bases| bases.section(index));
            let addr = symbol.address().wrapping_add(base).wrapping_add(moved);
            Some((addr, kind, name))
        });
        Kallsyms::of_image(symbols).ok()
    }
}

pub(super) type Elf<'data> = ElfFile64<'data, Endianness>;

fn parse<'data>(file: &'data Mmap, path: &Path) -> Result<Elf<'data>, OpenError> {
    let not_elf = || OpenError::NotElf(path.to_owned());
    let elf = Elf::parse(&file[..]).map_err(|_| not_elf())?;
    if elf.is_little_endian() && has_short_names(&elf) {
        Ok(elf)
    } else {
        Err(not_elf())
    }
}

/// Checks that the names of sections are short and have an end. Each search for a section reads all
/// of them.
fn has_short_names(elf: &Elf<'_>) -> bool {
    let table = elf.elf_section_table();
    let index = elf.elf_header().shstrndx(elf.endian(), elf.data());
    let Ok(names) =
        index.and_then(|index| elf.section_by_index(SectionIndex(index as usize))?.data())
    else {
        return table.len() <= 1;
    };
    let mut last = 0;
    let is_short = |end: usize| {
        let length = end - last;
        last = end;
        length <= LONGEST_SECTION_NAME
    };
    table.len() <= MOST_SECTIONS
        && memchr::memchr_iter(0, names).all(is_short)
        && names.last() == Some(&0)
}

/// The string table of the symbols.
fn symbol_names<'data>(elf: &Elf<'data>) -> Option<&'data [u8]> {
    let table = elf.elf_symbol_table();
    elf.section_by_index(table.string_section())
        .ok()?
        .data()
        .ok()
}

/// The name of a symbol; `None` if it is empty, too long, or not UTF-8.
fn symbol_name<'data>(
    names: &'data [u8],
    symbol: &elf::Sym64<Endianness>,
    endian: Endianness,
) -> Option<&'data str> {
    let rest = names.get(symbol.st_name.get(endian) as usize..)?;
    let rest = rest.get(..LONGEST_NAME).unwrap_or(rest);
    let name = str::from_utf8(rest.get(..memchr::memchr(0, rest)?)?).ok()?;
    (!name.is_empty()).then_some(name)
}

/// Returns a function that accepts names until their total length exceeds twice the size of the
/// string table. Symbols may share the ends of names, but not all symbols the whole table.
fn fit_into(names: &[u8]) -> impl FnMut(&str) -> bool {
    let mut left = names.len().saturating_mul(2);
    move |name| match left.checked_sub(name.len()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    }
}

fn code(elf: &Elf<'_>, bases: Option<&Bases>) -> Vec<Range<u64>> {
    let sections = elf.sections().filter(|section| is_code(section.flags()));
    let ranges = sections.map(|section| {
        let base = bases.map_or(section.address(), |bases| bases.section(section.index()));
        base..base.saturating_add(section.size())
    });
    // Sections that were freed after a module's start have no address.
    ranges.filter(|range| range.start != 0).collect()
}

/// Finds the address of a symbol. It searches the string table for the name, then the symbols for
/// one of these offsets. Comparing a hundred thousand names takes ten times as long.
fn symbol(elf: &Elf<'_>, name: &str) -> Option<u64> {
    let (endian, table) = (elf.endian(), elf.elf_symbol_table());
    let texts = symbol_names(elf)?;
    // Linkers store a name as the end of a longer one.
    let text = [name.as_bytes(), b"\0"].concat();
    let places: Vec<u32> = memmem::find_iter(texts, &text)
        .filter_map(|place| u32::try_from(place).ok())
        .take(MOST_PLACES)
        .collect();
    // The symbol is global. Global symbols follow all local ones.
    let is_it = |symbol: &&elf::Sym64<Endianness>| {
        places.contains(&symbol.st_name.get(endian))
            && symbol.st_shndx.get(endian) != elf::SHN_UNDEF
    };
    let symbol = table.iter().rev().find(is_it)?;
    Some(symbol.st_value.get(endian))
}
