// SPDX-License-Identifier: BSD-2-Clause
//! Units: their headers and the attributes of their first entry.

use std::iter;

use gimli::DwLang;

use super::abbreviations::Abbreviations;
use super::cursor::Cursor;
use super::forms::{self, Encoding, Value};
use super::ranges::{self, AddressRange, Extents};
use super::sections::{DebugSections, LONGEST_TEXT, Section};

/// Position and encoding of a unit. All positions are offsets in `.debug_info`.
#[derive(Clone, Copy, Debug)]
pub(in crate::symbolize) struct Header {
    /// Offset of its first byte.
    pub(in crate::symbolize) start: usize,
    /// Offset of its first entry.
    pub(in crate::symbolize) entries: usize,
    /// Offset of the first byte after it.
    pub(in crate::symbolize) end: usize,
    abbreviations: usize,
    encoding: Encoding,
}

impl Header {
    /// Size of the unit in bytes, with its header.
    pub(in crate::symbolize) fn n_bytes(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Reads the header at an offset of `.debug_info`; `None` if it is malformed or if its version
    /// is not supported.
    pub(in crate::symbolize) fn read(info: &[u8], start: usize) -> Option<Self> {
        let mut cursor = Cursor::new(info, start);
        let (length, offset) = cursor.unit_length()?;
        let end = cursor.at().checked_add(length)?;
        (end <= info.len()).then_some(())?;
        let version = cursor.u16()?;
        (2..=5).contains(&version).then_some(())?;
        let (abbreviations, address);
        if version < 5 {
            abbreviations = cursor.offset(offset)?;
            address = cursor.u8()?;
        } else {
            let kind = gimli::DwUt(cursor.u8()?);
            address = cursor.u8()?;
            abbreviations = cursor.offset(offset)?;
            match kind {
                gimli::DW_UT_skeleton | gimli::DW_UT_split_compile => cursor.skip(8)?,
                gimli::DW_UT_type | gimli::DW_UT_split_type => {
                    cursor.skip(8 + usize::from(offset))?;
                }
                _ => {}
            }
        }
        matches!(address, 4 | 8).then_some(())?;
        (cursor.at() <= end).then_some(Self {
            start,
            entries: cursor.at(),
            end,
            abbreviations,
            encoding: Encoding {
                version,
                address,
                offset,
            },
        })
    }
}

/// The start offsets of units, to find the unit that contains an offset of `.debug_info`.
#[derive(Debug, Default)]
pub(in crate::symbolize) struct Headers {
    /// The section that was read: its address in memory and its length.
    of: Option<(usize, usize)>,
    starts: Vec<usize>,
}

/// Maximum number of units that can be found by an offset. A kernel has some 3,000.
const MOST_STARTS: usize = 1 << 20;

impl Headers {
    /// Returns the header of the unit that contains an offset.
    pub(in crate::symbolize) fn find(&mut self, info: &[u8], at: usize) -> Option<Header> {
        let of = Some((info.as_ptr() as usize, info.len()));
        if self.of != of {
            self.of = of;
            self.starts.clear();
            let starts = headers(info).flatten().map(|header| header.start);
            self.starts.extend(starts.take(MOST_STARTS));
        }
        let before = self.starts.partition_point(|start| *start <= at);
        let header = Header::read(info, *self.starts.get(before.checked_sub(1)?)?)?;
        (header.start..header.end).contains(&at).then_some(header)
    }
}

/// Iterates over the headers of all units. A malformed header gives `None`. If its length is
/// malformed as well, the iteration ends after it.
pub(in crate::symbolize) fn headers(info: &[u8]) -> impl Iterator<Item = Option<Header>> + '_ {
    let mut next = 0;
    iter::from_fn(move || {
        if next >= info.len() {
            return None;
        }
        let header = Header::read(info, next);
        let mut cursor = Cursor::new(info, next);
        // A unit with an unknown version is skipped; the others are still read.
        let end = cursor
            .unit_length()
            .and_then(|(length, _)| cursor.at().checked_add(length));
        next = end.unwrap_or(usize::MAX);
        Some(header)
    })
}

/// A unit, with the attributes of its first entry.
#[derive(Clone, Copy, Debug)]
pub(in crate::symbolize) struct Unit<'data> {
    pub(in crate::symbolize) sections: DebugSections<'data>,
    pub(in crate::symbolize) header: Header,
    pub(super) encoding: Encoding,
    /// The base address of range lists.
    pub(super) low: u64,
    pub(in crate::symbolize) name: Option<&'data [u8]>,
    pub(in crate::symbolize) directory: Option<&'data [u8]>,
    pub(super) line_program: Option<usize>,
    pub(in crate::symbolize) language: Option<DwLang>,
    high: Option<Value<'data>>,
    range_list: Option<Value<'data>>,
    pub(super) rnglists_base: usize,
    addr_base: usize,
    str_offsets_base: usize,
}

impl<'data> Unit<'data> {
    /// Reads the first entry of a unit. `abbreviations` is filled with the table of the unit.
    pub(in crate::symbolize) fn read(
        sections: DebugSections<'data>,
        header: Header,
        abbreviations: &mut Abbreviations,
    ) -> Option<Self> {
        let section = sections.get(Section::Abbrev);
        abbreviations.read(section, header.abbreviations, header.encoding)?;
        let mut unit = Self {
            sections,
            header,
            encoding: header.encoding,
            low: 0,
            name: None,
            directory: None,
            line_program: None,
            language: None,
            high: None,
            range_list: None,
            // The defaults, for units without these attributes: the first list after the section
            // header.
            rnglists_base: if header.encoding.offset == 8 { 20 } else { 12 },
            addr_base: if header.encoding.offset == 8 { 16 } else { 8 },
            str_offsets_base: if header.encoding.offset == 8 { 16 } else { 8 },
        };
        let values = unit.first_entry(abbreviations)?;
        let value = |name| {
            values
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| *value)
        };
        // The bases come first, because the other attributes are read relative to them.
        let offset = |name| value(name).and_then(Value::section_offset);
        let addr_base = offset(gimli::DW_AT_addr_base).or(offset(gimli::DW_AT_GNU_addr_base));
        unit.addr_base = addr_base.unwrap_or(unit.addr_base);
        unit.str_offsets_base =
            offset(gimli::DW_AT_str_offsets_base).unwrap_or(unit.str_offsets_base);
        unit.rnglists_base = offset(gimli::DW_AT_rnglists_base).unwrap_or(unit.rnglists_base);
        unit.low = value(gimli::DW_AT_low_pc)
            .and_then(|value| unit.address_of(value))
            .unwrap_or(0);
        unit.name = value(gimli::DW_AT_name).and_then(|value| unit.text(value));
        unit.directory = value(gimli::DW_AT_comp_dir).and_then(|value| unit.text(value));
        unit.line_program = value(gimli::DW_AT_stmt_list).and_then(Value::section_offset);
        let language = value(gimli::DW_AT_language).and_then(Value::number);
        unit.language = language
            .and_then(|number| u16::try_from(number).ok())
            .map(DwLang);
        unit.high = value(gimli::DW_AT_high_pc);
        unit.range_list = value(gimli::DW_AT_ranges);
        Some(unit)
    }

    fn first_entry(
        &self,
        abbreviations: &Abbreviations,
    ) -> Option<Vec<(gimli::DwAt, Value<'data>)>> {
        let mut cursor = self.cursor(self.header.entries);
        let abbreviation = abbreviations.get(cursor.uleb()?)?;
        let attributes = abbreviations.attributes(abbreviation).iter();
        attributes
            .map(|attribute| {
                let (form, implicit) = (attribute.form, attribute.implicit);
                let value = forms::read(&mut cursor, form, implicit, self.encoding)?;
                Some((attribute.name, value))
            })
            .collect()
    }

    /// A cursor at an offset of `.debug_info` that ends with the unit.
    pub(in crate::symbolize) fn cursor(&self, at: usize) -> Cursor<'data> {
        let info = self.sections.get(Section::Info);
        Cursor::new(info.get(..self.header.end).unwrap_or_default(), at)
    }

    /// The code ranges that the first entry of the unit gives; `None` if a list is damaged.
    pub(in crate::symbolize) fn code(&self) -> Option<Vec<AddressRange>> {
        let mut found = Extents::of_unit(self);
        if let Some(list) = self.range_list {
            ranges::read(self, list, &mut found)?;
        } else if let Some(high) = self.high {
            self.push_range(self.low, high, &mut found)?;
        }
        Some(found.ranges)
    }

    /// Adds the range from `low` to `DW_AT_high_pc`, which is an address or a length.
    #[inline]
    pub(super) fn push_range(&self, low: u64, high: Value<'_>, into: &mut Extents) -> Option<()> {
        let end = match high {
            Value::Number(length) => low.wrapping_add(length),
            high => self.address_of(high)?,
        };
        into.push(low, end);
        Some(())
    }

    #[inline]
    pub(super) fn address_of(&self, value: Value<'_>) -> Option<u64> {
        match value {
            Value::Address(address) => Some(address),
            Value::AddressIndex(index) => self.address(index),
            _ => None,
        }
    }

    /// Reads an address of `.debug_addr`.
    pub(super) fn address(&self, index: u64) -> Option<u64> {
        let size = self.encoding.address;
        let place = usize::try_from(index).ok()?.checked_mul(size.into())?;
        let at = self.addr_base.checked_add(place)?;
        Cursor::new(self.sections.get(Section::Addr), at).number(size)
    }

    pub(super) fn text(&self, value: Value<'data>) -> Option<&'data [u8]> {
        match value {
            Value::Text(text) => (text.len() <= LONGEST_TEXT).then_some(text),
            Value::StrOffset(offset) => self.sections.text(Section::Str, offset),
            Value::LineStrOffset(offset) => self.sections.text(Section::LineStr, offset),
            Value::SharedStrOffset(offset) => self.sections.shared()?.text(Section::Str, offset),
            Value::StrIndex(index) => {
                let size = self.encoding.offset;
                let place = usize::try_from(index).ok()?.checked_mul(size.into())?;
                let at = self.str_offsets_base.checked_add(place)?;
                let mut cursor = Cursor::new(self.sections.get(Section::StrOffsets), at);
                self.sections.text(Section::Str, cursor.offset(size)?)
            }
            _ => None,
        }
    }
}
