// SPDX-License-Identifier: BSD-2-Clause
//! Attribute values: the length of each form, and how it is decoded.

use gimli::DwForm;

use super::abbreviations::{Attribute, VARIABLE_SIZE};
use super::cursor::Cursor;

/// The properties of a unit that determine the sizes of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::symbolize) struct Encoding {
    pub(in crate::symbolize) version: u16,
    /// Size of an address in bytes.
    pub(in crate::symbolize) address: u8,
    /// Size of an offset into a section in bytes: 4 or 8.
    pub(in crate::symbolize) offset: u8,
}

/// The value of an attribute. Kinds that no caller needs are `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::symbolize) enum Value<'data> {
    Address(u64),
    /// Index into `.debug_addr`.
    AddressIndex(u64),
    Number(u64),
    /// Offset into a section that depends on the attribute.
    Offset(usize),
    ListIndex(u64),
    /// Reference to an entry, as an offset from the start of the unit.
    UnitReference(usize),
    /// Reference to an entry, as an offset from the start of `.debug_info`.
    Reference(usize),
    /// Reference to an entry of the shared file.
    SharedReference(usize),
    Text(&'data [u8]),
    StrOffset(usize),
    LineStrOffset(usize),
    SharedStrOffset(usize),
    StrIndex(u64),
    Other,
}

/// Returns the size of a value in bytes; `None` if it does not follow from the form.
pub(super) fn fixed_size(form: DwForm, encoding: Encoding) -> Option<u32> {
    Some(match form {
        gimli::DW_FORM_flag_present | gimli::DW_FORM_implicit_const => 0,
        gimli::DW_FORM_data1
        | gimli::DW_FORM_ref1
        | gimli::DW_FORM_flag
        | gimli::DW_FORM_strx1
        | gimli::DW_FORM_addrx1 => 1,
        gimli::DW_FORM_data2
        | gimli::DW_FORM_ref2
        | gimli::DW_FORM_strx2
        | gimli::DW_FORM_addrx2 => 2,
        gimli::DW_FORM_strx3 | gimli::DW_FORM_addrx3 => 3,
        gimli::DW_FORM_data4
        | gimli::DW_FORM_ref4
        | gimli::DW_FORM_strx4
        | gimli::DW_FORM_addrx4
        | gimli::DW_FORM_ref_sup4 => 4,
        gimli::DW_FORM_data8
        | gimli::DW_FORM_ref8
        | gimli::DW_FORM_ref_sig8
        | gimli::DW_FORM_ref_sup8 => 8,
        gimli::DW_FORM_data16 => 16,
        gimli::DW_FORM_addr => u32::from(encoding.address),
        gimli::DW_FORM_ref_addr if encoding.version < 3 => u32::from(encoding.address),
        gimli::DW_FORM_ref_addr
        | gimli::DW_FORM_strp
        | gimli::DW_FORM_line_strp
        | gimli::DW_FORM_strp_sup
        | gimli::DW_FORM_sec_offset
        | gimli::DW_FORM_GNU_ref_alt
        | gimli::DW_FORM_GNU_strp_alt => u32::from(encoding.offset),
        _ => return None,
    })
}

/// Skips the value of an attribute.
#[inline]
pub(super) fn skip_value(
    cursor: &mut Cursor<'_>,
    attribute: &Attribute,
    encoding: Encoding,
) -> Option<()> {
    match attribute.size {
        VARIABLE_SIZE => skip(cursor, attribute.form, encoding),
        size => cursor.skip(size.into()),
    }
}

/// Skips a value of a form; `None` if the form is unknown or the data ends.
fn skip(cursor: &mut Cursor<'_>, form: DwForm, encoding: Encoding) -> Option<()> {
    if let Some(size) = fixed_size(form, encoding) {
        return cursor.skip(size as usize);
    }
    let length = match form {
        gimli::DW_FORM_exprloc | gimli::DW_FORM_block => cursor.uleb()?,
        gimli::DW_FORM_block1 => cursor.u8()?.into(),
        gimli::DW_FORM_block2 => cursor.u16()?.into(),
        gimli::DW_FORM_block4 => cursor.u32()?.into(),
        gimli::DW_FORM_string => return cursor.text().map(drop),
        gimli::DW_FORM_sdata
        | gimli::DW_FORM_udata
        | gimli::DW_FORM_ref_udata
        | gimli::DW_FORM_strx
        | gimli::DW_FORM_addrx
        | gimli::DW_FORM_loclistx
        | gimli::DW_FORM_rnglistx
        | gimli::DW_FORM_GNU_addr_index
        | gimli::DW_FORM_GNU_str_index => return cursor.uleb().map(drop),
        gimli::DW_FORM_indirect => {
            let form = direct(cursor)?;
            return skip(cursor, form, encoding);
        }
        _ => return None,
    };
    cursor.skip(usize::try_from(length).ok()?)
}

/// Reads the form that an indirect form names. It must not be indirect again, so that the recursion
/// ends.
fn direct(cursor: &mut Cursor<'_>) -> Option<DwForm> {
    let form = DwForm(u16::try_from(cursor.uleb()?).ok()?);
    let is_direct = form != gimli::DW_FORM_indirect && form != gimli::DW_FORM_implicit_const;
    is_direct.then_some(form)
}

/// Reads a value; `None` if the form is unknown or the data ends.
#[inline]
pub(super) fn read<'data>(
    cursor: &mut Cursor<'data>,
    form: DwForm,
    implicit: i64,
    encoding: Encoding,
) -> Option<Value<'data>> {
    Some(match form {
        gimli::DW_FORM_addr => Value::Address(cursor.number(encoding.address)?),
        gimli::DW_FORM_data1 | gimli::DW_FORM_flag => Value::Number(cursor.u8()?.into()),
        gimli::DW_FORM_data2 => Value::Number(cursor.u16()?.into()),
        // Before DWARF 4, offsets into sections have these forms as well. The caller knows which
        // kind it expects.
        gimli::DW_FORM_data4 => Value::Number(cursor.u32()?.into()),
        gimli::DW_FORM_data8 => Value::Number(cursor.u64()?),
        gimli::DW_FORM_udata => Value::Number(cursor.uleb()?),
        gimli::DW_FORM_sdata => Value::Number(cursor.sleb()? as u64),
        gimli::DW_FORM_flag_present => Value::Number(1),
        gimli::DW_FORM_implicit_const => Value::Number(implicit as u64),
        gimli::DW_FORM_ref1 => Value::UnitReference(cursor.u8()?.into()),
        gimli::DW_FORM_ref2 => Value::UnitReference(cursor.u16()?.into()),
        gimli::DW_FORM_ref4 => Value::UnitReference(cursor.offset(4)?),
        gimli::DW_FORM_ref8 => Value::UnitReference(cursor.offset(8)?),
        gimli::DW_FORM_ref_udata => Value::UnitReference(usize::try_from(cursor.uleb()?).ok()?),
        gimli::DW_FORM_ref_addr if encoding.version < 3 => {
            Value::Reference(cursor.offset(encoding.address)?)
        }
        gimli::DW_FORM_ref_addr => Value::Reference(cursor.offset(encoding.offset)?),
        gimli::DW_FORM_GNU_ref_alt => Value::SharedReference(cursor.offset(encoding.offset)?),
        gimli::DW_FORM_ref_sup4 => Value::SharedReference(cursor.offset(4)?),
        gimli::DW_FORM_ref_sup8 => Value::SharedReference(cursor.offset(8)?),
        gimli::DW_FORM_sec_offset => Value::Offset(cursor.offset(encoding.offset)?),
        gimli::DW_FORM_rnglistx => Value::ListIndex(cursor.uleb()?),
        gimli::DW_FORM_string => Value::Text(cursor.text()?),
        gimli::DW_FORM_strp => Value::StrOffset(cursor.offset(encoding.offset)?),
        gimli::DW_FORM_line_strp => Value::LineStrOffset(cursor.offset(encoding.offset)?),
        gimli::DW_FORM_strp_sup | gimli::DW_FORM_GNU_strp_alt => {
            Value::SharedStrOffset(cursor.offset(encoding.offset)?)
        }
        gimli::DW_FORM_strx | gimli::DW_FORM_GNU_str_index => Value::StrIndex(cursor.uleb()?),
        gimli::DW_FORM_strx1 => Value::StrIndex(cursor.number(1)?),
        gimli::DW_FORM_strx2 => Value::StrIndex(cursor.number(2)?),
        gimli::DW_FORM_strx3 => Value::StrIndex(cursor.number(3)?),
        gimli::DW_FORM_strx4 => Value::StrIndex(cursor.number(4)?),
        gimli::DW_FORM_addrx | gimli::DW_FORM_GNU_addr_index => Value::AddressIndex(cursor.uleb()?),
        gimli::DW_FORM_addrx1 => Value::AddressIndex(cursor.number(1)?),
        gimli::DW_FORM_addrx2 => Value::AddressIndex(cursor.number(2)?),
        gimli::DW_FORM_addrx3 => Value::AddressIndex(cursor.number(3)?),
        gimli::DW_FORM_addrx4 => Value::AddressIndex(cursor.number(4)?),
        gimli::DW_FORM_indirect => {
            let form = direct(cursor)?;
            return read(cursor, form, 0, encoding);
        }
        _ => {
            skip(cursor, form, encoding)?;
            Value::Other
        }
    })
}

impl Value<'_> {
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Returns the value as an offset into the section that belongs to the attribute.
    pub(super) fn section_offset(self) -> Option<usize> {
        match self {
            Self::Offset(offset) => Some(offset),
            Self::Number(number) => usize::try_from(number).ok(),
            _ => None,
        }
    }
}
