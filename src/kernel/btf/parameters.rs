// SPDX-License-Identifier: BSD-2-Clause
//! Parameters of function types that typedefs name, such as those of raw tracepoints.

use super::format::{BtfKind, read_u32};
use super::parse::{Btf, Type};

/// A parameter of a function type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its size in bytes, at most 8.
    pub size: u32,
    /// Whether it is a pointer.
    pub is_pointer: bool,
    /// Whether it is a signed integer.
    pub is_signed: bool,
}

/// Encoding bits of an integer type.
const INT_SIGNED: u32 = 1;

impl Btf {
    /// Iterates over the names of all typedefs of this BTF, without its base.
    pub(crate) fn typedefs(&self) -> impl Iterator<Item = &str> {
        let is_typedef = |id: &u32| {
            self.typ(*id)
                .is_some_and(|typ| typ.kind == BtfKind::Typedef)
        };
        self.own_ids().filter(is_typedef).map(|id| self.name(id))
    }

    /// Returns the parameters of the function type that a typedef of a pointer to it names.
    pub(crate) fn parameters_of_typedef(&self, name: &str) -> Option<Vec<Parameter>> {
        let typedef = self.typedef_id(name)?;
        let pointer = self.typ(self.skip_names(typedef)?)?;
        let proto = self.typ(pointer.size_or_type)?;
        if pointer.kind != BtfKind::Ptr || proto.kind != BtfKind::FuncProto {
            return None;
        }
        let parameter = |bytes: &[u8]| {
            let typ = self.typ(self.skip_names(read_u32(bytes, 4)?)?)?;
            Some(Parameter {
                name: self.string(read_u32(bytes, 0)?).to_owned(),
                size: size_of(&typ),
                is_pointer: typ.kind == BtfKind::Ptr,
                is_signed: is_signed(&typ),
            })
        };
        proto.payload.chunks_exact(8).map(parameter).collect()
    }
}

fn size_of(typ: &Type<'_>) -> u32 {
    match typ.kind {
        BtfKind::Int | BtfKind::Enum | BtfKind::Enum64 => typ.size_or_type.clamp(1, 8),
        _ => 8,
    }
}

fn is_signed(typ: &Type<'_>) -> bool {
    match typ.kind {
        BtfKind::Int => read_u32(typ.payload, 0).is_some_and(|word| word >> 24 & INT_SIGNED != 0),
        BtfKind::Enum => typ.flag,
        _ => false,
    }
}
