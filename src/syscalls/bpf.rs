// SPDX-License-Identifier: BSD-2-Clause
//! The attributes of `bpf()`: which members of `union bpf_attr` count depends on the command.

use super::decode::{Value, of_set};

/// How a member is shown.
#[derive(Clone, Copy)]
enum Member {
    /// A `__u32`.
    Number,
    /// A `__u32`, a descriptor.
    Descriptor,
    /// A `__u32` of flags, in hexadecimal.
    Flags,
    /// A `__u32`, a value of this set.
    Set(&'static str),
    /// A name of 16 bytes.
    Name,
    /// A pointer.
    Pointer,
}

use Member::{Descriptor, Flags, Name, Number, Pointer, Set};

/// Members with their offsets.
type Members = &'static [(&'static str, usize, Member)];

const MAP: Members = &[
    ("map_type", 0, Set("bpf_map")),
    ("key_size", 4, Number),
    ("value_size", 8, Number),
    ("max_entries", 12, Number),
    ("map_flags", 16, Flags),
    ("map_name", 28, Name),
];

const ELEMENT: Members = &[("map_fd", 0, Descriptor), ("key", 8, Pointer)];

const NEW_VALUE: Members = &[
    ("map_fd", 0, Descriptor),
    ("key", 8, Pointer),
    ("value", 16, Pointer),
    ("flags", 24, Flags),
];

const PROGRAM: Members = &[
    ("prog_type", 0, Set("bpf_prog")),
    ("insn_cnt", 4, Number),
    ("log_level", 24, Number),
    ("prog_flags", 44, Flags),
    ("prog_name", 48, Name),
    ("expected_attach_type", 68, Number),
    ("attach_btf_id", 108, Number),
];

const OBJECT: Members = &[
    ("pathname", 0, Pointer),
    ("bpf_fd", 8, Descriptor),
    ("file_flags", 12, Flags),
];

const ATTACH: Members = &[
    ("target_fd", 0, Descriptor),
    ("attach_bpf_fd", 4, Descriptor),
    ("attach_type", 8, Number),
    ("attach_flags", 12, Flags),
];

const LINK: Members = &[
    ("prog_fd", 0, Descriptor),
    ("target_fd", 4, Descriptor),
    ("attach_type", 8, Number),
    ("flags", 12, Flags),
];

const RAW_TRACEPOINT: Members = &[("name", 0, Pointer), ("prog_fd", 8, Descriptor)];

const BTF: Members = &[("btf", 0, Pointer), ("btf_size", 16, Number)];

/// Members by the number of the command (`enum bpf_cmd`).
const COMMANDS: &[(u64, Members)] = &[
    (0, MAP),
    (1, ELEMENT),
    (2, NEW_VALUE),
    (3, ELEMENT),
    (4, ELEMENT),
    (5, PROGRAM),
    (6, OBJECT),
    (7, OBJECT),
    (8, ATTACH),
    (9, ATTACH),
    (10, &[("prog_fd", 0, Descriptor)]),
    (11, &[("start_id", 0, Number)]),
    (12, &[("start_id", 0, Number)]),
    (13, &[("prog_id", 0, Number)]),
    (14, &[("map_id", 0, Number)]),
    (15, &[("bpf_fd", 0, Descriptor), ("info_len", 4, Number)]),
    (17, RAW_TRACEPOINT),
    (18, BTF),
    (19, &[("btf_id", 0, Number)]),
    (21, ELEMENT),
    (22, &[("map_fd", 0, Descriptor)]),
    (23, &[("start_id", 0, Number)]),
    (28, LINK),
    (
        29,
        &[("link_fd", 0, Descriptor), ("new_prog_fd", 4, Descriptor)],
    ),
    (30, &[("link_id", 0, Number)]),
    (31, &[("start_id", 0, Number)]),
    (34, &[("link_fd", 0, Descriptor)]),
];

/// Decodes the attributes of a command; `None` if it is not known. Members behind the end are left out.
pub(super) fn attributes(command: u64, bytes: &[u8]) -> Option<Value> {
    let (_, members) = COMMANDS.iter().find(|(number, _)| *number == command)?;
    let members = members.iter();
    let members = members.filter_map(|(name, at, member)| {
        let value = value(*member, bytes.get(*at..)?)?;
        Some((*name, value))
    });
    Some(Value::Struct(members.collect()))
}

fn value(member: Member, bytes: &[u8]) -> Option<Value> {
    let number = || Some(u32::from_ne_bytes(*bytes.first_chunk()?));
    Some(match member {
        Number => Value::Unsigned(number()?.into()),
        Descriptor => Value::Signed((number()? as i32).into()),
        Flags => Value::Hex(number()?.into()),
        Set(name) => of_set(name, number()?.into()),
        Name => {
            let name: &[u8; 16] = bytes.first_chunk()?;
            Value::Text(name.split(|byte| *byte == 0).next()?.to_vec())
        }
        Pointer => match u64::from_ne_bytes(*bytes.first_chunk()?) {
            0 => Value::Null,
            address => Value::Hex(address),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_depend_on_the_command_and_end_with_the_bytes() {
        let mut bytes = [2_u32, 4, 0, 1].map(u32::to_ne_bytes).concat();
        let members = vec![
            ("map_type", Value::Named("BPF_MAP_TYPE_ARRAY".to_owned(), 2)),
            ("key_size", Value::Unsigned(4)),
            ("value_size", Value::Unsigned(0)),
            ("max_entries", Value::Unsigned(1)),
        ];
        assert_eq!(attributes(0, &bytes), Some(Value::Struct(members)));
        bytes.truncate(3);
        assert_eq!(attributes(0, &bytes), Some(Value::Struct(Vec::new())));
        assert_eq!(attributes(999, &bytes), None);
    }
}
