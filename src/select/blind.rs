// SPDX-License-Identifier: BSD-2-Clause
//! Determines whether a function runs where kprobe programs do not run.

use std::sync::LazyLock;

use crate::knowledge::blind::REGIONS;
use crate::spec::NameGlob;

/// A region with its parsed globs.
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

/// Returns the name of the blind region that a function runs in; `None` if kprobe programs run
/// there.
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
