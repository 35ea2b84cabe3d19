// SPDX-License-Identifier: BSD-2-Clause
//! The skeleton that libbpf-cargo generates from `bpf/retsnoop.bpf.c`.

#![allow(
    unsafe_code,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::doc_markdown,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::wildcard_imports,
    clippy::absolute_paths,
    clippy::struct_excessive_bools,
    clippy::too_many_lines
)]

include!(concat!(env!("OUT_DIR"), "/retsnoop.skel.rs"));
