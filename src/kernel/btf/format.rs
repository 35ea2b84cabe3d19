// SPDX-License-Identifier: BSD-2-Clause
//! The layout of BTF: header, type records, how long each is.

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
        Some(match (info >> 24) & 0x1f {
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
    (info & 0xffff) as usize
}

/// The flag whose meaning depends on the kind (signed, for enums).
pub(super) fn kind_flag(info: u32) -> bool {
    info >> 31 != 0
}

/// Where the two sections lie in the bytes.
pub(super) struct Sections {
    pub(super) types: Range<usize>,
    pub(super) strings: Range<usize>,
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
    Ok(Sections { types, strings })
}

/// The little-endian word at `at`.
pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?.first_chunk()?;
    Some(u32::from_le_bytes(*word))
}
