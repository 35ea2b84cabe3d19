// SPDX-License-Identifier: BSD-2-Clause
//! Abbreviations: which attributes the entries of a unit have, and how entries are stepped over.

use std::collections::HashMap;
use std::ops::Range;

use gimli::{DwAt, DwForm, DwTag};

use super::cursor::Cursor;
use super::forms::{Encoding, fixed_size};

/// More attributes than this in one table are nobody's.
const MOST_ATTRIBUTES: usize = 1 << 20;

/// What entries of one code have.
#[derive(Clone, Debug)]
pub(in crate::symbolize) struct Abbreviation {
    pub(in crate::symbolize) tag: DwTag,
    pub(in crate::symbolize) has_children: bool,
    attributes: Range<u32>,
    /// How many bytes its attributes have, where that is the same for all.
    pub(super) size: Option<u32>,
    /// Where among these bytes a reference of 4 bytes to the next sibling is.
    pub(super) sibling: Option<u32>,
}

/// What an attribute is and how it is written.
#[derive(Clone, Copy, Debug)]
pub(in crate::symbolize) struct Attribute {
    pub(super) name: DwAt,
    pub(super) form: DwForm,
    /// The value, where the abbreviation has it.
    pub(super) implicit: i64,
    /// Bytes of the value, or [`VARIABLE`].
    pub(super) size: u8,
}

/// The size of a value that its form does not tell.
pub(super) const VARIABLE: u8 = u8::MAX;

/// The table of a unit.
#[derive(Debug, Default)]
pub(in crate::symbolize) struct Abbreviations {
    /// Those that are numbered from 1 without gaps, as compilers do.
    dense: Vec<Abbreviation>,
    sparse: HashMap<u64, Abbreviation>,
    attributes: Vec<Attribute>,
}

impl Abbreviations {
    /// Reads the table at an offset of `.debug_abbrev`, in place of what was here before.
    pub(in crate::symbolize) fn read(
        &mut self,
        section: &[u8],
        offset: usize,
        encoding: Encoding,
    ) -> Option<()> {
        self.dense.clear();
        self.sparse.clear();
        self.attributes.clear();
        let mut cursor = Cursor::new(section, offset);
        loop {
            let code = cursor.uleb()?;
            if code == 0 {
                return Some(());
            }
            let abbreviation = self.abbreviation(&mut cursor, encoding)?;
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
                size: more.map_or(VARIABLE, |more| more as u8),
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
