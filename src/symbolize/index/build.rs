// SPDX-License-Identifier: BSD-2-Clause
//! Builds the index of an image in one pass over its units and writes table after table.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use twox_hash::XxHash64;

use super::{HEADER_SIZE, ImageIdentity, IndexHeader, IndexPart, PARTS, PartAt};
use crate::cache::Cache;
use crate::symbolize::digest::{Definition, Digester, definitions};
use crate::symbolize::dwarf::{Section, headers};
use crate::symbolize::guard::guarded;
use crate::symbolize::image::{ANCHORS, Image};
use crate::symbolize::lines::LineSource;
use crate::symbolize::paths::Paths;
use crate::symbolize::strings::Strings;
use crate::symbolize::units::{UnitIndex, UnitRange};

/// Figures of an index that was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Number of units that have a table.
    pub n_units: usize,
    /// Number of units that could not be read. Their addresses are looked up in the image.
    pub n_damaged: usize,
    /// Size of the file in bytes.
    pub n_bytes: u64,
}

/// Builds and stores the index of the image of `lines`. Returns `None` if there is an index
/// already, if a part of the image is missing, if the image has no build id or is relocatable, or
/// if `stop` was set meanwhile.
///
/// # Errors
///
/// When the index cannot be written, or when the image has more units or functions than any kernel.
pub fn build_index(
    lines: &LineSource,
    cache: &Cache,
    stop: &AtomicBool,
) -> io::Result<Option<Built>> {
    match lines.without_index() {
        Some(image) => build(&image, cache, stop, BuildPace::Full),
        None => Ok(None),
    }
}

/// As [`build_index`], but at a lower pace that leaves CPU time to more important work.
pub(in crate::symbolize) fn build_gently(
    image: &Image,
    cache: &Cache,
) -> io::Result<Option<Built>> {
    build(image, cache, &AtomicBool::new(false), BuildPace::gentle())
}

/// How much CPU time the build takes.
#[derive(Clone, Copy, Debug)]
enum BuildPace {
    /// One CPU without pauses.
    Full,
    /// Pauses for this many times the time that was worked.
    Share(u32),
}

impl BuildPace {
    /// Takes a quarter of the CPU on a machine with one, half of a CPU with two or three, and a
    /// full one with more.
    fn gentle() -> Self {
        match thread::available_parallelism().map_or(1, NonZero::get) {
            1 => Self::Share(3),
            2 | 3 => Self::Share(1),
            _ => Self::Full,
        }
    }

    /// Pauses according to the time worked since `start`, if that is at least 2 ms. Returns the new
    /// start.
    fn rest(self, start: Instant) -> Instant {
        const MIN_WORK_TIME: Duration = Duration::from_millis(2);
        let worked = start.elapsed();
        match self {
            Self::Share(parts) if worked >= MIN_WORK_TIME => {
                thread::sleep(worked * parts);
                Instant::now()
            }
            _ => start,
        }
    }
}

fn build(
    image: &Image,
    cache: &Cache,
    stop: &AtomicBool,
    pace: BuildPace,
) -> io::Result<Option<Built>> {
    let Some(identity) = ImageIdentity::of(image).filter(|_| !image.is_relocatable()) else {
        return Ok(None);
    };
    let mut built = None;
    cache.replace_file(&identity.name(), |file| {
        let building = Building::new(image, identity.clone(), file, stop, pace)?;
        built = building.map(Building::finish).transpose()?;
        // A file that was abandoned is not kept.
        Ok(built.is_some())
    })?;
    Ok(built)
}

/// From this many definitions on, duplicates are removed during the build.
const MIN_DEFINITIONS_TO_DEDUPLICATE: usize = 1 << 17;

/// A kernel has some 3,000 units and 100,000 definitions.
const MOST_UNITS: usize = 1 << 18;
const MOST_DEFINITIONS: usize = 1 << 20;

struct Building<'a> {
    file: BufWriter<&'a mut File>,
    at: u64,
    strings: Strings,
    units: Vec<u8>,
    definitions: Vec<Definition>,
    /// Number of definitions at which duplicates are removed next.
    many: usize,
    ranges: (Vec<u8>, Vec<u8>),
    header: IndexHeader,
    built: Built,
}

impl<'a> Building<'a> {
    /// Writes the tables; returns `None` if it was stopped.
    fn new(
        image: &Image,
        identity: ImageIdentity,
        file: &'a mut File,
        stop: &AtomicBool,
        pace: BuildPace,
    ) -> io::Result<Option<Self>> {
        let sections = image.debug();
        let units = UnitIndex::new(sections);
        let paths = Paths::of_image(sections, &units.listed_units());
        let (listed, unlisted) = units.all(sections);
        let mut building = Self {
            file: BufWriter::with_capacity(1 << 18, file),
            at: HEADER_SIZE as u64,
            strings: Strings::new(Some(paths)),
            units: Vec::new(),
            definitions: Vec::new(),
            many: MIN_DEFINITIONS_TO_DEDUPLICATE,
            ranges: (range_bytes(listed), range_bytes(unlisted)),
            header: IndexHeader {
                identity,
                anchors: ANCHORS.map(|name| image.anchor(name)),
                n_damaged: 0,
                parts: [PartAt::default(); PARTS.len()],
            },
            built: Built {
                n_units: 0,
                n_damaged: 0,
                n_bytes: 0,
            },
        };
        building.file.write_all(&[0; HEADER_SIZE])?;
        let mut digester = Digester::default();
        let mut began = Instant::now();
        for header in headers(sections.get(Section::Info)) {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let (strings, found) = (&mut building.strings, &mut building.definitions);
            let before = found.len();
            // Damaged DWARF may panic a parser. The run must survive that.
            let table = guarded(|| {
                let header = header?;
                let table = digester.table(sections, header, strings)?;
                definitions(&mut digester, sections, header, strings, found)?;
                Some((header.start, table))
            });
            // Functions of headers appear in many units; sorting prepares the removal of
            // duplicates.
            building.definitions[before..].sort_unstable();
            match table {
                Some(Some((unit, table))) => building.table(unit as u64, &table)?,
                _ => building.built.n_damaged += 1,
            }
            building.forget_repeated();
            if building.is_too_large() {
                let why = "the image has more units or functions than any kernel";
                return Err(io::Error::other(why));
            }
            began = pace.rest(began);
        }
        Ok(Some(building))
    }

    fn table(&mut self, unit: u64, table: &[u8]) -> io::Result<()> {
        let length = table.len() as u64;
        for number in [unit, self.at, length, XxHash64::oneshot(0, table)] {
            self.units.extend(number.to_le_bytes());
        }
        self.file.write_all(table)?;
        self.at += length;
        self.built.n_units += 1;
        Ok(())
    }

    /// Removes duplicates if there are many definitions, so that an inlined function of a header is
    /// kept once.
    fn forget_repeated(&mut self) {
        if self.definitions.len() >= self.many {
            self.definitions.sort_unstable();
            self.definitions.dedup();
            // The next pass comes when the number has doubled, so that the cost stays low.
            self.many = MIN_DEFINITIONS_TO_DEDUPLICATE.max(2 * self.definitions.len());
        }
    }

    /// Returns whether the image claims to have so much that it would take too much memory.
    fn is_too_large(&self) -> bool {
        self.built.n_units > MOST_UNITS || self.definitions.len() > MOST_DEFINITIONS
    }

    /// Writes the parts after the tables, then the header.
    fn finish(mut self) -> io::Result<Built> {
        let (mut ends, mut texts) = (Vec::new(), Vec::new());
        for text in self.strings.all() {
            texts.extend(text.as_bytes());
            ends.extend((texts.len() as u32).to_le_bytes());
        }
        let definitions = definition_bytes(&mut self.definitions);
        for part in PARTS {
            let bytes = match part {
                IndexPart::Units => &self.units,
                IndexPart::Listed => &self.ranges.0,
                IndexPart::Unlisted => &self.ranges.1,
                IndexPart::TextEnds => &ends,
                IndexPart::Texts => &texts,
                IndexPart::Definitions => &definitions,
            };
            self.header.parts[part as usize] = PartAt {
                start: self.at,
                length: bytes.len() as u64,
                checksum: XxHash64::oneshot(0, bytes),
            };
            self.file.write_all(bytes)?;
            self.at += bytes.len() as u64;
        }
        self.header.n_damaged = self.built.n_damaged as u64;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&self.header.bytes())?;
        self.file.flush()?;
        Ok(Built {
            n_bytes: self.at,
            ..self.built
        })
    }
}

fn range_bytes(ranges: &[UnitRange]) -> Vec<u8> {
    let numbers = ranges
        .iter()
        .flat_map(|(range, unit)| [range.start, range.end, unit.0 as u64]);
    numbers.flat_map(u64::to_le_bytes).collect()
}

/// Encodes definitions by file: the text number of the file, the number of definitions, and for
/// each the line and the start of its code.
fn definition_bytes(definitions: &mut Vec<Definition>) -> Vec<u8> {
    definitions.sort_unstable();
    definitions.dedup();
    let mut bytes = Vec::new();
    let mut last = 0_u64;
    for of_file in definitions.chunk_by(|one, other| one.file == other.file) {
        push(&mut bytes, of_file[0].file.into());
        push(&mut bytes, of_file.len() as u64);
        for definition in of_file {
            push(&mut bytes, definition.line.into());
            let distance = definition.start.map_or(0, |start| {
                let distance = start.wrapping_sub(last) as i64;
                last = start;
                distance + i64::from(distance >= 0)
            });
            push_signed(&mut bytes, distance);
        }
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn push_signed(bytes: &mut Vec<u8>, mut number: i64) {
    loop {
        let byte = number as u8 & 0x7f;
        number >>= 7;
        let is_last = (number == 0 && byte & 0x40 == 0) || (number == -1 && byte & 0x40 != 0);
        if is_last {
            bytes.push(byte);
            return;
        }
        bytes.push(byte | 0x80);
    }
}
