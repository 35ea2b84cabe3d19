// SPDX-License-Identifier: BSD-2-Clause
//! Determines how a function's result is interpreted: by its BTF return type, and by two tables for
//! functions whose type is not sufficient.

use super::format::BtfKind;
use super::helpers::helper_result;
use super::known::returns_errno_as_ulong;
use super::parse::{Btf, Type};
use super::prototype::is_name_or_qualifier;
use crate::knowledge::results::SECCOMP_FILTERS;
use crate::spec::{FilterResult, ResultType, base_name};

/// Maximum length of a chain of typedefs and qualifiers. A longer one is treated as a cycle.
const MAX_HOPS: usize = 64;

/// Encoding bits of an integer type.
const INT_SIGNED: u32 = 1;
const INT_BOOL: u32 = 4;

impl Btf {
    /// How the result of the function with this id and name is interpreted.
    ///
    /// The name is a parameter because a clone (`f.isra.0`) is judged by the function of its base
    /// name.
    #[must_use]
    pub fn result_type(&self, name: &str, func: u32) -> ResultType {
        let Some(declared) = self.declared_result(func) else {
            return ResultType::Unknown;
        };
        if base_name(name) == SECCOMP_FILTERS {
            return filter_result(declared);
        }
        if declared != ResultType::Unsigned(8) {
            return declared;
        }
        if let Some(helper) = helper_result(name) {
            helper
        } else if returns_errno_as_ulong(name) {
            ResultType::UlongErrno
        } else {
            declared
        }
    }

    fn declared_result(&self, func: u32) -> Option<ResultType> {
        let func = self.typ(func).filter(|typ| typ.kind == BtfKind::Func)?;
        let proto = self
            .typ(func.size_or_type)
            .filter(|typ| typ.kind == BtfKind::FuncProto)?;
        Some(self.value_type(proto.size_or_type))
    }

    fn value_type(&self, mut id: u32) -> ResultType {
        for _ in 0..MAX_HOPS {
            if id == 0 {
                return ResultType::Void;
            }
            let Some(typ) = self.typ(id) else {
                return ResultType::Unknown;
            };
            if !is_name_or_qualifier(typ.kind) {
                return by_kind(&typ);
            }
            if typ.kind == BtfKind::Typedef {
                match self.string(typ.name_offset) {
                    "blk_status_t" => return ResultType::BlkStatus,
                    "vm_fault_t" => return ResultType::VmFault,
                    _ => {}
                }
            }
            id = typ.size_or_type;
        }
        ResultType::Unknown
    }
}

/// Since 7.3, as seen there, it is a truth value.
fn filter_result(declared: ResultType) -> ResultType {
    match declared {
        ResultType::Signed(4) => ResultType::Filter(FilterResult::MinusOne),
        ResultType::Bool => ResultType::Filter(FilterResult::False),
        other => other,
    }
}

fn by_kind(typ: &Type<'_>) -> ResultType {
    let size = u8::try_from(typ.size_or_type).unwrap_or(u8::MAX);
    match typ.kind {
        BtfKind::Ptr => ResultType::Pointer,
        BtfKind::Int => integer(typ.payload, size),
        // Unsigned ones too, because functions return `-errno` through an `enum` anyway.
        BtfKind::Enum if size == 4 => ResultType::Signed(4),
        BtfKind::Enum | BtfKind::Enum64 if typ.flag => signed(size),
        BtfKind::Enum | BtfKind::Enum64 => unsigned(size),
        // A small struct is returned in the result register, but it is not an errno.
        BtfKind::Struct | BtfKind::Union if size <= 8 => ResultType::Unsigned(8),
        _ => ResultType::Void,
    }
}

fn integer(payload: &[u8], size: u8) -> ResultType {
    let encoding = payload
        .first_chunk()
        .map_or(0, |&word| u32::from_le_bytes(word) >> 24);
    if encoding & INT_BOOL != 0 {
        ResultType::Bool
    } else if encoding & INT_SIGNED != 0 {
        signed(size)
    } else {
        unsigned(size)
    }
}

/// A value wider than the result register cannot be judged and counts as no result.
fn signed(size: u8) -> ResultType {
    if matches!(size, 1 | 2 | 4 | 8) {
        ResultType::Signed(size)
    } else {
        ResultType::Void
    }
}

fn unsigned(size: u8) -> ResultType {
    if matches!(size, 1 | 2 | 4 | 8) {
        ResultType::Unsigned(size)
    } else {
        ResultType::Void
    }
}
