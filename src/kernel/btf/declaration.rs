// SPDX-License-Identifier: BSD-2-Clause
//! Formats a function's prototype as a C programmer writes it: `int map_create(union bpf_attr
//! *attr)`.

use super::format::{BtfKind, read_u32};
use super::parse::Btf;

/// Maximum number of types in one prototype, including nested function pointers. A prototype with
/// more is malformed or has a cycle.
const MAX_TYPES: usize = 256;

impl Btf {
    /// Returns the prototype of the function with this id; `None` if it is not a function or is
    /// malformed.
    #[must_use]
    pub fn declaration(&self, func: u32) -> Option<String> {
        let name = self.name(func);
        let func = self.typ(func).filter(|typ| typ.kind == BtfKind::Func)?;
        let mut left = MAX_TYPES;
        self.declare(func.size_or_type, name.to_owned(), &mut left)
    }

    /// Declares `declarator` (a name, possibly with `*`, `[]` or `()`) with this type.
    fn declare(&self, id: u32, declarator: String, left: &mut usize) -> Option<String> {
        *left = left.checked_sub(1)?;
        if id == 0 {
            return Some(join("void", &declarator));
        }
        let typ = self.typ(id)?;
        let of = typ.size_or_type;
        let name = self.string(typ.name_offset);
        match typ.kind {
            BtfKind::Ptr => {
                let wrapped = match self.behind_qualifiers(of) {
                    Some(BtfKind::FuncProto | BtfKind::Array) => format!("(*{declarator})"),
                    _ => format!("*{declarator}"),
                };
                self.declare(of, wrapped, left)
            }
            BtfKind::Array => {
                let count = read_u32(typ.payload, 8)?;
                let element = read_u32(typ.payload, 0)?;
                self.declare(element, format!("{declarator}[{count}]"), left)
            }
            BtfKind::FuncProto => {
                let mut parameters = Vec::new();
                for parameter in typ.payload.chunks_exact(8) {
                    let name = self.string(read_u32(parameter, 0)?);
                    parameters.push(match read_u32(parameter, 4)? {
                        0 => "...".to_owned(),
                        typ => self.declare(typ, name.to_owned(), left)?,
                    });
                }
                let parameters = if parameters.is_empty() {
                    "void".to_owned()
                } else {
                    parameters.join(", ")
                };
                self.declare(of, format!("{declarator}({parameters})"), left)
            }
            BtfKind::Const => self.qualify("const", of, &declarator, left),
            BtfKind::Volatile => self.qualify("volatile", of, &declarator, left),
            BtfKind::Restrict => self.qualify("restrict", of, &declarator, left),
            BtfKind::TypeTag => self.declare(of, declarator, left),
            BtfKind::Struct => Some(join(&tagged("struct", name), &declarator)),
            BtfKind::Union => Some(join(&tagged("union", name), &declarator)),
            BtfKind::Enum | BtfKind::Enum64 => Some(join(&tagged("enum", name), &declarator)),
            BtfKind::Fwd => {
                let keyword = if typ.flag { "union" } else { "struct" };
                Some(join(&tagged(keyword, name), &declarator))
            }
            BtfKind::Int | BtfKind::Float | BtfKind::Typedef => Some(join(name, &declarator)),
            BtfKind::Func | BtfKind::Var | BtfKind::DataSec | BtfKind::DeclTag => None,
        }
    }

    /// A qualifier of a pointer follows the `*`. Any other qualifier comes first.
    fn qualify(&self, word: &str, of: u32, declarator: &str, left: &mut usize) -> Option<String> {
        if self.typ(of).is_some_and(|typ| typ.kind == BtfKind::Ptr) {
            return self.declare(of, join(word, declarator), left);
        }
        let rest = self.declare(of, declarator.to_owned(), left)?;
        Some(join(word, &rest))
    }

    fn behind_qualifiers(&self, mut id: u32) -> Option<BtfKind> {
        for _ in 0..MAX_TYPES {
            let typ = self.typ(id)?;
            match typ.kind {
                BtfKind::Const | BtfKind::Volatile | BtfKind::Restrict | BtfKind::TypeTag => {
                    id = typ.size_or_type;
                }
                kind => return Some(kind),
            }
        }
        None
    }
}

fn tagged(keyword: &str, name: &str) -> String {
    if name.is_empty() {
        format!("{keyword} {{...}}")
    } else {
        format!("{keyword} {name}")
    }
}

fn join(first: &str, second: &str) -> String {
    if second.is_empty() {
        first.to_owned()
    } else {
        format!("{first} {second}")
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::btf::Btf;
    use crate::kernel::btf::builder::Builder;

    #[test]
    fn prototypes_read_as_c_has_them() {
        let mut types = Builder::kernel();
        let int = types.int("int", 4, 1);
        let char = types.int("char", 1, 1);
        let attr = types.raw(5, "bpf_attr", 0, 72);
        let attr_pointer = types.pointer(attr);
        let sockptr = types.typedef("bpfptr_t", attr);
        let const_char = types.raw(10, "", 0, char);
        let text = types.pointer(const_char);
        let const_pointer = types.raw(10, "", 0, attr_pointer);
        let map_create = types.named_func(
            "map_create",
            int,
            &[("attr", attr_pointer), ("uattr", sockptr)],
        );
        let printk = types.named_func("_printk", int, &[("fmt", text), ("", 0)]);
        let nothing = types.named_func("nothing", 0, &[]);
        let fixed = types.named_func("fixed", attr_pointer, &[("at", const_pointer)]);
        let callback = types.raw(13, "", 0, 0);
        let callback = types.pointer(callback);
        let call = types.named_func("call", int, &[("f", callback)]);
        let btf = Btf::parse(types.build(), None).unwrap();
        let text = |id| btf.declaration(id).unwrap();
        assert_eq!(
            text(map_create),
            "int map_create(union bpf_attr *attr, bpfptr_t uattr)"
        );
        assert_eq!(text(printk), "int _printk(const char *fmt, ...)");
        assert_eq!(text(nothing), "void nothing(void)");
        assert_eq!(
            text(fixed),
            "union bpf_attr *fixed(union bpf_attr *const at)"
        );
        assert_eq!(text(call), "int call(void (*f)(void))");
        assert_eq!(btf.declaration(int), None);
        assert_eq!(btf.declaration(9999), None);
    }

    #[test]
    fn a_type_that_contains_itself_ends() {
        let mut types = Builder::kernel();
        // A pointer to itself, and a prototype that takes itself twice.
        let itself = types.raw(2, "", 0, 1);
        let endless = types.named_func("endless", 0, &[("a", itself)]);
        let proto = types.raw(13, "", 2, 0);
        types.parameters(&[("a", proto), ("b", proto)]);
        let wide = types.raw(12, "wide", 1, proto);
        let btf = Btf::parse(types.build(), None).unwrap();
        assert_eq!(btf.declaration(endless), None);
        assert_eq!(btf.declaration(wide), None);
    }
}
