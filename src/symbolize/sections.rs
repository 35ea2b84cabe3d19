// SPDX-License-Identifier: BSD-2-Clause
//! A mapped image → its DWARF sections, inflated where they are compressed, its code ranges, and
//! the address that ties it to the running kernel.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use gimli::{EndianSlice, LittleEndian, SectionId};
use memmap2::Mmap;
use object::read::elf::ElfFile64;
use object::read::{CompressedData, CompressionFormat};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SymbolKind, SymbolSection};

use super::inflate::{inflate, keep};
use super::map::map;
use super::relocate::{Bases, Placement, is_code, relocate};
use crate::kernel::kallsyms::Kallsyms;

/// The reader of all DWARF here.
pub(super) type Slice<'data> = EndianSlice<'data, LittleEndian>;

/// The sections that lines and inlined functions need.
const WANTED: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

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

/// An open image. It owns the mappings that [`Sections`] borrows.
#[derive(Debug)]
pub(super) struct Image {
    path: PathBuf,
    file: Mmap,
    inflated: Vec<(SectionId, Mmap)>,
    /// Of a file that is not linked.
    bases: Option<Bases>,
}

/// What was found in an image.
#[derive(Clone, Debug)]
pub(super) struct Sections<'data> {
    dwarf: Vec<(SectionId, &'data [u8])>,
    /// Where its code lies.
    pub(super) code: Vec<Range<u64>>,
    /// Addresses of [`ANCHORS`].
    pub(super) anchors: [Option<u64>; ANCHORS.len()],
}

impl Image {
    /// Maps an image and inflates what is compressed in it below the first directory that can
    /// be written to.
    pub(super) fn open(
        path: &Path,
        directories: &[PathBuf],
        placement: &Placement,
    ) -> Result<Self, OpenError> {
        let unreadable = |error| OpenError::Unreadable(path.to_owned(), error);
        let file = map(&File::open(path).map_err(unreadable)?).map_err(unreadable)?;
        let elf = parse(&file, path)?;
        if let Some(bases) = Bases::of(&elf, placement) {
            let inflated = relocate_all(&elf, &bases, directories, path)?;
            return Ok(Self {
                path: path.to_owned(),
                file,
                inflated,
                bases: Some(bases),
            });
        }
        let compressed = WANTED.iter().filter_map(|id| {
            let data = compressed(&elf, *id)?;
            (data.format != CompressionFormat::None).then_some((*id, data))
        });
        let inflated = inflate_all(compressed.collect(), directories, path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            inflated,
            bases: None,
        })
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

    pub(super) fn sections(&self) -> Result<Sections<'_>, OpenError> {
        let elf = parse(&self.file, &self.path)?;
        let inflated = |wanted| self.inflated.iter().find(|(id, _)| *id == wanted);
        let dwarf: Vec<(SectionId, &[u8])> = WANTED
            .iter()
            .filter_map(|id| match inflated(*id) {
                Some((_, mapping)) => Some((*id, &mapping[..])),
                None => Some((*id, compressed(&elf, *id)?.data)),
            })
            .collect();
        let sections = Sections {
            dwarf,
            code: code(&elf, self.bases.as_ref()),
            anchors: if self.is_relocatable() {
                [None; ANCHORS.len()]
            } else {
                anchors(&elf)
            },
        };
        let has = |id| !sections.get(id).is_empty();
        if has(SectionId::DebugInfo) && has(SectionId::DebugAbbrev) && has(SectionId::DebugLine) {
            Ok(sections)
        } else {
            Err(OpenError::NoDwarf(self.path.clone()))
        }
    }
}

impl<'data> Sections<'data> {
    /// The bytes of a section; empty where the image has none.
    pub(super) fn get(&self, id: SectionId) -> &'data [u8] {
        self.dwarf
            .iter()
            .find(|(other, _)| *other == id)
            .map_or(&[], |(_, data)| data)
    }

    /// The DWARF of the whole image.
    pub(super) fn whole(&self) -> gimli::Dwarf<Slice<'data>> {
        self.with(|id| self.get(id))
    }

    /// The DWARF of one unit: `.debug_info` is cut to it, and the aranges, which name units by
    /// their place, are left out.
    pub(super) fn unit(&self, unit: Range<usize>) -> gimli::Dwarf<Slice<'data>> {
        self.with(|id| match id {
            SectionId::DebugInfo => self.get(id).get(unit.clone()).unwrap_or(&[]),
            SectionId::DebugAranges => &[],
            _ => self.get(id),
        })
    }

    fn with(&self, section: impl Fn(SectionId) -> &'data [u8]) -> gimli::Dwarf<Slice<'data>> {
        let load = |id| Ok::<_, gimli::Error>(EndianSlice::new(section(id), LittleEndian));
        // The closure cannot fail; an empty image is what would be left if it did.
        gimli::Dwarf::load(load).unwrap_or_default()
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
fn compressed<'data>(elf: &Elf<'data>, id: SectionId) -> Option<CompressedData<'data>> {
    elf.section_by_name(id.name())?.compressed_data().ok()
}

/// One thread a section: they inflate independently, and the largest decides how long it takes.
fn inflate_all(
    sections: Vec<(SectionId, CompressedData<'_>)>,
    directories: &[PathBuf],
    path: &Path,
) -> Result<Vec<(SectionId, Mmap)>, OpenError> {
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
) -> Result<Vec<(SectionId, Mmap)>, OpenError> {
    let mut sections = Vec::new();
    for id in WANTED {
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

fn anchors(elf: &Elf<'_>) -> [Option<u64>; ANCHORS.len()] {
    let mut found = [None; ANCHORS.len()];
    for symbol in elf.symbols() {
        let name = symbol.name_bytes().unwrap_or_default();
        if let Some(at) = ANCHORS.iter().position(|anchor| anchor.as_bytes() == name) {
            found[at] = Some(symbol.address());
            if found.iter().all(Option::is_some) {
                break;
            }
        }
    }
    found
}
