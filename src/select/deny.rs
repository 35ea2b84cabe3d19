// SPDX-License-Identifier: BSD-2-Clause
//! Looks up functions that are never traced, whatever the globs say, and the reason.

use std::sync::LazyLock;

use crate::knowledge::denied::DENIED;
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
