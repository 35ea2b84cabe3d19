// SPDX-License-Identifier: BSD-2-Clause
//! Parameters of functions, and of function types that typedefs name, such as those of raw
//! tracepoints.

use super::format::{BtfKind, read_u32};
use super::parse::{Btf, Type};
use super::prototype::{MAX_HOPS, is_name_or_qualifier};
use crate::spec::{MAX_ARGUMENT_WORDS, Parameter as FunctionParameter, ParameterKind};

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
const INT_BOOL: u32 = 4;

/// Maximum size in bytes of a struct that is passed in registers.
const MAX_IN_REGISTERS: u32 = 16;

/// The word of an argument that is not kept.
const NOT_KEPT: u8 = u8::MAX;

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

impl Btf {
    /// Returns the parameters of a function; `None` if the id is of no function.
    #[must_use]
    pub fn parameters(&self, func: u32) -> Option<Vec<FunctionParameter>> {
        let func = self.typ(func).filter(|typ| typ.kind == BtfKind::Func)?;
        let proto = self.typ(func.size_or_type)?;
        if proto.kind != BtfKind::FuncProto {
            return None;
        }
        let mut parameters = Vec::new();
        let mut word = 0;
        for bytes in proto.payload.chunks_exact(8) {
            let id = read_u32(bytes, 4)?;
            // Further arguments of a variadic function have no types.
            let Some(kind) = (id != 0).then(|| self.parameter_kind(id)).flatten() else {
                break;
            };
            let n_words = self.words_of(id);
            let is_kept = n_words.is_some_and(|n_words| word + n_words <= MAX_ARGUMENT_WORDS);
            parameters.push(FunctionParameter {
                name: self.string(read_u32(bytes, 0)?).to_owned(),
                word: if is_kept { word as u8 } else { NOT_KEPT },
                kind,
            });
            // What is passed on the stack takes no register, so where the next ones are is not known.
            word = match n_words.filter(|_| is_kept) {
                Some(n_words) => word + n_words,
                None => MAX_ARGUMENT_WORDS,
            };
        }
        Some(parameters)
    }

    /// Number of words that an argument of this type takes; `None` if it is passed on the stack.
    fn words_of(&self, id: u32) -> Option<usize> {
        let typ = self.typ(self.skip_names(id)?)?;
        match typ.kind {
            BtfKind::Ptr => Some(1),
            _ if typ.size_or_type > MAX_IN_REGISTERS => None,
            _ => Some(typ.size_or_type.div_ceil(8) as usize),
        }
    }

    fn parameter_kind(&self, id: u32) -> Option<ParameterKind> {
        let typ = self.typ(self.skip_names(id)?)?;
        let size = size_of(&typ) as u8;
        Some(match typ.kind {
            BtfKind::Ptr if self.is_constant_text(typ.size_or_type) => ParameterKind::Text,
            BtfKind::Ptr => ParameterKind::Pointer,
            BtfKind::Int if encoding(&typ) & INT_BOOL != 0 => ParameterKind::Bool,
            BtfKind::Int | BtfKind::Enum64 if is_signed(&typ) => ParameterKind::Signed(size),
            BtfKind::Int | BtfKind::Enum64 => ParameterKind::Unsigned(size),
            BtfKind::Enum => ParameterKind::Enum(self.enumerators(typ.payload)?),
            BtfKind::Struct | BtfKind::Union => ParameterKind::Struct,
            _ => return None,
        })
    }

    /// Whether the type is `const char`. What points to other characters may be a buffer that is
    /// written to.
    fn is_constant_text(&self, mut id: u32) -> bool {
        let mut is_constant = false;
        for _ in 0..MAX_HOPS {
            let Some(typ) = self.typ(id) else {
                return false;
            };
            if !is_name_or_qualifier(typ.kind) {
                let is_character = typ.kind == BtfKind::Int && typ.size_or_type == 1;
                return is_constant && is_character && encoding(&typ) & INT_BOOL == 0;
            }
            // `const u8 *` is a buffer.
            if typ.kind == BtfKind::Typedef {
                return false;
            }
            is_constant |= typ.kind == BtfKind::Const;
            id = typ.size_or_type;
        }
        false
    }
}

fn encoding(typ: &Type<'_>) -> u32 {
    read_u32(typ.payload, 0).map_or(0, |word| word >> 24)
}

fn size_of(typ: &Type<'_>) -> u32 {
    match typ.kind {
        BtfKind::Int | BtfKind::Enum | BtfKind::Enum64 => typ.size_or_type.clamp(1, 8),
        _ => 8,
    }
}

fn is_signed(typ: &Type<'_>) -> bool {
    match typ.kind {
        BtfKind::Int => encoding(typ) & INT_SIGNED != 0,
        BtfKind::Enum | BtfKind::Enum64 => typ.flag,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::builder::Builder;

    #[test]
    fn parameters_have_their_kinds_and_words() {
        let mut types = Builder::kernel();
        let int = types.int("int", 4, 1);
        let bool = types.int("_Bool", 1, 4);
        let char = types.int("char", 1, 0);
        let size = types.int("unsigned long", 8, 0);
        let size_t = types.typedef("size_t", size);
        let byte = types.typedef("u8", char);
        let const_char = types.raw(10, "", 0, char);
        let const_byte = types.raw(10, "", 0, byte);
        let text = types.pointer(const_char);
        let bytes = types.pointer(const_byte);
        let buffer = types.pointer(char);
        let pair = types.raw(4, "pair", 0, 16);
        let mode = types.enumeration("mode", &[("CREATE", 0), ("REPLACE", 1)]);
        let func = types.named_func(
            "f",
            int,
            &[
                ("name", text),
                ("pair", pair),
                ("flags", int),
                ("size", size_t),
                ("excl", bool),
                ("mode", mode),
                ("bytes", bytes),
                ("buffer", buffer),
                ("", 0),
            ],
        );
        // On the stack, as it is too large, or as there are not enough registers left.
        let large = types.raw(4, "large", 0, 24);
        let large = [("at", text), ("large", large), ("flags", int)];
        let with_large = types.named_func("g", int, &large);
        let pairs = [
            ("a", pair),
            ("b", pair),
            ("c", int),
            ("d", int),
            ("e", pair),
            ("f", int),
        ];
        let with_late = types.named_func("h", int, &pairs);
        let btf = Btf::parse(types.build(), None).unwrap();
        let enumerators = vec![(0, "CREATE".to_owned()), (1, "REPLACE".to_owned())];
        let expected = [
            ("name", 0, ParameterKind::Text),
            ("pair", 1, ParameterKind::Struct),
            ("flags", 3, ParameterKind::Signed(4)),
            ("size", 4, ParameterKind::Unsigned(8)),
            ("excl", 5, ParameterKind::Bool),
            ("mode", NOT_KEPT, ParameterKind::Enum(enumerators)),
            ("bytes", NOT_KEPT, ParameterKind::Pointer),
            ("buffer", NOT_KEPT, ParameterKind::Pointer),
        ];
        let parameters = btf.parameters(func).unwrap();
        let found = parameters
            .iter()
            .map(|parameter| (&*parameter.name, parameter.word, parameter.kind.clone()));
        assert_eq!(Vec::from_iter(found), expected);
        let words = |func| {
            let parameters = btf.parameters(func).unwrap();
            Vec::from_iter(parameters.iter().map(|parameter| parameter.word))
        };
        assert_eq!(words(with_large), [0, NOT_KEPT, NOT_KEPT]);
        assert_eq!(words(with_late), [0, 2, 4, 5, NOT_KEPT, NOT_KEPT]);
        assert_eq!(btf.parameters(int), None);
        assert_eq!(btf.parameters(u32::MAX), None);
    }
}
