// SPDX-License-Identifier: BSD-2-Clause
//! Paths through the kernel's types: how to get from a function's parameter, or from the current
//! task, to a member behind pointers.
//!
//! `inode.i_sb.s_id` is the text `s_id` in the super block that `i_sb` of the parameter `inode`
//! points to: types say where a pointer must be followed, so one separator is enough.
//! `inode.i_dentry.first.(dentry:d_u.d_alias).d_name` goes back from a member to the struct that
//! contains it. `signal.rlim[7].rlim_cur` is in an element of an array, whose number may be that of a
//! name of an enum: `subsys[cgroup_subsys_id:pids_cgrp_id]`.

use super::format::{BtfKind, read_u32};
use super::parse::Btf;

/// The path of the current task, which is no parameter.
pub const CURRENT_TASK: &str = "current";

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath {
    /// Index of the 8-byte slot of the parameter; `None` for the current task.
    pub slot: Option<u16>,
    /// Offsets in bytes; at each of them a word is read, to which the next one is added.
    pub hops: Vec<i32>,
    /// What is there.
    pub end: PathEnd,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathEnd {
    /// An integer or a pointer: the last word that is read has it in its low bytes.
    Number {
        /// Size in bytes.
        size: u32,
        /// Whether it is signed.
        is_signed: bool,
        /// Whether it is a pointer.
        is_pointer: bool,
        /// The names of its values if it is an enum.
        names: Vec<(i64, String)>,
    },
    /// Text at this offset from the last word that is read.
    Text(i32),
}

/// A place on the way.
struct PathStep {
    /// The type of what is at the address.
    typ: u32,
    /// Bytes from the last word that was read.
    offset: i32,
    hops: Vec<i32>,
    /// Whether the place is the word itself, which was not read from memory: a parameter.
    is_word: bool,
}

/// Encoding bits of an integer type.
const INT_SIGNED: u32 = 1;

impl Btf {
    /// Resolves a path of the function with this id. `None` if a part of it does not exist in this
    /// kernel.
    #[must_use]
    pub fn member_path(&self, func: u32, path: &str) -> Option<MemberPath> {
        let first = path.split('.').next()?;
        let (slot, mut step) = if first == CURRENT_TASK {
            (None, self.current_task()?)
        } else {
            let (slot, typ) = self.parameter(func, first)?;
            let step = PathStep {
                typ,
                offset: 0,
                hops: Vec::new(),
                is_word: true,
            };
            (Some(slot), step)
        };
        // The parts in parentheses contain dots themselves.
        let mut rest = path.get(first.len() + 1..).unwrap_or_default();
        while !rest.is_empty() {
            let (part, after) = match rest.strip_prefix('(') {
                Some(inner) => inner.split_once(')')?,
                None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
            };
            if rest.starts_with('(') {
                self.go_to_container(&mut step, part)?;
            } else {
                self.go_to_member(&mut step, part)?;
            }
            rest = after.strip_prefix('.').unwrap_or(after);
        }
        let end = self.path_end(&mut step)?;
        Some(MemberPath {
            slot,
            hops: step.hops,
            end,
        })
    }

    fn current_task(&self) -> Option<PathStep> {
        let typ = self.struct_id("task_struct")?;
        Some(PathStep {
            typ,
            offset: 0,
            hops: Vec::new(),
            is_word: false,
        })
    }

    /// Returns slot and type of a parameter.
    fn parameter(&self, func: u32, name: &str) -> Option<(u16, u32)> {
        let func = self.typ(func).filter(|typ| typ.kind == BtfKind::Func)?;
        let proto = self
            .typ(func.size_or_type)
            .filter(|typ| typ.kind == BtfKind::FuncProto)?;
        let mut slot = 0;
        for parameter in proto.payload.chunks_exact(8) {
            let typ = read_u32(parameter, 4)?;
            if self.string(read_u32(parameter, 0)?) == name {
                return Some((slot, typ));
            }
            slot += self.slots(typ);
        }
        None
    }

    /// Goes to a member, and follows a pointer before if there is one.
    fn go_to_member(&self, step: &mut PathStep, member: &str) -> Option<()> {
        self.follow_pointer(step)?;
        let id = self.skip_names(step.typ)?;
        let (member, index) = match member.split_once('[') {
            Some((member, index)) => (member, Some(index.strip_suffix(']')?)),
            None => (member, None),
        };
        let (typ, offset) = self.member(id, member)?;
        step.typ = typ;
        step.offset = step.offset.checked_add(i32::try_from(offset).ok()?)?;
        match index {
            Some(index) => self.go_to_element(step, index),
            None => Some(()),
        }
    }

    /// Goes to an element of an array. `index` is a number, or an enum and one of its names.
    fn go_to_element(&self, step: &mut PathStep, index: &str) -> Option<()> {
        let index = match index.split_once(':') {
            Some((enumeration, name)) => self.enum_value(enumeration, name)?,
            None => index.parse().ok()?,
        };
        let array = self.typ(self.skip_names(step.typ)?)?;
        let is_array = array.kind == BtfKind::Array;
        let n_elements = read_u32(array.payload, 8).filter(|_| is_array)?;
        let index = u32::try_from(index).ok().filter(|it| *it < n_elements)?;
        let element = read_u32(array.payload, 0)?;
        let typ = self.typ(self.skip_names(element)?)?;
        let size = match typ.kind {
            BtfKind::Ptr => 8,
            BtfKind::Int | BtfKind::Enum | BtfKind::Struct | BtfKind::Union => typ.size_or_type,
            _ => return None,
        };
        let distance = i32::try_from(index.checked_mul(size)?).ok()?;
        step.typ = element;
        step.offset = step.offset.checked_add(distance)?;
        Some(())
    }

    /// Goes from a member to the struct that contains it: `dentry:d_u.d_alias`. The place itself
    /// may be a pointer to the member.
    fn go_to_container(&self, step: &mut PathStep, container: &str) -> Option<()> {
        self.follow_pointer(step)?;
        let (name, members) = container.split_once(':')?;
        let id = self.struct_id(name)?;
        let mut typ = id;
        for member in members.split('.') {
            let (inner, offset) = self.member(self.skip_names(typ)?, member)?;
            step.offset = step.offset.checked_sub(i32::try_from(offset).ok()?)?;
            typ = inner;
        }
        step.typ = id;
        Some(())
    }

    /// If the place is a pointer, goes to what it points to.
    fn follow_pointer(&self, step: &mut PathStep) -> Option<()> {
        let typ = self.typ(self.skip_names(step.typ)?)?;
        if typ.kind == BtfKind::Ptr {
            step.read_word();
            step.typ = typ.size_or_type;
            return Some(());
        }
        // A struct that was passed by value is not in memory.
        (!step.is_word).then_some(())
    }

    fn path_end(&self, step: &mut PathStep) -> Option<PathEnd> {
        let typ = self.typ(self.skip_names(step.typ)?)?;
        let size = typ.size_or_type;
        let end = match typ.kind {
            BtfKind::Array if self.is_char(read_u32(typ.payload, 0)?) => {
                return Some(PathEnd::Text(step.offset));
            }
            BtfKind::Ptr if self.is_char(typ.size_or_type) => {
                step.read_word();
                return Some(PathEnd::Text(0));
            }
            BtfKind::Ptr => PathEnd::Number {
                size: 8,
                is_signed: false,
                is_pointer: true,
                names: Vec::new(),
            },
            BtfKind::Int => PathEnd::Number {
                size,
                is_signed: read_u32(typ.payload, 0)? >> 24 & INT_SIGNED != 0,
                is_pointer: false,
                names: Vec::new(),
            },
            BtfKind::Enum => PathEnd::Number {
                size,
                is_signed: typ.flag,
                is_pointer: false,
                names: self.enumerators(typ.payload)?,
            },
            _ => return None,
        };
        step.read_word();
        Some(end)
    }

    /// Returns the enumerators of an enum of 32 bits.
    pub(super) fn enumerators(&self, payload: &[u8]) -> Option<Vec<(i64, String)>> {
        let enumerator = |element: &[u8]| {
            let name = self.string(read_u32(element, 0)?).to_owned();
            Some((i64::from(read_u32(element, 4)? as i32), name))
        };
        payload.chunks_exact(8).map(enumerator).collect()
    }

    fn is_char(&self, id: u32) -> bool {
        let typ = self.skip_names(id).and_then(|id| self.typ(id));
        typ.is_some_and(|typ| typ.kind == BtfKind::Int && typ.size_or_type == 1)
    }
}

impl PathStep {
    /// Reads the word at the place. A parameter is a word already.
    fn read_word(&mut self) {
        if !self.is_word {
            self.hops.push(self.offset);
        }
        self.is_word = false;
        self.offset = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{MemberPath, PathEnd};
    use crate::kernel::btf::Btf;
    use crate::kernel::btf::builder::Builder;

    fn number(size: u32, is_signed: bool) -> PathEnd {
        PathEnd::Number {
            size,
            is_signed,
            is_pointer: false,
            names: Vec::new(),
        }
    }

    /// `int check(struct inode *inode, int mask, const char *why)`, with the structs behind it.
    fn types() -> (Btf, u32) {
        let mut types = Builder::kernel();
        let int = types.int("int", 4, 1);
        let short = types.int("short unsigned int", 2, 0);
        let char = types.int("char", 1, 1);
        let text = types.array(char, 32);
        let char_pointer = types.pointer(char);
        let block = types.laid_out(
            "super_block",
            64,
            &[("s_flags", int, 8), ("s_id", text, 16)],
        );
        let block_pointer = types.pointer(block);
        let id = types.laid_out("kuid", 4, &[("val", int, 0)]);
        let node = types.laid_out("node", 8, &[]);
        let node_pointer = types.pointer(node);
        let counts = types.array(short, 3);
        types.enumeration("kind", &[("FIRST", 0), ("LAST", 2)]);
        let inode = types.laid_out(
            "inode",
            64,
            &[
                ("i_mode", short, 0),
                ("i_uid", id, 4),
                ("i_sb", block_pointer, 16),
                ("i_first", node_pointer, 24),
                ("i_counts", counts, 32),
            ],
        );
        types.laid_out(
            "dentry",
            64,
            &[("d_name", char_pointer, 40), ("d_alias", node, 48)],
        );
        types.laid_out("task_struct", 64, &[("inode", inode, 8)]);
        let inode_pointer = types.pointer(inode);
        let func = types.named_func(
            "check",
            int,
            &[
                ("inode", inode_pointer),
                ("mask", int),
                ("why", char_pointer),
            ],
        );
        (Btf::parse(types.build(), None).unwrap(), func)
    }

    #[test]
    fn a_path_follows_pointers_where_types_have_them() {
        let (btf, func) = types();
        let path = |text: &str| btf.member_path(func, text).unwrap();
        let expected = |slot, hops: &[i32], end| MemberPath {
            slot,
            hops: hops.to_vec(),
            end,
        };
        assert_eq!(path("mask"), expected(Some(1), &[], number(4, true)));
        assert_eq!(
            path("inode.i_mode"),
            expected(Some(0), &[0], number(2, false))
        );
        assert_eq!(
            path("inode.i_uid.val"),
            expected(Some(0), &[4], number(4, true))
        );
        assert_eq!(
            path("inode.i_sb.s_flags"),
            expected(Some(0), &[16, 8], number(4, true))
        );
        assert_eq!(
            path("inode.i_sb.s_id"),
            expected(Some(0), &[16], PathEnd::Text(16))
        );
        assert_eq!(path("why"), expected(Some(2), &[], PathEnd::Text(0)));
        assert_eq!(
            path("current.inode.i_mode"),
            expected(None, &[8], number(2, false))
        );
        assert_eq!(
            path("inode.i_first.(dentry:d_alias).d_name"),
            expected(Some(0), &[24, 40 - 48], PathEnd::Text(0))
        );
    }

    #[test]
    fn elements_of_arrays_have_numbers_or_names() {
        let (btf, func) = types();
        let offset = |text: &str| Some(btf.member_path(func, text)?.hops);
        assert_eq!(offset("inode.i_counts[0]"), Some(vec![32]));
        assert_eq!(offset("inode.i_counts[2]"), Some(vec![36]));
        assert_eq!(offset("inode.i_counts[kind:LAST]"), Some(vec![36]));
        for path in [
            "inode.i_counts[3]",
            "inode.i_counts[-1]",
            "inode.i_counts[",
            "inode.i_counts[]",
            "inode.i_counts[kind:MIDDLE]",
            "inode.i_mode[0]",
            "inode.i_counts",
        ] {
            assert_eq!(btf.member_path(func, path), None, "{path}");
        }
    }

    #[test]
    fn what_this_kernel_does_not_have_is_no_path() {
        let (btf, func) = types();
        for path in [
            "dir.i_mode",
            "inode.i_nothing",
            "mask.val",
            "inode.i_uid",
            "inode.i_first.(dentry:d_nothing).d_name",
            "inode.i_first.(nothing:d_alias)",
            "inode.i_first.(dentry",
            "",
        ] {
            assert_eq!(btf.member_path(func, path), None, "{path}");
        }
        assert_eq!(btf.member_path(0, "mask"), None);
    }
}
