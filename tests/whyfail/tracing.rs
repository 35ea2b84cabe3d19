// SPDX-License-Identifier: BSD-2-Clause
//! BPF, perf events, `io_uring`.

use crate::sys::{address, call};
use crate::{Attempt, number, tried};

const MAP_CREATE: i32 = 0;
const PROG_LOAD: i32 = 5;
const ARRAY: u32 = 2;
const SOCKET_FILTER: u32 = 1;
/// `exit`, with nothing in the register of the result.
const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("bpf-map", |arguments| {
        let value_size = number(arguments, 0, "bpf-map VALUE_SIZE")?;
        let mut attributes = [0_u8; 128];
        for (at, value) in [(0, ARRAY), (4, 4), (8, value_size as u32), (12, 1)] {
            attributes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        let made = call!(libc::SYS_bpf, MAP_CREATE, &attributes, 128);
        tried("bpf(BPF_MAP_CREATE)", made)
    }),
    ("bpf-prog", |_| {
        let log = vec![0_u8; 4096];
        let mut attributes = [0_u8; 128];
        let mut put = |at: usize, bytes: &[u8]| {
            attributes[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(0, &SOCKET_FILTER.to_ne_bytes());
        put(4, &1_u32.to_ne_bytes());
        put(8, &address(&EXIT).to_ne_bytes());
        put(16, &address(b"GPL\0").to_ne_bytes());
        put(24, &1_u32.to_ne_bytes());
        put(28, &4096_u32.to_ne_bytes());
        put(32, &address(&log).to_ne_bytes());
        let loaded = call!(libc::SYS_bpf, PROG_LOAD, &attributes, 128);
        tried("bpf(BPF_PROG_LOAD)", loaded)
    }),
    ("perf", |arguments| {
        let kind = number(arguments, 0, "perf TYPE")?;
        let mut attributes = [0_u8; 128];
        attributes[0..4].copy_from_slice(&(kind as u32).to_ne_bytes());
        attributes[4..8].copy_from_slice(&128_u32.to_ne_bytes());
        let opened = call!(libc::SYS_perf_event_open, &attributes, 0, -1, -1, 0);
        tried("perf_event_open", opened)
    }),
    ("uring", |arguments| {
        let entries = number(arguments, 0, "uring ENTRIES")?;
        let mut parameters = [0_u8; 120];
        let made = call!(libc::SYS_io_uring_setup, entries, &mut parameters);
        tried("io_uring_setup", made)
    }),
];
