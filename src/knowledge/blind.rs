// SPDX-License-Identifier: BSD-2-Clause
//! Functions for which kprobe programs do not run: those called between
//! `bpf_disable_instrumentation()` and `bpf_enable_instrumentation()`.
//!
//! There the kernel runs no programs of kprobes and tracepoints, because they might use the same
//! map: since 5.7 (b6e5dae15a61, "bpf: Replace open coded recursion prevention"). Programs of
//! trampolines run. This is a table because it cannot be derived: the callees are called through
//! `map->ops`, and direct calls do not lead to them.

/// A region: the end of "kprobe programs do not run …", and its functions.
///
/// Only the most common map types are listed. These functions are attached one by one, and on 6.12
/// each takes 135 ms to detach: a wider table with 53 functions delayed the prompt by seven
/// seconds. For other map types the caller, `bpf_map_update_value` or `map_delete_elem`, is the
/// innermost function that is seen.
pub(crate) struct Region {
    pub(crate) name: &'static str,
    pub(crate) functions: &'static [&'static str],
}

pub(crate) const REGIONS: &[Region] = &[
    Region {
        name: "while elements of BPF maps are updated",
        functions: &["{htab,array}_map_update_elem", "alloc_htab_elem"],
    },
    Region {
        name: "while elements of BPF maps are deleted",
        functions: &["htab_map_delete_elem"],
    },
];
