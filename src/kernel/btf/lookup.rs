// SPDX-License-Identifier: BSD-2-Clause
//! Lookups of types, members, enum values and functions by name.

use super::format::{BtfKind, read_u32};
use super::parse::{Btf, Type};

/// Maximum nesting depth of anonymous members. A deeper one is treated as a cycle.
const MAX_NESTING: u8 = 16;

/// Members that a search looks at. The kernel's largest structs have some hundreds. A damaged
/// struct that contains itself several times would take a minute.
const MAX_MEMBERS: u32 = 1 << 16;

/// A search for a member of a struct, and of the anonymous structs and unions in it.
#[derive(Default)]
struct Search {
    nesting: u8,
    n_members: u32,
}

impl Btf {
    /// Whether a struct, union, enum or typedef has this name.
    #[must_use]
    pub fn has_type(&self, name: &str) -> bool {
        let kinds = [
            BtfKind::Struct,
            BtfKind::Union,
            BtfKind::Enum,
            BtfKind::Enum64,
            BtfKind::Typedef,
            BtfKind::Fwd,
        ];
        self.named(name).iter().any(|typ| kinds.contains(&typ.kind))
    }

    /// Size of a struct or union in bytes; `None` if there is none.
    #[must_use]
    pub fn type_size(&self, name: &str) -> Option<u32> {
        let types = self.named(name);
        let has_members = |typ: &&Type<'_>| matches!(typ.kind, BtfKind::Struct | BtfKind::Union);
        types.iter().find(has_members).map(|typ| typ.size_or_type)
    }

    /// Whether a struct or union has a member. Members of its anonymous parts count too.
    #[must_use]
    pub fn has_member(&self, structure: &str, member: &str) -> bool {
        let (types, mut search) = (self.named(structure), Search::default());
        types
            .iter()
            .any(|typ| self.bit_offset(typ, member, &mut search).is_some())
    }

    /// The value of an enumerator; `None` if the enum does not have it.
    #[must_use]
    pub fn enum_value(&self, enumeration: &str, value: &str) -> Option<i64> {
        self.named(enumeration)
            .iter()
            .find_map(|typ| match typ.kind {
                BtfKind::Enum => elements(typ, 8).find_map(|element| {
                    let number = word(element, 4)?;
                    let number = if typ.flag {
                        i64::from(number as i32)
                    } else {
                        number.into()
                    };
                    (self.string(word(element, 0)?) == value).then_some(number)
                }),
                BtfKind::Enum64 => elements(typ, 12).find_map(|element| {
                    let number = u64::from(word(element, 8)?) << 32 | u64::from(word(element, 4)?);
                    (self.string(word(element, 0)?) == value).then_some(number as i64)
                }),
                _ => None,
            })
    }

    /// Offset of a member of a struct or union in bytes; `None` if there is none. Members of
    /// anonymous parts count too.
    #[must_use]
    pub fn member_offset(&self, structure: &str, member: &str) -> Option<u32> {
        self.member_offsets(structure, [member])
            .map(|[offset]| offset)
    }

    /// Offsets of several members, with a single lookup of the struct; `None` if one is missing.
    #[must_use]
    pub fn member_offsets<const N: usize>(
        &self,
        structure: &str,
        members: [&str; N],
    ) -> Option<[u32; N]> {
        let types = self.named(structure);
        let mut offsets = [0; N];
        for (offset, member) in offsets.iter_mut().zip(members) {
            let mut search = Search::default();
            let bits = types
                .iter()
                .find_map(|typ| self.bit_offset(typ, member, &mut search))?;
            *offset = bits / 8;
        }
        Some(offsets)
    }

    /// The id of a function; `None` if this BTF (without its base) has none.
    #[must_use]
    pub fn func_id(&self, name: &str) -> Option<u32> {
        self.named_id(name, BtfKind::Func)
    }

    /// The name of the function with this id; `None` if it is not a function.
    #[must_use]
    pub fn func_name(&self, func: u32) -> Option<&str> {
        let func = self.typ(func).filter(|typ| typ.kind == BtfKind::Func)?;
        Some(self.string(func.name_offset))
    }

    /// The id of a variable; `None` if this BTF (without its base) has none. BTF has only per-CPU
    /// variables.
    #[must_use]
    pub fn var_id(&self, name: &str) -> Option<u32> {
        self.named_id(name, BtfKind::Var)
    }

    /// The id of a typedef; `None` if this BTF (without its base) has none.
    pub(super) fn typedef_id(&self, name: &str) -> Option<u32> {
        self.named_id(name, BtfKind::Typedef)
    }

    /// The id of a struct; `None` if this BTF (without its base) has none.
    pub(super) fn struct_id(&self, name: &str) -> Option<u32> {
        self.named_id(name, BtfKind::Struct)
    }

    /// Type and offset in bytes of a member of the struct or union with this id, or of its
    /// anonymous parts.
    pub(super) fn member(&self, id: u32, member: &str) -> Option<(u32, u32)> {
        let mut search = Search::default();
        let (typ, bits) = self.member_of(&self.typ(id)?, member, &mut search)?;
        Some((typ, bits / 8))
    }

    fn named_id(&self, name: &str, kind: BtfKind) -> Option<u32> {
        let is_kind = |id: u32| self.typ(id).is_some_and(|typ| typ.kind == kind);
        self.ids_named(name).find(|id| is_kind(*id))
    }

    fn bit_offset(&self, typ: &Type<'_>, member: &str, search: &mut Search) -> Option<u32> {
        self.member_of(typ, member, search)
            .map(|(_, offset)| offset)
    }

    /// Type and offset in bits of a member.
    fn member_of(&self, typ: &Type<'_>, member: &str, search: &mut Search) -> Option<(u32, u32)> {
        if !matches!(typ.kind, BtfKind::Struct | BtfKind::Union) || search.nesting == MAX_NESTING {
            return None;
        }
        // If the flag is set, the upper byte of an offset is the size of a bit field.
        let mask = if typ.flag { 0x00ff_ffff } else { u32::MAX };
        elements(typ, 12).find_map(|element| {
            search.n_members += 1;
            if search.n_members > MAX_MEMBERS {
                return None;
            }
            let offset = word(element, 8)? & mask;
            match self.string(word(element, 0)?) {
                "" => {
                    let of = self.typ(word(element, 4)?)?;
                    search.nesting += 1;
                    let inner = self.member_of(&of, member, search);
                    search.nesting -= 1;
                    let (typ, inner) = inner?;
                    Some((typ, offset.checked_add(inner)?))
                }
                name if name == member => Some((word(element, 4)?, offset)),
                _ => None,
            }
        })
    }

    /// The types with a name: those of this BTF first, then those of its base.
    fn named(&self, name: &str) -> Vec<Type<'_>> {
        let mut found = Vec::new();
        let mut btf = Some(self);
        while let Some(level) = btf {
            found.extend(level.ids_named(name).filter_map(|id| level.typ(id)));
            btf = level.base();
        }
        found
    }
}

fn elements<'a>(typ: &Type<'a>, size: usize) -> impl Iterator<Item = &'a [u8]> {
    typ.payload.chunks_exact(size)
}

fn word(element: &[u8], at: usize) -> Option<u32> {
    read_u32(element, at)
}
