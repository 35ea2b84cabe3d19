// SPDX-License-Identifier: BSD-2-Clause
//! Cases of bpf(2): maps, programs, BTF, links.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::case::{Attempt, Case, Scratch, Trouble};
use crate::errno::{ENOTSUPP, Errno};
use crate::sys::{self, address, call};

// Of `enum bpf_cmd`.
const MAP_CREATE: i32 = 0;
const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_UPDATE_ELEM: i32 = 2;
const MAP_DELETE_ELEM: i32 = 3;
const MAP_GET_NEXT_KEY: i32 = 4;
const PROG_LOAD: i32 = 5;
const OBJ_GET: i32 = 7;
const BTF_LOAD: i32 = 18;
const LINK_CREATE: i32 = 28;

// Of `enum bpf_map_type` and `enum bpf_prog_type`.
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const RINGBUF: u32 = 27;
const SOCKET_FILTER: u32 = 1;

const NOEXIST: u64 = 1;

// Instructions: `r0 = 0`, `exit`, and one that there is not.
const MOV_R0_0: [u8; 8] = [0xb7, 0, 0, 0, 0, 0, 0, 0];
const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];
const NO_SUCH_INSN: [u8; 8] = [0xff, 0, 0, 0, 0, 0, 0, 0];

pub(crate) const CASES: &[Case] = &[
    case(
        "bpf-cmd",
        libc::EINVAL,
        "__x64_sys_bpf|__sys_bpf",
        "a command that there is not",
        |_| Ok(bpf(9999, &Attr::new())),
    ),
    case(
        "bpf-attr-size",
        libc::E2BIG,
        "__x64_sys_bpf|bpf_check_uarg_tail_zero",
        "an attribute of two pages",
        |_| Ok(call!(libc::SYS_bpf, MAP_CREATE, &[0_u8; 8192], 8192)),
    ),
    case(
        "bpf-map-type",
        libc::EINVAL,
        "__x64_sys_bpf|map_create",
        "a map of a type that there is not",
        |_| Ok(map_create(9999, 4, 4, 1)),
    ),
    case(
        "bpf-map-key-size",
        libc::EINVAL,
        "htab_map_alloc_check",
        "a hash map with keys of no size",
        |_| Ok(map_create(HASH, 0, 4, 1)),
    ),
    case(
        "bpf-map-value-size",
        libc::E2BIG,
        "array_map_alloc_check",
        "an array of values of 2 GiB",
        |_| Ok(map_create(ARRAY, 4, 0x8000_0008, 1)),
    ),
    case(
        "bpf-map-huge",
        libc::ENOMEM,
        "array_map_alloc|__bpf_map_area_alloc",
        "an array larger than memory",
        |_| Ok(map_create(ARRAY, 4, 4096, 0x8000_0000)),
    )
    .or(libc::E2BIG, "5.10: -E2BIG"),
    case(
        "bpf-map-entries",
        libc::E2BIG,
        "htab_map_alloc",
        "a hash map with too many entries",
        |_| Ok(map_create(HASH, 4, 4, u32::MAX)),
    ),
    case(
        "bpf-ringbuf-size",
        libc::EINVAL,
        "ringbuf_map_alloc|map_create",
        "a ring buffer of no whole pages",
        |_| Ok(map_create(RINGBUF, 0, 0, 4097)),
    ),
    case(
        "bpf-lookup-missing",
        libc::ENOENT,
        "bpf_map_copy_value|__htab_map_lookup_elem",
        "a key that is not in the map",
        |_| {
            let map = hash_map()?;
            Ok(element(MAP_LOOKUP_ELEM, &map, 7, 0))
        },
    ),
    case(
        "bpf-delete-missing",
        libc::ENOENT,
        "htab_map_delete_elem",
        "a key that is not in the map",
        |_| {
            let map = hash_map()?;
            let key = [7, 0, 0, 0];
            Ok(bpf(MAP_DELETE_ELEM, &of_map(&map).long(8, address(&key))))
        },
    ),
    case(
        "bpf-update-flags",
        libc::EINVAL,
        "htab_map_update_elem",
        "flags that there are not",
        |_| {
            let map = hash_map()?;
            Ok(element(MAP_UPDATE_ELEM, &map, 7, 99))
        },
    ),
    case(
        "bpf-update-exists",
        libc::EEXIST,
        "htab_map_update_elem",
        "a new key that is there already",
        |_| {
            let map = hash_map()?;
            element(MAP_UPDATE_ELEM, &map, 7, 0)?;
            Ok(element(MAP_UPDATE_ELEM, &map, 7, NOEXIST))
        },
    ),
    case(
        "bpf-map-full",
        libc::E2BIG,
        "alloc_htab_elem",
        "a second key in a map for one",
        |_| {
            let map = hash_map()?;
            element(MAP_UPDATE_ELEM, &map, 7, 0)?;
            Ok(element(MAP_UPDATE_ELEM, &map, 8, 0))
        },
    ),
    case(
        "bpf-next-key",
        ENOTSUPP,
        "ringbuf_map_get_next_key|__sys_bpf",
        "a ring buffer has no keys (internal errno)",
        |_| {
            let map = sys::own(map_create(RINGBUF, 0, 0, 4096)?);
            Ok(bpf(MAP_GET_NEXT_KEY, &of_map(&map)))
        },
    ),
    case(
        "bpf-map-fd",
        libc::EBADF,
        "__x64_sys_bpf|__sys_bpf|map_lookup_elem",
        "a file descriptor that is not open",
        |_| Ok(bpf(MAP_LOOKUP_ELEM, &Attr::new().word(0, 9999))),
    ),
    case(
        "bpf-prog-type",
        libc::EINVAL,
        "bpf_prog_load",
        "a program of a type that there is not",
        |_| Ok(prog_load(9999, &[MOV_R0_0, EXIT])),
    ),
    case(
        "bpf-prog-insn",
        libc::EINVAL,
        "bpf_check|resolve_pseudo_ldimm64",
        "an instruction that there is not",
        |_| Ok(prog_load(SOCKET_FILTER, &[NO_SUCH_INSN, EXIT])),
    ),
    case(
        "bpf-prog-no-exit",
        libc::EINVAL,
        "check_subprogs|bpf_check",
        "a program that runs off its end",
        |_| Ok(prog_load(SOCKET_FILTER, &[MOV_R0_0, MOV_R0_0])),
    ),
    case(
        "bpf-prog-uninit",
        libc::EACCES,
        "check_reg_arg|__check_reg_arg",
        "a program that returns an unset register",
        |_| Ok(prog_load(SOCKET_FILTER, &[EXIT])),
    ),
    case(
        "bpf-btf-header",
        libc::EINVAL,
        "btf_parse_hdr",
        "BTF without its magic number",
        |_| {
            let btf = [0; 64];
            Ok(bpf(
                BTF_LOAD,
                &Attr::new().long(0, address(&btf)).word(16, 64),
            ))
        },
    ),
    case(
        "bpf-link-fd",
        libc::EBADF,
        "__bpf_prog_get",
        "a link to a program that is not open",
        |_| Ok(bpf(LINK_CREATE, &Attr::new().word(0, 9999))),
    ),
    case(
        "bpf-obj-get",
        libc::ENOENT,
        "step_into|step_into_slowpath",
        "a pinned object that is not there",
        |_| {
            let path = c"/sys/fs/bpf/simfail-no-such-object";
            Ok(bpf(
                OBJ_GET,
                &Attr::new().long(0, address(path.to_bytes_with_nul())),
            ))
        },
    ),
    Case::succeeds(
        ("ok-bpf-map", "bpf"),
        "a map is made: nothing fails",
        |_| Ok(map_create(HASH, 4, 4, 1).inspect(|&fd| drop(sys::own(fd)))),
    ),
];

const fn case(
    name: &'static str,
    errno: i32,
    culprit: &'static str,
    about: &'static str,
    run: fn(&Scratch) -> Attempt,
) -> Case {
    Case::fails((name, "bpf"), errno, culprit, about, run)
}

/// `union bpf_attr`, filled by offset: the cases are about values that no type would allow.
struct Attr([u8; 128]);

impl Attr {
    fn new() -> Self {
        Self([0; 128])
    }

    fn word(mut self, offset: usize, value: u32) -> Self {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn long(mut self, offset: usize, value: u64) -> Self {
        self.0[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }
}

fn bpf(command: i32, attr: &Attr) -> Result<i64, Errno> {
    // No command here has attributes beyond this; kernels accept a shorter or longer one of zeros.
    call!(libc::SYS_bpf, command, &attr.0, attr.0.len())
}

fn map_create(map_type: u32, key_size: u32, value_size: u32, entries: u32) -> Result<i64, Errno> {
    let sizes = Attr::new()
        .word(0, map_type)
        .word(4, key_size)
        .word(8, value_size);
    bpf(MAP_CREATE, &sizes.word(12, entries))
}

/// A map for one entry.
fn hash_map() -> Result<OwnedFd, Trouble> {
    Ok(sys::own(map_create(HASH, 4, 4, 1)?))
}

/// Attributes that name a map, and nothing else yet.
fn of_map(map: &OwnedFd) -> Attr {
    let fd = u32::try_from(map.as_raw_fd()).expect("an open descriptor is not negative");
    Attr::new().word(0, fd)
}

/// Looks up or updates an element.
fn element(command: i32, map: &OwnedFd, key: u32, flags: u64) -> Result<i64, Errno> {
    let key = key.to_ne_bytes();
    let value = [0; 8];
    let attr = of_map(map).long(8, address(&key)).long(16, address(&value));
    bpf(command, &attr.long(24, flags))
}

fn prog_load(prog_type: u32, insns: &[[u8; 8]]) -> Result<i64, Errno> {
    let license = c"GPL";
    let attr = Attr::new()
        .word(0, prog_type)
        .word(4, insns.len() as u32)
        .long(8, address(insns.as_flattened()))
        .long(16, address(license.to_bytes_with_nul()));
    bpf(PROG_LOAD, &attr)
}
