// SPDX-License-Identifier: BSD-2-Clause
//! The layout of BTF: header, type records, how long each is.
//!
//! An info word has the number of elements in bits 0 to 23, the kind in bits 24 to 30, and a flag.
//! Before 7.2 (f7a6b9eaff3e, "bpf: Extend BTF UAPI vlen, kinds to use unused bits") the number was
//! in bits 0 to 15, the kind in bits 24 to 28, and the other bits were 0: the wide masks read both.

use std::ops::Range;

use anyhow::{Context, Result, bail};

const MAGIC: u16 = 0xeb9f;

/// Size of `struct btf_type`, before what its kind appends.
pub(super) const RECORD: usize = 12;

/// What a type is (`BTF_KIND_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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

impl Kind {
    /// The kind in an `info` word; `None` for one that this program does not know.
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

    /// Bytes that follow the record, for `vlen` elements.
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

/// Number of members, parameters or values.
pub(super) fn vlen(info: u32) -> usize {
    (info & 0x00ff_ffff) as usize
}

/// The flag whose meaning depends on the kind (signed, for enums).
pub(super) fn kind_flag(info: u32) -> bool {
    info >> 31 != 0
}

/// The number of a kind, known or not.
pub(super) fn kind_number(info: u32) -> u32 {
    (info >> 24) & 0x7f
}

/// Where the sections lie in the bytes.
pub(super) struct Sections {
    pub(super) types: Range<usize>,
    pub(super) strings: Range<usize>,
    /// How long the records of each kind are. Empty before 7.1 (222edc843c15, "btf: Add BTF kind
    /// layout encoding to UAPI").
    layout: Range<usize>,
}

/// Bytes of `struct btf_layout`: those behind the record, those of an element, flags.
const LAYOUT: usize = 4;

impl Sections {
    /// Bytes that follow a record of a kind that this program does not know; `None` where the
    /// bytes do not tell.
    pub(super) fn payload_of_unknown(&self, bytes: &[u8], info: u32) -> Option<usize> {
        let layout = bytes.get(self.layout.clone())?;
        let at = kind_number(info) as usize * LAYOUT;
        let [info_bytes, element_bytes, ..] = *layout.get(at..at + LAYOUT)? else {
            return None;
        };
        let elements = usize::from(element_bytes).checked_mul(vlen(info))?;
        elements.checked_add(info_bytes.into())
    }
}

/// Reads the header and checks that both sections lie within the bytes.
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
    // The layout is in headers of 32 bytes and more (462733ec, "btf: Add BTF kind layout encoding to
    // UAPI"). Without it nothing is lost but kinds that are not known.
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

/// The little-endian word at `at`.
pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?.first_chunk()?;
    Some(u32::from_le_bytes(*word))
}
