// SPDX-License-Identifier: BSD-2-Clause
//! Decides by its prototype whether a trampoline (fentry, fexit) can be attached to a function.
//!
//! The rules are those of the kernel (`btf_distill_func_proto` and the architecture's trampoline
//! generator), as they changed over time. [`FunctionShape`] has the facts, [`TrampolineRules`] the
//! limits of the running kernel, and [`FunctionShape::obstacle`] decides.

use super::format::{BtfKind, read_u32};
use super::parse::Btf;
use crate::kernel::arch::max_arg_slots;
use crate::kernel::version::KernelVersion;

/// Maximum length of a chain of typedefs and qualifiers. A longer one is treated as a cycle.
pub(super) const MAX_HOPS: usize = 64;

/// `MAX_BPF_FUNC_ARGS` of the kernel.
const MAX_ARGS: u16 = 12;

/// Size of an argument slot in bytes.
const ARG_SLOT_SIZE: u32 = 8;

/// The properties of a prototype that matter for trampolines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionShape {
    /// Number of parameters.
    pub args: u16,
    /// Number of 8-byte slots of the parameters. A struct of up to 16 bytes takes one or two.
    pub arg_slots: u16,
    /// Whether the prototype ends in `...`.
    pub variadic: bool,
    /// Whether it returns a struct or union by value.
    pub struct_result: bool,
    /// The least supported kind among its parameters.
    pub hardest_arg: ArgKind,
}

/// Kinds of parameters, from the best to the least supported one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArgKind {
    /// A pointer, or an integer or enum of at most 8 bytes.
    #[default]
    Scalar,
    /// A struct of at most 16 bytes, by value.
    SmallStruct,
    /// A kind that no trampoline supports: larger than 16 bytes, a union, a float.
    Odd,
}

/// The limits of the running kernel's trampolines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrampolineRules {
    /// Maximum number of argument slots.
    pub max_slots: u16,
    /// Whether structs by value are supported: since 6.1 (720e6a435194).
    pub struct_args: StructArgs,
}

impl TrampolineRules {
    /// Determines the rules of the kernel with these types and this version.
    #[must_use]
    pub fn of(btf: &Btf, version: KernelVersion) -> Self {
        // This member was added with struct arguments in 6.1 (720e6a435194, "bpf: Allow struct
        // argument in trampoline based programs").
        let struct_args = if btf.has_member("btf_func_model", "arg_flags") {
            StructArgs::Taken
        } else {
            StructArgs::Refused
        };
        Self {
            max_slots: max_arg_slots(version),
            struct_args,
        }
    }
}

/// Whether trampolines support structs by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructArgs {
    /// Up to 16 bytes each. Since 6.1 (720e6a435194, "bpf: Allow struct argument in trampoline
    /// based programs").
    Taken,
    /// Not supported.
    Refused,
}

/// Why no trampoline can be attached to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrampolineObstacle {
    /// BTF has no function with this symbol name.
    NoPrototype,
    /// Its prototype ends in `...`.
    Variadic,
    /// It returns a struct or union by value.
    StructResult,
    /// It has more arguments than this kernel's trampolines save.
    TooManyArgs,
    /// It takes a struct by value, and this kernel is older than 6.1 (720e6a435194).
    StructArg,
    /// It takes an argument that is larger than 16 bytes, a union or a float.
    OddArg,
}

impl TrampolineObstacle {
    /// Completes the sentence "a trampoline cannot take it: …".
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::NoPrototype => "the kernel has no type information for this symbol",
            Self::Variadic => "it takes a variable number of arguments",
            Self::StructResult => "it returns a struct by value",
            Self::TooManyArgs => "it has too many arguments",
            Self::StructArg => "it takes a struct by value, which kernels before 6.1 refuse",
            Self::OddArg => "it takes an argument of a kind that trampolines cannot pass on",
        }
    }
}

impl FunctionShape {
    /// Why no trampoline of a kernel with these rules can be attached; `None` if one can.
    #[must_use]
    pub fn obstacle(&self, rules: TrampolineRules) -> Option<TrampolineObstacle> {
        if self.variadic {
            Some(TrampolineObstacle::Variadic)
        } else if self.struct_result {
            Some(TrampolineObstacle::StructResult)
        } else if self.hardest_arg == ArgKind::Odd {
            Some(TrampolineObstacle::OddArg)
        } else if self.hardest_arg == ArgKind::SmallStruct
            && rules.struct_args == StructArgs::Refused
        {
            Some(TrampolineObstacle::StructArg)
        } else if self.args > MAX_ARGS || self.arg_slots > rules.max_slots {
            Some(TrampolineObstacle::TooManyArgs)
        } else {
            None
        }
    }
}

impl Btf {
    /// The shape of the function with this id; `None` if it is not a function.
    #[must_use]
    pub fn shape(&self, func: u32) -> Option<FunctionShape> {
        let func = self.typ(func).filter(|typ| typ.kind == BtfKind::Func)?;
        let proto = self
            .typ(func.size_or_type)
            .filter(|typ| typ.kind == BtfKind::FuncProto)?;
        let mut shape = FunctionShape {
            struct_result: self.is_struct(proto.size_or_type),
            ..FunctionShape::default()
        };
        for parameter in proto.payload.chunks_exact(8) {
            match read_u32(parameter, 4)? {
                0 => shape.variadic = true,
                typ => self.add_argument(&mut shape, typ),
            }
        }
        Some(shape)
    }

    fn add_argument(&self, shape: &mut FunctionShape, typ: u32) {
        let (slots, kind) = match self.resolve(typ) {
            Some((BtfKind::Ptr, _)) => (1, ArgKind::Scalar),
            Some((BtfKind::Int | BtfKind::Enum | BtfKind::Enum64, 1..=ARG_SLOT_SIZE)) => {
                (1, ArgKind::Scalar)
            }
            Some((BtfKind::Struct, size @ 1..=16)) => {
                (size.div_ceil(ARG_SLOT_SIZE) as u16, ArgKind::SmallStruct)
            }
            _ => (1, ArgKind::Odd),
        };
        shape.args = shape.args.saturating_add(1);
        shape.arg_slots = shape.arg_slots.saturating_add(slots);
        shape.hardest_arg = shape.hardest_arg.max(kind);
    }

    /// Number of 8-byte slots that a parameter of this type takes.
    pub(super) fn slots(&self, typ: u32) -> u16 {
        match self.resolve(typ) {
            Some((BtfKind::Struct, size @ 1..=16)) => size.div_ceil(ARG_SLOT_SIZE) as u16,
            _ => 1,
        }
    }

    fn is_struct(&self, typ: u32) -> bool {
        matches!(
            self.resolve(typ),
            Some((BtfKind::Struct | BtfKind::Union, _))
        )
    }

    /// Kind and size of a type without its typedefs and qualifiers. The size of a pointer is 0.
    fn resolve(&self, id: u32) -> Option<(BtfKind, u32)> {
        let id = self.skip_names(id)?;
        let typ = self.typ(id)?;
        let size = if typ.kind == BtfKind::Ptr {
            0
        } else {
            typ.size_or_type
        };
        Some((typ.kind, size))
    }

    /// The id without typedefs and qualifiers; `None` if the chain is too long.
    pub(super) fn skip_names(&self, mut id: u32) -> Option<u32> {
        for _ in 0..MAX_HOPS {
            match self.typ(id).map(|typ| (typ.kind, typ.size_or_type)) {
                Some((kind, next)) if is_name_or_qualifier(kind) => id = next,
                _ => return Some(id),
            }
        }
        None
    }
}

/// Kinds that only add a name or a qualifier to another type.
pub(super) fn is_name_or_qualifier(kind: BtfKind) -> bool {
    matches!(
        kind,
        BtfKind::Typedef
            | BtfKind::Const
            | BtfKind::Volatile
            | BtfKind::Restrict
            | BtfKind::TypeTag
    )
}
