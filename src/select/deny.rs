// SPDX-License-Identifier: BSD-2-Clause
//! Looks up functions that are never traced, whatever the globs say, and the reason.

use std::sync::LazyLock;

use crate::knowledge::denied::DENIED;
use crate::spec::NameGlob;

/// The globs, with those that a name can match by its first byte.
struct Compiled {
    globs: Vec<(NameGlob, &'static str)>,
    /// Indexes of the globs that begin with a byte.
    by_first: Vec<Vec<usize>>,
    /// Indexes of the others.
    rest: Vec<usize>,
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let globs = DENIED
        .iter()
        .flat_map(|&(globs, why)| globs.iter().map(move |glob| (glob, why)));
    // Invalid globs are skipped; a test parses each of them.
    let globs = globs.filter_map(|(glob, why)| Some((NameGlob::function(glob).ok()?, why)));
    let globs: Vec<_> = globs.collect();
    let (mut by_first, mut rest) = (vec![Vec::new(); 256], Vec::new());
    for (index, (glob, _)) in globs.iter().enumerate() {
        match glob.first_byte() {
            Some(first) => by_first[usize::from(first)].push(index),
            None => rest.push(index),
        }
    }
    Compiled {
        globs,
        by_first,
        rest,
    }
});

/// Returns the reason why the function `name` is never traced; `None` if it may be traced.
pub(super) fn built_in(name: &str) -> Option<&'static str> {
    let first = name.bytes().next().map(usize::from);
    let by_first = first.and_then(|first| COMPILED.by_first.get(first));
    let by_first = by_first.map_or(&[][..], Vec::as_slice);
    let found = by_first.iter().chain(&COMPILED.rest);
    let mut found = found.filter_map(|index| COMPILED.globs.get(*index));
    found
        .find(|(glob, _)| glob.matches(name))
        .map(|&(_, why)| why)
}
