// SPDX-License-Identifier: BSD-2-Clause
//! Making the index of an image: one pass over its units, table by table into the file.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use twox_hash::XxHash64;

use super::{HEADER, Header, Identity, PARTS, Part, PartAt};
use crate::cache::Cache;
use crate::symbolize::digest::{Definition, Digester, definitions};
use crate::symbolize::dwarf::{Section, headers};
use crate::symbolize::guard::guarded;
use crate::symbolize::image::{ANCHORS, Image};
use crate::symbolize::lines::LineSource;
use crate::symbolize::paths::Paths;
use crate::symbolize::strings::Strings;
use crate::symbolize::units::{UnitIndex, UnitRange};

/// What came of making an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// How many units it has tables of.
    pub n_units: usize,
    /// How many units could not be read: their addresses are looked up in the image.
    pub n_damaged: usize,
    /// The size of the file.
    pub n_bytes: u64,
}

/// Makes the index of what lines are read from and keeps it, unless there is one. `None`: there is
/// one, or nothing names the image, or it was given up because `stop` was set.
///
/// # Errors
///
/// When it cannot be written.
pub fn build_index(
    lines: &LineSource,
    cache: &Cache,
    stop: &AtomicBool,
) -> io::Result<Option<Built>> {
    match lines.without_index() {
        Some(image) => build(&image, cache, stop, Pace::Full),
        None => Ok(None),
    }
}

/// As [`build_index`], beside more important work.
pub(in crate::symbolize) fn build_gently(
    image: &Image,
    cache: &Cache,
) -> io::Result<Option<Built>> {
    build(image, cache, &AtomicBool::new(false), Pace::gentle())
}

/// How much of a processor is taken.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// All of one.
    Full,
    /// One part of so many more.
    Share(u32),
}

impl Pace {
    /// Leaves most of the only processor to what is traced, half of one of two.
    fn gentle() -> Self {
        match thread::available_parallelism().map_or(1, NonZero::get) {
            1 => Self::Share(3),
            2 | 3 => Self::Share(1),
            _ => Self::Full,
        }
    }

    /// Rests for what was done since `start`, if it was worth it; when work begins again.
    fn rest(self, start: Instant) -> Instant {
        const WORTH: Duration = Duration::from_millis(2);
        let worked = start.elapsed();
        match self {
            Self::Share(parts) if worked >= WORTH => {
                thread::sleep(worked * parts);
                Instant::now()
            }
            _ => start,
        }
    }
}

fn build(image: &Image, cache: &Cache, stop: &AtomicBool, pace: Pace) -> io::Result<Option<Built>> {
    let Some(identity) = Identity::of(image).filter(|_| !image.is_relocatable()) else {
        return Ok(None);
    };
    let mut built = None;
    cache.replace_file(&identity.name(), |file| {
        let building = Building::new(image, identity.clone(), file, stop, pace)?;
        built = building.map(Building::finish).transpose()?;
        // What was given up is not kept.
        Ok(built.is_some())
    })?;
    Ok(built)
}

/// So many definitions are looked through for those that are there twice.
const MANY: usize = 1 << 17;

/// A kernel has some 3,000 units and 100,000 definitions.
const MOST_UNITS: usize = 1 << 18;
const MOST_DEFINITIONS: usize = 1 << 20;

struct Building<'a> {
    file: BufWriter<&'a mut File>,
    at: u64,
    strings: Strings,
    units: Vec<u8>,
    definitions: Vec<Definition>,
    /// When they are looked through next.
    many: usize,
    ranges: (Vec<u8>, Vec<u8>),
    header: Header,
    built: Built,
}

impl<'a> Building<'a> {
    /// Writes the tables; `None` when stopped.
    fn new(
        image: &Image,
        identity: Identity,
        file: &'a mut File,
        stop: &AtomicBool,
        pace: Pace,
    ) -> io::Result<Option<Self>> {
        let sections = image.debug();
        let units = UnitIndex::new(sections);
        let paths = Paths::of_image(sections, &units.listed_units());
        let (listed, unlisted) = units.all(sections);
        let mut building = Self {
            file: BufWriter::with_capacity(1 << 18, file),
            at: HEADER as u64,
            strings: Strings::new(Some(paths)),
            units: Vec::new(),
            definitions: Vec::new(),
            many: MANY,
            ranges: (range_bytes(listed), range_bytes(unlisted)),
            header: Header {
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
        building.file.write_all(&[0; HEADER])?;
        let mut digester = Digester::default();
        let mut began = Instant::now();
        for header in headers(sections.get(Section::Info)) {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let (strings, found) = (&mut building.strings, &mut building.definitions);
            let before = found.len();
            // Damaged DWARF may end a parser; it shall not end us.
            let table = guarded(|| {
                let header = header?;
                let table = digester.table(sections, header, strings)?;
                definitions(&mut digester, sections, header, strings, found)?;
                Some((header.start, table))
            });
            // Those of headers come with each unit again.
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

    /// Keeps the definitions few: an inlined function of a header is told once.
    fn forget_repeated(&mut self) {
        if self.definitions.len() >= self.many {
            self.definitions.sort_unstable();
            self.definitions.dedup();
            // What is left is not gone through again before there is as much again.
            self.many = MANY.max(2 * self.definitions.len());
        }
    }

    /// Whether an image claims to have what would take too much memory.
    fn is_too_large(&self) -> bool {
        self.built.n_units > MOST_UNITS || self.definitions.len() > MOST_DEFINITIONS
    }

    /// Writes what follows the tables, then the header.
    fn finish(mut self) -> io::Result<Built> {
        let (mut ends, mut texts) = (Vec::new(), Vec::new());
        for text in self.strings.all() {
            texts.extend(text.as_bytes());
            ends.extend((texts.len() as u32).to_le_bytes());
        }
        let definitions = definition_bytes(&mut self.definitions);
        for part in PARTS {
            let bytes = match part {
                Part::Units => &self.units,
                Part::Listed => &self.ranges.0,
                Part::Unlisted => &self.ranges.1,
                Part::TextEnds => &ends,
                Part::Texts => &texts,
                Part::Definitions => &definitions,
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

/// By file: its text, how many follow, and of each the line and where its code begins.
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
