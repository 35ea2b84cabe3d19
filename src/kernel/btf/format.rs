// SPDX-License-Identifier: BSD-2-Clause
//! The layout of BTF: header, type records, and the length of each record.
//!
//! An info word has the number of elements in bits 0 to 23, the kind in bits 24 to 30, and a flag.
//! Before 7.2 (f7a6b9eaff3e, "bpf: Extend BTF UAPI vlen, kinds to use unused bits") the number was
//! in bits 0 to 15 and the kind in bits 24 to 28. The other bits were 0, so the wide masks fit
//! both.

use std::ops::Range;

use anyhow::{Context, Result, bail};

const MAGIC: u16 = 0xeb9f;

/// Size in bytes of `struct btf_type`, without the payload of its kind.
pub(super) const RECORD_SIZE: usize = 12;

/// The kind of a type (`BTF_KIND_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BtfKind {
    Int,
    Ptr,
    Array,
    Struct,
    Union,
    Enum,
    Fwd,
    Typedef,
    Volatile,
    Const,
    Restrict,
    Func,
    FuncProto,
    Var,
    DataSec,
    Float,
    DeclTag,
    TypeTag,
    Enum64,
}

impl BtfKind {
    /// The kind in an info word; `None` if this program does not know it.
    pub(super) fn of(info: u32) -> Option<Self> {
        Some(match kind_number(info) {
            1 => Self::Int,
            2 => Self::Ptr,
            3 => Self::Array,
            4 => Self::Struct,
            5 => Self::Union,
            6 => Self::Enum,
            7 => Self::Fwd,
            8 => Self::Typedef,
            9 => Self::Volatile,
            10 => Self::Const,
            11 => Self::Restrict,
            12 => Self::Func,
            13 => Self::FuncProto,
            14 => Self::Var,
            15 => Self::DataSec,
            16 => Self::Float,
            17 => Self::DeclTag,
            18 => Self::TypeTag,
            19 => Self::Enum64,
            _ => return None,
        })
    }

    /// Size in bytes of the payload after the record, for `vlen` elements.
    pub(super) fn payload(self, vlen: usize) -> usize {
        match self {
            Self::Int | Self::Var | Self::DeclTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::DataSec | Self::Enum64 => 12 * vlen,
            Self::Enum | Self::FuncProto => 8 * vlen,
            _ => 0,
        }
    }
}

/// Number of members, parameters or values in an info word.
pub(super) fn vlen(info: u32) -> usize {
    (info & 0x00ff_ffff) as usize
}

/// The kind flag in an info word. Its meaning depends on the kind (signed, for enums).
pub(super) fn kind_flag(info: u32) -> bool {
    info >> 31 != 0
}

/// The number of the kind in an info word, whether this program knows the kind or not.
pub(super) fn kind_number(info: u32) -> u32 {
    (info >> 24) & 0x7f
}

/// Byte ranges of the sections.
pub(super) struct Sections {
    pub(super) types: Range<usize>,
    pub(super) strings: Range<usize>,
    /// The record lengths of each kind. Empty before 7.1 (222edc843c15, "btf: Add BTF kind layout
    /// encoding to UAPI").
    layout: Range<usize>,
}

/// Size in bytes of `struct btf_layout`: bytes after the record, bytes per element, flags.
const LAYOUT_SIZE: usize = 4;

impl Sections {
    /// Size in bytes of the payload of a kind that this program does not know; `None` if the kernel
    /// does not give it.
    pub(super) fn payload_of_unknown(&self, bytes: &[u8], info: u32) -> Option<usize> {
        let layout = bytes.get(self.layout.clone())?;
        let at = kind_number(info) as usize * LAYOUT_SIZE;
        let [info_bytes, element_bytes, ..] = *layout.get(at..at + LAYOUT_SIZE)? else {
            return None;
        };
        let elements = usize::from(element_bytes).checked_mul(vlen(info))?;
        elements.checked_add(info_bytes.into())
    }
}

/// Reads the header, and checks that the types and the strings are within the bytes.
pub(super) fn sections(bytes: &[u8]) -> Result<Sections> {
    let magic = bytes.first_chunk().map(|&magic| u16::from_le_bytes(magic));
    match magic {
        Some(MAGIC) => {}
        Some(other) if other.swap_bytes() == MAGIC => {
            bail!("the type information is of a big-endian kernel");
        }
        _ => bail!("not type information: no BTF magic at its start"),
    }
    let field = |at| read_u32(bytes, at).context("the BTF header is cut short");
    let body = field(4)? as usize;
    let section = |offset: usize, length: usize| {
        let start = body.checked_add(offset)?;
        let end = start.checked_add(length)?;
        (end <= bytes.len()).then_some(start..end)
    };
    let types = section(field(8)? as usize, field(12)? as usize);
    let strings = section(field(16)? as usize, field(20)? as usize);
    let (Some(types), Some(strings)) = (types, strings) else {
        bail!("a BTF section reaches beyond the end of the bytes");
    };
    // Headers of 32 bytes and more have the layout (222edc843c15, "btf: Add BTF kind layout
    // encoding to UAPI"). Without it, only unknown kinds are lost.
    let layout = match body {
        32.. => section(field(24)? as usize, field(28)? as usize),
        _ => None,
    };
    Ok(Sections {
        types,
        strings,
        layout: layout.unwrap_or_default(),
    })
}

/// Reads the little-endian word at `at`; `None` beyond the end.
pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?.first_chunk()?;
    Some(u32::from_le_bytes(*word))
}
