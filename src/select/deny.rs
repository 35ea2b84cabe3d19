// SPDX-License-Identifier: BSD-2-Clause
//! Looks up functions that are never traced, whatever the globs say, and the reason.

use std::sync::LazyLock;

use crate::knowledge::arch;
use crate::knowledge::denied::{DENIED, NO_RETURN};
use crate::spec::NameGlob;

static COMPILED: LazyLock<Vec<(NameGlob, &'static str)>> = LazyLock::new(|| {
    let globs = DENIED
        .iter()
        .flat_map(|&(globs, why)| globs.iter().map(move |glob| (glob, why)));
    // Invalid globs are skipped; a test parses each of them.
    globs
        .filter_map(|(glob, why)| Some((NameGlob::function(glob).ok()?, why)))
        .collect()
});

/// Returns the reason why the function `name` is never traced; `None` if it may be traced.
pub(super) fn built_in(name: &str) -> Option<&'static str> {
    COMPILED
        .iter()
        .find(|(glob, _)| glob.matches(name))
        .map(|&(_, why)| why)
}

/// Returns true if the function `name` is known to never return.
pub(super) fn never_returns(name: &str) -> bool {
    let mut lists = [NO_RETURN].into_iter().chain(arch::NO_RETURN);
    lists.any(|list| list.binary_search(&name).is_ok())
}
