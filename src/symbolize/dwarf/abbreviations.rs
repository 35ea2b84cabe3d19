// SPDX-License-Identifier: BSD-2-Clause
//! Abbreviations: which attributes the entries of a unit have, and how entries are skipped.

use std::collections::HashMap;
use std::ops::Range;

use gimli::{DwAt, DwForm, DwTag};

use super::cursor::Cursor;
use super::forms::{Encoding, fixed_size};

/// Limits for one table. The largest table of a kernel has some hundred entries.
const MOST_ENTRIES: usize = 1 << 15;
const MOST_ATTRIBUTES: usize = 1 << 17;

/// How many bytes of tables may be read in addition to the credit of the units. A limit is needed
/// because a unit of 12 bytes may name a table of megabytes, and each of a million units may name
/// another part of it.
const FREE_BYTES: usize = 32 << 20;

/// The layout of the entries that have one abbreviation code.
#[derive(Clone, Debug)]
pub(in crate::symbolize) struct Abbreviation {
    pub(in crate::symbolize) tag: DwTag,
    pub(in crate::symbolize) has_children: bool,
    attributes: Range<u32>,
    /// Total size of the attributes in bytes; `None` if it differs between entries.
    pub(super) size: Option<u32>,
    /// Offset among these bytes of a 4-byte reference to the next sibling; `None` if there is none
    /// or if its offset varies.
    pub(super) sibling: Option<u32>,
}

/// Name and encoding of an attribute.
#[derive(Clone, Copy, Debug)]
pub(in crate::symbolize) struct Attribute {
    pub(super) name: DwAt,
    pub(super) form: DwForm,
    /// The value, if the abbreviation contains it (`DW_FORM_implicit_const`); else 0.
    pub(super) implicit: i64,
    /// Size of the value in bytes, or [`VARIABLE_SIZE`].
    pub(super) size: u8,
}

/// Marks a value whose size does not follow from its form.
pub(super) const VARIABLE_SIZE: u8 = u8::MAX;

/// The table of a unit. It is kept because the next unit often uses the same table.
#[derive(Debug)]
pub(in crate::symbolize) struct Abbreviations {
    /// Which table was read: the address of the section in memory, the offset, and the encoding.
    of: Option<(usize, usize, Encoding)>,
    /// How many bytes of tables may still be read.
    credit: usize,
    /// Entries that are numbered from 1 without gaps, as compilers emit them.
    dense: Vec<Abbreviation>,
    sparse: HashMap<u64, Abbreviation>,
    attributes: Vec<Attribute>,
}

impl Default for Abbreviations {
    fn default() -> Self {
        Self {
            of: None,
            credit: FREE_BYTES,
            dense: Vec::new(),
            sparse: HashMap::new(),
            attributes: Vec::new(),
        }
    }
}

impl Abbreviations {
    /// Raises the limit by the size of a unit in bytes.
    pub(in crate::symbolize) fn credit(&mut self, n_bytes: usize) {
        self.credit = self.credit.saturating_add(n_bytes).min(2 * FREE_BYTES);
    }

    /// Reads the table at an offset of `.debug_abbrev` and replaces the current one. Returns `None`
    /// if the table is damaged or exceeds the limit.
    pub(in crate::symbolize) fn read(
        &mut self,
        section: &[u8],
        offset: usize,
        encoding: Encoding,
    ) -> Option<()> {
        let of = (section.as_ptr() as usize, offset, encoding);
        if self.of == Some(of) {
            return Some(());
        }
        self.of = None;
        self.dense.clear();
        self.sparse.clear();
        self.attributes.clear();
        // The section is cut off where the credit ends.
        let most = offset.saturating_add(self.credit);
        let section = section.get(..most).unwrap_or(section);
        let mut cursor = Cursor::new(section, offset);
        let read = self.entries(&mut cursor, encoding);
        self.credit = self
            .credit
            .saturating_sub(cursor.at().saturating_sub(offset));
        read?;
        self.of = Some(of);
        Some(())
    }

    fn entries(&mut self, cursor: &mut Cursor<'_>, encoding: Encoding) -> Option<()> {
        loop {
            let code = cursor.uleb()?;
            if code == 0 {
                return Some(());
            }
            let n_entries = self.dense.len() + self.sparse.len();
            (n_entries < MOST_ENTRIES).then_some(())?;
            let abbreviation = self.abbreviation(cursor, encoding)?;
            if code == self.dense.len() as u64 + 1 {
                self.dense.push(abbreviation);
            } else {
                self.sparse.insert(code, abbreviation);
            }
        }
    }

    fn abbreviation(
        &mut self,
        cursor: &mut Cursor<'_>,
        encoding: Encoding,
    ) -> Option<Abbreviation> {
        let tag = DwTag(u16::try_from(cursor.uleb()?).ok()?);
        let has_children = cursor.u8()? != 0;
        let start = self.attributes.len() as u32;
        let mut size = Some(0_u32);
        let mut sibling = None;
        loop {
            let (name, form) = (cursor.uleb()?, cursor.uleb()?);
            if (name, form) == (0, 0) {
                break;
            }
            let name = DwAt(u16::try_from(name).ok()?);
            let form = DwForm(u16::try_from(form).ok()?);
            let implicit = match form {
                gimli::DW_FORM_implicit_const => cursor.sleb()?,
                _ => 0,
            };
            if name == gimli::DW_AT_sibling && form == gimli::DW_FORM_ref4 {
                sibling = size;
            }
            let more = fixed_size(form, encoding);
            size = size.and_then(|size| size.checked_add(more?));
            (self.attributes.len() < MOST_ATTRIBUTES).then_some(())?;
            self.attributes.push(Attribute {
                name,
                form,
                implicit,
                size: more.map_or(VARIABLE_SIZE, |more| more as u8),
            });
        }
        Some(Abbreviation {
            tag,
            has_children,
            attributes: start..self.attributes.len() as u32,
            size,
            sibling,
        })
    }

    #[inline]
    pub(in crate::symbolize) fn get(&self, code: u64) -> Option<&Abbreviation> {
        let index = usize::try_from(code.checked_sub(1)?).ok()?;
        match self.dense.get(index) {
            Some(found) => Some(found),
            None => self.sparse.get(&code),
        }
    }

    #[inline]
    pub(in crate::symbolize) fn attributes(&self, of: &Abbreviation) -> &[Attribute] {
        let range = of.attributes.start as usize..of.attributes.end as usize;
        self.attributes.get(range).unwrap_or_default()
    }
}
