// SPDX-License-Identifier: BSD-2-Clause
//! A mapped image → its DWARF sections, inflated where they are compressed, its code ranges, and
//! the address that ties it to the running kernel.
//!
//! Nothing is inflated before somebody asks: with an index nobody does.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use memchr::memmem;
use memmap2::Mmap;
use object::read::elf::ElfFile64;
use object::read::{CompressedData, CompressionFormat};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SymbolKind, SymbolSection, elf};

use super::dwarf::{DebugSections, Section};
use super::inflate::{inflate, keep, temporary_directories};
use super::map::map;
use super::relocate::{Bases, Placement, is_code, relocate};
use super::shared::SharedLink;
use super::shuffled::Names;
use crate::kernel::images::open_plain;
use crate::kernel::kallsyms::Kallsyms;

/// The symbols whose distance between image and kernel is the KASLR offset, in order of trust.
pub(super) const ANCHORS: [&str; 2] = ["_stext", "_text"];

/// What a section of a module may have, whatever its header says: it is in memory for a moment.
const LARGEST_RELOCATED: u64 = 1 << 30;

/// Why an image gives no lines.
#[derive(Debug)]
pub enum OpenError {
    /// It could not be opened or mapped.
    Unreadable(PathBuf, io::Error),
    /// It is no 64-bit little-endian ELF file, or is damaged.
    NotElf(PathBuf),
    /// It has no DWARF.
    NoDwarf(PathBuf),
    /// A compressed section could not be inflated.
    Compressed(PathBuf, &'static str, io::Error),
    /// Neither `_stext` nor `_text` is known both in the image and in the running kernel.
    NoAnchor(PathBuf),
    /// It has no symbols.
    NoSymbols(PathBuf),
    /// The thread that reads the image could not be started, or ended.
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
    /// Where in the file each section is, as it is there.
    places: Vec<(Section, Range<usize>)>,
    /// Whether they can be read as they are.
    is_plain: bool,
    /// Sections that had to be inflated or relocated.
    made: OnceLock<Vec<(Section, Mmap)>>,
    /// Where its code lies.
    code: Vec<Range<u64>>,
    build_id: Option<Vec<u8>>,
    /// Of a file that is not linked.
    bases: Option<Bases>,
    /// The file that dwz moved to what this one and others have in common.
    shared: Option<Box<Self>>,
    problem: Option<String>,
}

impl Image {
    /// Maps an image, and what it shares with others.
    pub(super) fn open(path: &Path, placement: &Placement) -> Result<Self, OpenError> {
        let mut image = Self::open_alone(path, placement)?;
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

    pub(super) fn open_alone(path: &Path, placement: &Placement) -> Result<Self, OpenError> {
        let unreadable = |error| OpenError::Unreadable(path.to_owned(), error);
        let file = map(&open_plain(path).map_err(unreadable)?).map_err(unreadable)?;
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
        let build_id = elf.build_id().ok().flatten().map(<[u8]>::to_vec);
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
            build_id,
            bases,
            shared: None,
            problem: None,
            file,
        })
    }

    /// Makes its debug information ready to be read: inflates what is compressed, relocates what
    /// is not linked.
    pub(super) fn prepare(&self) -> Result<(), OpenError> {
        if let Some(shared) = &self.shared {
            shared.prepare()?;
        }
        if self.is_plain || self.made.get().is_some() {
            return Ok(());
        }
        let elf = parse(&self.file, &self.path)?;
        let directories = temporary_directories();
        let made = match &self.bases {
            Some(bases) => relocate_all(&elf, bases, &directories, &self.path)?,
            None => inflate_all(&elf, &directories, &self.path)?,
        };
        // Who was first wins; both are the same.
        let _ = self.made.set(made);
        Ok(())
    }

    /// Its debug information; none where it could not be made ready.
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

    /// What is missing of it though it can be read.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// What says which file entries were moved to.
    fn shared_link(&self) -> Option<SharedLink> {
        let elf = parse(&self.file, &self.path).ok()?;
        SharedLink::read(elf.section_by_name(".gnu_debugaltlink")?.data().ok()?)
    }

    /// Whether an address is in its code.
    pub(super) fn has_code_at(&self, addr: u64) -> bool {
        self.code.iter().any(|range| range.contains(&addr))
    }

    /// What names this image and no other: its build id.
    pub(super) fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// How many bytes a section has in the file.
    pub(super) fn size_of(&self, wanted: Section) -> u64 {
        let place = self.places.iter().find(|(section, _)| *section == wanted);
        place.map_or(0, |(_, place)| place.len() as u64)
    }

    /// The address of a symbol by which the image is tied to the kernel.
    pub(super) fn anchor(&self, name: &str) -> Option<u64> {
        match parse(&self.file, &self.path) {
            Ok(elf) if self.bases.is_none() => symbol(&elf, name),
            _ => None,
        }
    }

    /// Whether so many of these symbols are where they should be.
    pub(super) fn are_there(&self, symbols: &[(&str, u64)], enough: usize) -> bool {
        let Ok(elf) = parse(&self.file, &self.path) else {
            return enough == 0;
        };
        let addrs = symbols.iter().map(|(_, addr)| *addr);
        let (lowest, highest) = (addrs.clone().min(), addrs.max());
        let span = lowest.unwrap_or(0)..=highest.unwrap_or(0);
        let (endian, table) = (elf.endian(), elf.elf_symbol_table());
        let is_one = |symbol: &elf::Sym64<Endianness>| {
            let addr = symbol.st_value.get(endian);
            if !span.contains(&addr) {
                return false;
            }
            let mut here = symbols.iter().filter(|(_, wanted)| *wanted == addr);
            here.any(|(name, _)| {
                let found = table.symbol_name(endian, symbol);
                found.is_ok_and(|found| found == name.as_bytes())
            })
        };
        // Most images have them all, and tell soon.
        let found = table.iter().filter(|symbol| is_one(symbol));
        found.take(enough).count() == enough
    }

    /// Its functions by name.
    pub(super) fn names(&self) -> Names {
        let Ok(elf) = parse(&self.file, &self.path) else {
            return Names::default();
        };
        let functions = elf
            .symbols()
            .filter(|symbol| symbol.is_definition() || symbol.kind() == SymbolKind::Text);
        let named = functions.filter_map(|symbol| {
            let name = symbol.name().ok().filter(|name| !name.is_empty())?;
            Some((name.to_owned(), symbol.address(), symbol.size()))
        });
        Names::of(named)
    }

    /// Whether it is not linked: its addresses are those that it was placed at.
    pub(super) fn is_relocatable(&self) -> bool {
        self.bases.is_some()
    }

    /// The symbols of its code, moved by so much; `None` where it has none.
    pub(super) fn symbols(&self, moved: u64) -> Option<Kallsyms> {
        let elf = parse(&self.file, &self.path).ok()?;
        let code: Vec<bool> = elf
            .sections()
            .map(|section| is_code(section.flags()))
            .collect();
        let symbols = elf.symbols().filter_map(|symbol| {
            let SymbolSection::Section(index) = symbol.section() else {
                return None;
            };
            // Sections are counted from 1; the first is none.
            if !*code.get(index.0.checked_sub(1)?)? || symbol.kind() == SymbolKind::Section {
                return None;
            }
            let name = symbol.name().ok().filter(|name| !name.is_empty())?;
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

type Elf<'data> = ElfFile64<'data, Endianness>;

fn parse<'data>(file: &'data Mmap, path: &Path) -> Result<Elf<'data>, OpenError> {
    let not_elf = || OpenError::NotElf(path.to_owned());
    let elf = Elf::parse(&file[..]).map_err(|_| not_elf())?;
    if elf.is_little_endian() {
        Ok(elf)
    } else {
        Err(not_elf())
    }
}

/// The data of a section as it is in the file; `None` where there is none to be had.
fn compressed<'data>(elf: &Elf<'data>, id: Section) -> Option<CompressedData<'data>> {
    elf.section_by_name(id.name())?.compressed_data().ok()
}

/// One thread a section: they inflate independently, and the largest decides how long it takes.
fn inflate_all(
    elf: &Elf<'_>,
    directories: &[PathBuf],
    path: &Path,
) -> Result<Vec<(Section, Mmap)>, OpenError> {
    let sections = Section::ALL.iter().filter_map(|section| {
        let data = compressed(elf, *section)?;
        (data.format != CompressionFormat::None).then_some((*section, data))
    });
    let sections: Vec<_> = sections.collect();
    let in_any = |data: &CompressedData<'_>| {
        let mut last = io::Error::other("no directory for temporary files");
        for directory in directories {
            match inflate(data, directory) {
                Ok(mapping) => return Ok(mapping),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = sections
            .iter()
            .map(|(id, data)| (*id, scope.spawn(|| in_any(data))))
            .collect();
        let joined = workers.into_iter().map(|(id, worker)| {
            let mapping = worker.join().map_err(|_| OpenError::Thread)?;
            let mapping = mapping
                .map_err(|error| OpenError::Compressed(path.to_owned(), id.name(), error))?;
            Ok((id, mapping))
        });
        joined.collect()
    })
}

fn code(elf: &Elf<'_>, bases: Option<&Bases>) -> Vec<Range<u64>> {
    let sections = elf.sections().filter(|section| is_code(section.flags()));
    let ranges = sections.map(|section| {
        let base = bases.map_or(section.address(), |bases| bases.section(section.index()));
        base..base.saturating_add(section.size())
    });
    // What was freed after a module's start is nowhere.
    ranges.filter(|range| range.start != 0).collect()
}

/// The sections of a file that is not linked, inflated and relocated.
fn relocate_all(
    elf: &Elf<'_>,
    bases: &Bases,
    directories: &[PathBuf],
    path: &Path,
) -> Result<Vec<(Section, Mmap)>, OpenError> {
    let mut sections = Vec::new();
    for id in Section::ALL {
        let Some(data) = compressed(elf, id) else {
            continue;
        };
        let failed = |error| OpenError::Compressed(path.to_owned(), id.name(), error);
        if data.uncompressed_size > LARGEST_RELOCATED {
            return Err(failed(io::Error::other("it is larger than 1 GiB")));
        }
        let damaged = |error| failed(io::Error::other(error));
        let mut bytes = data.decompress().map_err(damaged)?.into_owned();
        relocate(elf, id.name(), &mut bytes, bases);
        sections.push((id, keep(&bytes, directories).map_err(failed)?));
    }
    Ok(sections)
}

/// The address of a symbol: its name is looked for first, then the symbols that have one of its
/// places; to compare a hundred thousand names takes ten times as long.
fn symbol(elf: &Elf<'_>, name: &str) -> Option<u64> {
    let (endian, table) = (elf.endian(), elf.elf_symbol_table());
    let texts = elf
        .section_by_index(table.string_section())
        .ok()?
        .data()
        .ok()?;
    // Linkers let a name end another one.
    let text = [name.as_bytes(), b"\0"].concat();
    let places: Vec<u32> = memmem::find_iter(texts, &text)
        .filter_map(|place| u32::try_from(place).ok())
        .collect();
    // It is global, and those follow all others.
    let is_it = |symbol: &&elf::Sym64<Endianness>| {
        places.contains(&symbol.st_name.get(endian))
            && symbol.st_shndx.get(endian) != elf::SHN_UNDEF
    };
    let symbol = table.iter().rev().find(is_it)?;
    Some(symbol.st_value.get(endian))
}
