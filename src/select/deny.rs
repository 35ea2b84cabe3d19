// SPDX-License-Identifier: BSD-2-Clause
//! What is never traced, whatever the globs say, and why: as data.

use std::sync::LazyLock;

use crate::knowledge::denied::{DENIED, NO_RETURN};
use crate::spec::NameGlob;

static COMPILED: LazyLock<Vec<(NameGlob, &'static str)>> = LazyLock::new(|| {
    let globs = DENIED
        .iter()
        .flat_map(|&(globs, why)| globs.iter().map(move |glob| (glob, why)));
    // A test parses each of them.
    globs
        .filter_map(|(glob, why)| Some((NameGlob::function(glob).ok()?, why)))
        .collect()
});

/// Why the function `name` is never traced; `None` where nothing speaks against it.
pub(super) fn built_in(name: &str) -> Option<&'static str> {
    COMPILED
        .iter()
        .find(|(glob, _)| glob.matches(name))
        .map(|&(_, why)| why)
}

/// Whether the function `name` never returns.
pub(super) fn never_returns(name: &str) -> bool {
    NO_RETURN.binary_search(&name).is_ok()
}
