// SPDX-License-Identifier: BSD-2-Clause
//! Reads the entries of functions and inlined calls. All other entries are skipped.

use gimli::DwAt;

use super::abbreviations::{Abbreviation, Abbreviations};
use super::cursor::Cursor;
use super::forms::{self, Value};
use super::ranges::{self, Extents};
use super::unit::Unit;

/// The entry that another entry refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::symbolize) enum EntryAt {
    /// Offset in `.debug_info` of the same file.
    Here(usize),
    /// Offset in `.debug_info` of the shared file.
    Shared(usize),
}

/// The attributes of a function.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::symbolize) struct Function<'data> {
    pub(in crate::symbolize) name: Option<&'data [u8]>,
    /// The name for the linker, if it is a different one.
    pub(in crate::symbolize) linkage_name: Option<&'data [u8]>,
    /// The entry that has the attributes that this one lacks.
    pub(in crate::symbolize) origin: Option<EntryAt>,
    /// The file of its definition, by its number in the unit.
    pub(in crate::symbolize) file: Option<u64>,
    pub(in crate::symbolize) line: Option<u64>,
    /// Whether the entry describes a function that is inlined.
    pub(in crate::symbolize) is_inlined: bool,
    /// Offset of the entry that follows its children.
    pub(in crate::symbolize) sibling: Option<usize>,
}

/// The attributes of an inlined call. File and line are 0 if they are missing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::symbolize) struct InlinedCall {
    pub(in crate::symbolize) origin: Option<EntryAt>,
    pub(in crate::symbolize) file: u64,
    pub(in crate::symbolize) line: u64,
}

/// Low and high address of an entry, or its range list.
#[derive(Clone, Copy, Default)]
struct Extent<'data> {
    low: Option<u64>,
    high: Option<Value<'data>>,
    list: Option<Value<'data>>,
}

impl<'data> Extent<'data> {
    /// Stores an attribute; returns false if it describes no address range.
    fn take(&mut self, name: DwAt, value: Value<'data>, unit: &Unit<'data>) -> bool {
        match name {
            gimli::DW_AT_low_pc => self.low = unit.address_of(value),
            gimli::DW_AT_high_pc => self.high = Some(value),
            gimli::DW_AT_ranges => self.list = Some(value),
            _ => return false,
        }
        true
    }

    fn push(&self, unit: &Unit<'data>, into: &mut Extents) -> Option<()> {
        if !into.are_wanted() {
            return Some(());
        }
        match (self.list, self.low, self.high) {
            (Some(list), _, _) => ranges::read(unit, list, into),
            (None, Some(low), Some(high)) => unit.push_range(low, high, into),
            _ => Some(()),
        }
    }
}

/// Reads the entry of a function and appends its code ranges to `code`.
pub(in crate::symbolize) fn read_function<'data>(
    unit: &Unit<'data>,
    cursor: &mut Cursor<'data>,
    abbreviations: &Abbreviations,
    abbreviation: &Abbreviation,
    code: &mut Extents,
) -> Option<Function<'data>> {
    let mut function = Function::default();
    let mut extent = Extent::default();
    for attribute in abbreviations.attributes(abbreviation) {
        match attribute.name {
            gimli::DW_AT_low_pc
            | gimli::DW_AT_high_pc
            | gimli::DW_AT_ranges
            | gimli::DW_AT_name
            | gimli::DW_AT_linkage_name
            | gimli::DW_AT_MIPS_linkage_name
            | gimli::DW_AT_decl_file
            | gimli::DW_AT_decl_line
            | gimli::DW_AT_inline
            | gimli::DW_AT_sibling
            | gimli::DW_AT_abstract_origin
            | gimli::DW_AT_specification => {}
            _ => {
                forms::skip_value(cursor, attribute, unit.encoding)?;
                continue;
            }
        }
        let value = forms::read(cursor, attribute.form, attribute.implicit, unit.encoding)?;
        if extent.take(attribute.name, value, unit) {
            continue;
        }
        match attribute.name {
            gimli::DW_AT_name => function.name = unit.text(value),
            gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                function.linkage_name = unit.text(value);
            }
            gimli::DW_AT_decl_file => function.file = value.number(),
            gimli::DW_AT_decl_line => function.line = value.number(),
            gimli::DW_AT_inline => function.is_inlined = matches!(value.number(), Some(1 | 3)),
            gimli::DW_AT_sibling => function.sibling = here(unit, value),
            _ => function.origin = entry_at(unit, value).or(function.origin),
        }
    }
    extent.push(unit, code)?;
    Some(function)
}

/// Reads the entry of an inlined call and appends its code ranges to `code`.
#[inline]
pub(in crate::symbolize) fn read_inlined_call<'data>(
    unit: &Unit<'data>,
    cursor: &mut Cursor<'data>,
    abbreviations: &Abbreviations,
    abbreviation: &Abbreviation,
    code: &mut Extents,
) -> Option<InlinedCall> {
    let mut call = InlinedCall::default();
    let mut extent = Extent::default();
    for attribute in abbreviations.attributes(abbreviation) {
        match attribute.name {
            gimli::DW_AT_low_pc
            | gimli::DW_AT_high_pc
            | gimli::DW_AT_ranges
            | gimli::DW_AT_abstract_origin
            | gimli::DW_AT_call_file
            | gimli::DW_AT_call_line => {}
            _ => {
                forms::skip_value(cursor, attribute, unit.encoding)?;
                continue;
            }
        }
        let value = forms::read(cursor, attribute.form, attribute.implicit, unit.encoding)?;
        if extent.take(attribute.name, value, unit) {
            continue;
        }
        match attribute.name {
            gimli::DW_AT_call_file => call.file = value.number().unwrap_or(0),
            gimli::DW_AT_call_line => call.line = value.number().unwrap_or(0),
            _ => call.origin = entry_at(unit, value),
        }
    }
    extent.push(unit, code)?;
    Some(call)
}

/// Skips the attributes of an entry. Returns the offset of the entry that follows its children, if
/// the entry gives it, or `None` if the entry is damaged.
#[inline]
pub(in crate::symbolize) fn skip(
    unit: &Unit<'_>,
    cursor: &mut Cursor<'_>,
    abbreviations: &Abbreviations,
    abbreviation: &Abbreviation,
) -> Option<Option<usize>> {
    if let Some(size) = abbreviation.size {
        let mut sibling = None;
        if let Some(place) = abbreviation.sibling {
            let mut there = *cursor;
            there.skip(place as usize)?;
            sibling = unit.header.start.checked_add(there.offset(4)?);
        }
        cursor.skip(size as usize)?;
        return Some(sibling);
    }
    let mut sibling = None;
    for attribute in abbreviations.attributes(abbreviation) {
        if attribute.name == gimli::DW_AT_sibling {
            let value = forms::read(cursor, attribute.form, attribute.implicit, unit.encoding)?;
            sibling = here(unit, value);
        } else {
            forms::skip_value(cursor, attribute, unit.encoding)?;
        }
    }
    Some(sibling)
}

/// Reads the function at an offset of `.debug_info`; `None` if the offset is not in the unit.
pub(in crate::symbolize) fn function_at<'data>(
    unit: &Unit<'data>,
    abbreviations: &Abbreviations,
    at: usize,
) -> Option<Function<'data>> {
    (unit.header.entries..unit.header.end)
        .contains(&at)
        .then_some(())?;
    let mut cursor = unit.cursor(at);
    let abbreviation = abbreviations.get(cursor.uleb()?)?;
    let mut code = Extents::unwanted();
    read_function(unit, &mut cursor, abbreviations, abbreviation, &mut code)
}

fn entry_at(unit: &Unit<'_>, value: Value<'_>) -> Option<EntryAt> {
    match value {
        Value::SharedReference(at) => Some(EntryAt::Shared(at)),
        value => here(unit, value).map(EntryAt::Here),
    }
}

fn here(unit: &Unit<'_>, value: Value<'_>) -> Option<usize> {
    match value {
        Value::UnitReference(at) => unit.header.start.checked_add(at),
        Value::Reference(at) => Some(at),
        _ => None,
    }
}
