// SPDX-License-Identifier: BSD-2-Clause
//! An index: the tables of all units of an image, stored under its build id in the user's cache
//! directory. It saves reading all debug information again.
//!
//! Layout, with all numbers little-endian: a header, the tables, then parts for the table offsets,
//! the code ranges of units, the texts, and the functions by source file. The header and each part
//! have a checksum, which is verified before the data is used. Each table has a checksum, which is
//! verified when the table is first used. If a checksum is wrong, the image is asked.

mod build;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;
use twox_hash::XxHash64;

use super::digest::{Definition, Table};
use super::dwarf::{Cursor, Section};
use super::functions::{FunctionChoice, SourceFunctions};
use super::image::{ANCHORS, Image};
use super::map::map_ahead;
use super::units::{UnitAt, UnitIndex, UnitRange};
use crate::cache::Cache;
use crate::spec::NameGlob;

pub(super) use self::build::build_gently;
pub use self::build::{Built, build_index};

/// The format version. It changes with the layout, and with the meaning of tables or texts.
const FORMAT: &[u8] = b"retsnoop-rs line index 1";

/// Size of the header in bytes; the first table follows.
const HEADER_SIZE: usize = 512;

/// Maximum length of a build id in bytes.
const MAX_BUILD_ID_SIZE: usize = 64;

/// Maximum size in bytes. We never write a larger index, so a larger file is not ours.
const MAX_INDEX_SIZE: u64 = 1 << 30;

/// A part of the file after the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IndexPart {
    /// Position of the table of each unit, sorted by unit.
    Units,
    /// Code ranges and their units, as in `.debug_aranges`.
    Listed,
    /// Code ranges of units that are not in `.debug_aranges`.
    Unlisted,
    /// End offset of each text.
    TextEnds,
    Texts,
    /// The functions of each source file.
    Definitions,
}

const PARTS: [IndexPart; 6] = [
    IndexPart::Units,
    IndexPart::Listed,
    IndexPart::Unlisted,
    IndexPart::TextEnds,
    IndexPart::Texts,
    IndexPart::Definitions,
];

/// Identifies the image of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ImageIdentity {
    build_id: Vec<u8>,
    /// Size in bytes of `.debug_info` and `.debug_line` in the file. An image that was stripped or
    /// compressed later keeps its build id.
    sizes: [u64; 2],
}

/// An index file that was opened.
#[derive(Debug)]
pub(super) struct Index {
    file: Mmap,
    header: IndexHeader,
    /// Whether the checksum of each unit's table is right; `None` if it was not verified yet.
    verified: Vec<Option<bool>>,
    /// Texts that were already read, by number.
    texts: Vec<Option<Arc<str>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct IndexHeader {
    identity: ImageIdentity,
    anchors: [Option<u64>; ANCHORS.len()],
    n_damaged: u64,
    parts: [PartAt; PARTS.len()],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PartAt {
    start: u64,
    length: u64,
    checksum: u64,
}

/// Size in bytes of an entry in [`IndexPart::Units`]: offset of the unit in `.debug_info`, then
/// offset, length and checksum of its table.
const UNIT_ENTRY_SIZE: usize = 4 * 8;

/// Size in bytes of an entry for a range: start, end, unit.
const RANGE_ENTRY_SIZE: usize = 3 * 8;

impl ImageIdentity {
    /// Returns `None` if the image has no build id, or one that is too long.
    fn of(image: &Image) -> Option<Self> {
        let build_id = image.build_id()?.to_vec();
        (!build_id.is_empty() && build_id.len() <= MAX_BUILD_ID_SIZE).then_some(())?;
        Some(Self {
            build_id,
            sizes: [image.size_of(Section::Info), image.size_of(Section::Line)],
        })
    }

    /// The name of the file in the cache.
    fn name(&self) -> String {
        let hex: String = self
            .build_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("lines-{hex}")
    }
}

impl Index {
    /// Opens the index of an image; `None` if there is none or if it is not valid.
    pub(super) fn open(cache: &Cache, image: &Image) -> Option<Self> {
        let identity = ImageIdentity::of(image)?;
        let file = cache.open_file(&identity.name(), MAX_INDEX_SIZE)?;
        Self::of_file(map_ahead(&file).ok()?, &identity)
    }

    fn of_file(file: Mmap, identity: &ImageIdentity) -> Option<Self> {
        let header = IndexHeader::read(&file)?;
        (header.identity == *identity).then_some(())?;
        let index = Self {
            file,
            header,
            verified: Vec::new(),
            texts: Vec::new(),
        };
        for part in PARTS {
            // This part is verified when functions are asked for.
            if part != IndexPart::Definitions {
                index.verified_part(part)?;
            }
        }
        let n_units = index.part(IndexPart::Units)?.len() / UNIT_ENTRY_SIZE;
        let n_texts = index.part(IndexPart::TextEnds)?.len() / size_of::<u32>();
        Some(Self {
            verified: vec![None; n_units],
            texts: vec![None; n_texts],
            ..index
        })
    }

    /// The address of one of [`ANCHORS`] in the image.
    pub(super) fn anchor(&self, name: &str) -> Option<u64> {
        let at = ANCHORS.iter().position(|anchor| *anchor == name)?;
        self.header.anchors[at]
    }

    /// The code ranges of all units.
    pub(super) fn units(&self) -> UnitIndex {
        UnitIndex::known(
            self.ranges(IndexPart::Listed),
            self.ranges(IndexPart::Unlisted),
        )
    }

    /// The table of a unit; `None` if the index has none or if it is damaged.
    pub(super) fn table(&mut self, unit: UnitAt) -> Option<Table<'_>> {
        let (units, _) = self.part(IndexPart::Units)?.as_chunks::<UNIT_ENTRY_SIZE>();
        let place = |entry: &[u8; UNIT_ENTRY_SIZE]| Cursor::new(entry, 0).u64().unwrap_or(0);
        let wanted = unit.0 as u64;
        let at = units.binary_search_by_key(&wanted, place).ok()?;
        let mut cursor = Cursor::new(units.get(at)?, 8);
        let range = range(cursor.u64()?, cursor.u64()?)?;
        let checksum = cursor.u64()?;
        let bytes = self.file.get(range)?;
        let is_whole = self
            .verified
            .get_mut(at)?
            .get_or_insert_with(|| XxHash64::oneshot(0, bytes) == checksum);
        is_whole.then(|| Table::new(bytes))?
    }

    /// The text with a number; `None` if the index has none.
    pub(super) fn text(&mut self, number: u32) -> Option<Arc<str>> {
        if let Some(known) = self.texts.get(number as usize)? {
            return Some(Arc::clone(known));
        }
        let text: Arc<str> = self.text_bytes(number)?.into();
        *self.texts.get_mut(number as usize)? = Some(Arc::clone(&text));
        Some(text)
    }

    fn text_bytes(&self, number: u32) -> Option<&str> {
        let (ends, _) = self.part(IndexPart::TextEnds)?.as_chunks::<4>();
        let end = |at: usize| Some(u32::from_le_bytes(*ends.get(at)?) as usize);
        let at = number as usize;
        let start = match at.checked_sub(1) {
            Some(before) => end(before)?,
            None => 0,
        };
        str::from_utf8(self.part(IndexPart::Texts)?.get(start..end(at)?)?).ok()
    }

    /// Returns the functions that are defined in the files whose path matches; `None` if that part
    /// is damaged.
    pub(super) fn functions(&self, path: &NameGlob) -> Option<SourceFunctions> {
        let bytes = self.verified_part(IndexPart::Definitions)?;
        let mut selection = FunctionChoice::default();
        selection.n_damaged = usize::try_from(self.header.n_damaged).ok()?;
        let mut cursor = Cursor::new(bytes, 0);
        let mut start = 0_u64;
        while !cursor.is_at_end() {
            let file = u32::try_from(cursor.uleb()?).ok()?;
            let is_wanted = path.matches(self.text_bytes(file)?);
            for _ in 0..cursor.uleb()? {
                let line = u32::try_from(cursor.uleb()?).ok()?;
                // 0 means inlined. Otherwise the value is the distance from the previous start,
                // plus 1 if the distance is not negative.
                let distance = cursor.sleb()?;
                let has_code = distance != 0;
                if has_code {
                    start = start.wrapping_add_signed(distance - i64::from(distance > 0));
                }
                if is_wanted {
                    selection.add(Definition {
                        file,
                        line,
                        start: has_code.then_some(start),
                    });
                }
            }
        }
        Some(selection.finish())
    }

    fn ranges(&self, part: IndexPart) -> Vec<UnitRange> {
        let (entries, _) = self
            .part(part)
            .unwrap_or_default()
            .as_chunks::<RANGE_ENTRY_SIZE>();
        let range = |entry: &[u8; RANGE_ENTRY_SIZE]| {
            let mut cursor = Cursor::new(entry, 0);
            let range = cursor.u64()?..cursor.u64()?;
            Some((range, UnitAt(usize::try_from(cursor.u64()?).ok()?)))
        };
        entries.iter().filter_map(range).collect()
    }

    fn part(&self, part: IndexPart) -> Option<&[u8]> {
        let at = self.header.parts.get(part as usize)?;
        self.file.get(range(at.start, at.length)?)
    }

    fn verified_part(&self, part: IndexPart) -> Option<&[u8]> {
        let bytes = self.part(part)?;
        let at = self.header.parts.get(part as usize)?;
        (XxHash64::oneshot(0, bytes) == at.checksum).then_some(bytes)
    }
}

fn range(start: u64, length: u64) -> Option<Range<usize>> {
    let end = start.checked_add(length)?;
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// Identifies the format and the version of the program that wrote an index.
fn maker() -> u64 {
    XxHash64::oneshot(0, &[FORMAT, env!("CARGO_PKG_VERSION").as_bytes()].concat())
}

impl IndexHeader {
    fn read(file: &[u8]) -> Option<Self> {
        let bytes = file.get(..HEADER_SIZE)?;
        let (rest, checksum) = bytes.split_last_chunk::<8>()?;
        (XxHash64::oneshot(0, rest) == u64::from_le_bytes(*checksum)).then_some(())?;
        let mut cursor = Cursor::new(rest, 0);
        (cursor.u64()? == maker()).then_some(())?;
        let length = usize::try_from(cursor.u64()?).ok()?;
        let build_id = cursor.take(MAX_BUILD_ID_SIZE)?.get(..length)?.to_vec();
        let sizes = [cursor.u64()?, cursor.u64()?];
        let n_damaged = cursor.u64()?;
        let mut anchors = [None; ANCHORS.len()];
        for anchor in &mut anchors {
            *anchor = Some(cursor.u64()?).filter(|addr| *addr != 0);
        }
        let mut parts = [PartAt::default(); PARTS.len()];
        for part in &mut parts {
            *part = PartAt {
                start: cursor.u64()?,
                length: cursor.u64()?,
                checksum: cursor.u64()?,
            };
        }
        Some(Self {
            identity: ImageIdentity { build_id, sizes },
            anchors,
            n_damaged,
            parts,
        })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_SIZE);
        let mut push = |number: u64| bytes.extend(number.to_le_bytes());
        push(maker());
        push(self.identity.build_id.len() as u64);
        bytes.extend(&self.identity.build_id);
        bytes.resize(2 * 8 + MAX_BUILD_ID_SIZE, 0);
        let mut push = |number: u64| bytes.extend(number.to_le_bytes());
        self.identity.sizes.into_iter().for_each(&mut push);
        push(self.n_damaged);
        let anchors = self.anchors.iter().map(|anchor| anchor.unwrap_or(0));
        anchors.for_each(&mut push);
        for part in &self.parts {
            [part.start, part.length, part.checksum]
                .into_iter()
                .for_each(&mut push);
        }
        bytes.resize(HEADER_SIZE - 8, 0);
        let checksum = XxHash64::oneshot(0, &bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }
}
