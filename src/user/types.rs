// SPDX-License-Identifier: BSD-2-Clause
//! The result types of user functions, as DWARF has them.
//!
//! The debug information may belong to anybody: its sections are read into buffers of bounded size,
//! and the number of entries and the length of chains of types are bounded.

use std::collections::{BTreeSet, HashMap};

use gimli::{
    AttributeValue, DebuggingInformationEntry, DwAte, Dwarf, DwarfSections, EndianSlice,
    LittleEndian, SectionId, Unit, UnitOffset, constants,
};

use super::elf::UserElf;
use crate::spec::ResultType;

type Slice<'s> = EndianSlice<'s, LittleEndian>;
type Entry<'s> = DebuggingInformationEntry<Slice<'s>>;

/// Maximum size of a section, in bytes. A file with more has no result types.
const MAX_SECTION: u64 = 128 << 20;

/// Maximum number of entries that are read of a file.
const MAX_ENTRIES: usize = 20_000_000;

/// Maximum number of address ranges of a unit.
const MAX_RANGES: usize = 1 << 20;

/// Maximum length of a chain of typedefs, qualifiers and references.
const MAX_CHAIN: usize = 32;

/// Returns the result types of the functions that begin at `addrs`, by these addresses. Types that
/// are in another file are missing, and so are those of units that have line tables only.
pub(super) fn result_types(elf: &UserElf<'_>, addrs: &BTreeSet<u64>) -> HashMap<u64, ResultType> {
    let mut types = HashMap::new();
    // Damage costs what follows it.
    let _ = read_types(elf, addrs, &mut types);
    types
}

fn read_types(
    elf: &UserElf<'_>,
    addrs: &BTreeSet<u64>,
    types: &mut HashMap<u64, ResultType>,
) -> gimli::Result<()> {
    let sections = DwarfSections::load(|id| Ok::<_, gimli::Error>(section(elf, id)))?;
    let dwarf = sections.borrow(|bytes| EndianSlice::new(bytes, LittleEndian));
    let mut n_entries = 0;
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        if !has_any(&dwarf, &unit, addrs)? {
            continue;
        }
        let (mut found, mut has_types) = (Vec::new(), false);
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            n_entries += 1;
            if n_entries > MAX_ENTRIES {
                return Ok(());
            }
            has_types |= entry.tag() == constants::DW_TAG_base_type;
            if entry.tag() != constants::DW_TAG_subprogram {
                continue;
            }
            if let Some(addr) = address(&dwarf, &unit, entry)?
                && addrs.contains(&addr)
                && let Some(result) = result_type(&unit, entry.clone())?
            {
                found.push((addr, result));
            }
        }
        // Where only line tables were asked for, a function without a type may return anything.
        types.extend(found.into_iter().filter(|_| has_types));
    }
    Ok(())
}

/// Returns whether one of the addresses is in the unit.
fn has_any<'s>(
    dwarf: &Dwarf<Slice<'s>>,
    unit: &Unit<Slice<'s>>,
    addrs: &BTreeSet<u64>,
) -> gimli::Result<bool> {
    let mut ranges = dwarf.unit_ranges(unit)?;
    let mut n_ranges = 0;
    while let Some(range) = ranges.next()? {
        n_ranges += 1;
        if range.begin < range.end && addrs.range(range.begin..range.end).next().is_some() {
            return Ok(true);
        }
        if n_ranges > MAX_RANGES {
            break;
        }
    }
    Ok(false)
}

fn section(elf: &UserElf<'_>, id: SectionId) -> Vec<u8> {
    let content = elf.section(id.name(), MAX_SECTION);
    content.ok().flatten().unwrap_or_default()
}

fn address<'s>(
    dwarf: &Dwarf<Slice<'s>>,
    unit: &Unit<Slice<'s>>,
    entry: &Entry<'s>,
) -> gimli::Result<Option<u64>> {
    match entry.attr_value(constants::DW_AT_low_pc) {
        Some(value) => dwarf.attr_address(unit, value),
        None => Ok(None),
    }
}

/// Returns the result type of a function. Its type stands at its declaration if there is one.
fn result_type<'s>(
    unit: &Unit<Slice<'s>>,
    mut entry: Entry<'s>,
) -> gimli::Result<Option<ResultType>> {
    for _ in 0..MAX_CHAIN {
        if let Some(value) = entry.attr_value(constants::DW_AT_type) {
            return of_type(unit, value);
        }
        let origin = entry
            .attr_value(constants::DW_AT_specification)
            .or_else(|| entry.attr_value(constants::DW_AT_abstract_origin));
        let Some(origin) = origin else {
            // A function without a type returns nothing.
            return Ok(Some(ResultType::Void));
        };
        match offset_in(unit, &origin) {
            Some(offset) => entry = unit.entry(offset)?,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Returns the result type for a reference to a type.
fn of_type<'s>(
    unit: &Unit<Slice<'s>>,
    mut value: AttributeValue<Slice<'s>>,
) -> gimli::Result<Option<ResultType>> {
    for _ in 0..MAX_CHAIN {
        let Some(offset) = offset_in(unit, &value) else {
            return Ok(None);
        };
        let entry = unit.entry(offset)?;
        match entry.tag() {
            constants::DW_TAG_typedef
            | constants::DW_TAG_const_type
            | constants::DW_TAG_volatile_type
            | constants::DW_TAG_atomic_type => match entry.attr_value(constants::DW_AT_type) {
                Some(next) => value = next,
                None => return Ok(Some(ResultType::Void)),
            },
            _ => return Ok(Some(of_entry(&entry))),
        }
    }
    Ok(None)
}

fn of_entry(entry: &Entry<'_>) -> ResultType {
    let size = entry.attr_value(constants::DW_AT_byte_size);
    let size = size.and_then(|size| u8::try_from(size.udata_value()?).ok());
    let size = size.unwrap_or_default();
    match entry.tag() {
        constants::DW_TAG_pointer_type => ResultType::Pointer,
        // An enumeration is a state more often than an error.
        constants::DW_TAG_enumeration_type => ResultType::Unsigned(size),
        constants::DW_TAG_base_type => match entry.attr_value(constants::DW_AT_encoding) {
            Some(AttributeValue::Encoding(encoding)) => of_encoding(encoding, size),
            _ => ResultType::Void,
        },
        // A structure or a reference: nothing says that it is a failure.
        _ => ResultType::Void,
    }
}

fn of_encoding(encoding: DwAte, size: u8) -> ResultType {
    match encoding {
        constants::DW_ATE_boolean => ResultType::False,
        constants::DW_ATE_signed if size >= 4 => ResultType::UserInteger,
        constants::DW_ATE_unsigned => ResultType::Unsigned(size),
        // Characters and small or floating-point numbers are no codes of failures.
        _ => ResultType::Void,
    }
}

/// Returns the offset in the unit that a reference leads to; `None` if it leads elsewhere.
fn offset_in(unit: &Unit<Slice<'_>>, value: &AttributeValue<Slice<'_>>) -> Option<UnitOffset> {
    match value {
        AttributeValue::UnitRef(offset) => Some(*offset),
        AttributeValue::DebugInfoRef(offset) => offset.to_unit_offset(&unit.header),
        _ => None,
    }
}
