// SPDX-License-Identifier: BSD-2-Clause
//! Where kprobe programs are blind: functions that run between `bpf_disable_instrumentation()` and
//! `bpf_enable_instrumentation()`.
//!
//! The kernel keeps programs of kprobes and tracepoints out of there, because they might touch the
//! same map: since 5.7 (b6e5dae15a61, "bpf: Replace open coded recursion prevention"). Programs of
//! trampolines run. It is a table, not derived: the callees stand behind `map->ops`, where direct
//! calls do not lead.

use std::sync::LazyLock;

use crate::spec::NameGlob;

/// A region in words that follow "kprobe programs do not run …", the functions in there.
///
/// Only the maps that nearly everyone uses: these functions are attached one by one, and on 6.12
/// each takes 135 ms to detach, so all 53 of a wider table took the prompt away for seven seconds.
/// For the others the caller, `bpf_map_update_value` or `map_delete_elem`, is the last that is seen.
struct Region {
    name: &'static str,
    functions: &'static [&'static str],
}

const REGIONS: &[Region] = &[
    Region {
        name: "while elements of BPF maps are updated",
        functions: &["{htab,array}_map_update_elem", "alloc_htab_elem"],
    },
    Region {
        name: "while elements of BPF maps are deleted",
        functions: &["htab_map_delete_elem"],
    },
];

/// A region with its globs ready to match.
struct Compiled {
    name: &'static str,
    functions: Vec<NameGlob>,
}

static COMPILED: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let compile = |globs: &[&str]| {
        globs
            .iter()
            .filter_map(|glob| NameGlob::function(glob).ok())
            .collect()
    };
    REGIONS
        .iter()
        .map(|region| Compiled {
            name: region.name,
            functions: compile(region.functions),
        })
        .collect()
});

/// The blind region that a function runs in; `None` where kprobe programs see it.
pub(super) fn blind_region(name: &str) -> Option<&'static str> {
    let any = |globs: &[NameGlob]| globs.iter().any(|glob| glob.matches(name));
    COMPILED
        .iter()
        .find(|region| any(&region.functions))
        .map(|region| region.name)
}

#[cfg(test)]
mod tests {
    use super::{COMPILED, REGIONS, blind_region};

    #[test]
    fn every_glob_can_match() {
        for (region, compiled) in REGIONS.iter().zip(COMPILED.iter()) {
            assert_eq!(region.functions.len(), compiled.functions.len());
        }
    }

    #[test]
    fn what_a_system_call_does_to_an_element_is_blind_and_the_helpers_are_not() {
        assert!(blind_region("htab_map_update_elem").is_some());
        assert!(blind_region("alloc_htab_elem").is_some());
        assert!(blind_region("htab_map_delete_elem").is_some());
        assert!(blind_region("bpf_map_update_elem").is_none());
        assert!(blind_region("map_update_elem").is_none());
        assert!(blind_region("bpf_map_update_value").is_none());
    }
}
