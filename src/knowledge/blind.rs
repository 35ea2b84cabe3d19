// SPDX-License-Identifier: BSD-2-Clause
//! Where kprobe programs are blind: functions that run between `bpf_disable_instrumentation()` and
//! `bpf_enable_instrumentation()`.
//!
//! The kernel keeps programs of kprobes and tracepoints out of there, because they might touch the
//! same map: since 5.7 (b6e5dae15a61, "bpf: Replace open coded recursion prevention"). Programs of
//! trampolines run. It is a table, not derived: the callees stand behind `map->ops`, where direct
//! calls do not lead.

/// A region in words that follow "kprobe programs do not run …", the functions in there.
///
/// Only the maps that nearly everyone uses: these functions are attached one by one, and on 6.12
/// each takes 135 ms to detach, so all 53 of a wider table took the prompt away for seven seconds.
/// For the others the caller, `bpf_map_update_value` or `map_delete_elem`, is the last that is seen.
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
