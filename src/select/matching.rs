// SPDX-License-Identifier: BSD-2-Clause
//! Many globs against many names: which globs of a run does each name match?
//!
//! A run has up to some hundred globs and a kernel 190,000 symbols, so most globs must be
//! passed over without a look: they are kept by the byte that a matching name begins or ends
//! with.

use crate::config::GlobUse;
use crate::spec::{FunctionName, GlobKind, GlobSpec};

/// The globs of one role, ready to match.
pub(super) struct GlobIndex<'a> {
    globs: Vec<&'a GlobSpec>,
    by_first: Vec<Vec<u16>>,
    by_last: Vec<Vec<u16>>,
    rest: Vec<u16>,
}

impl<'a> GlobIndex<'a> {
    pub(super) fn new(uses: &'a [GlobUse]) -> Self {
        let globs: Vec<_> = uses.iter().map(|glob| &glob.spec).collect();
        let mut index = Self {
            by_first: vec![Vec::new(); 256],
            by_last: vec![Vec::new(); 256],
            rest: Vec::new(),
            globs: Vec::new(),
        };
        for (number, glob) in (0..).zip(&globs) {
            let GlobKind::Function { name, .. } = glob.kind() else {
                continue;
            };
            match (name.first_byte(), name.last_byte()) {
                (Some(first), _) => index.by_first[usize::from(first)].push(number),
                (None, Some(last)) => index.by_last[usize::from(last)].push(number),
                (None, None) => index.rest.push(number),
            }
        }
        index.globs = globs;
        index
    }

    /// The globs that match, by their place in the list, in no particular order.
    pub(super) fn matches<'b>(
        &'b self,
        function: FunctionName<'b>,
    ) -> impl Iterator<Item = u16> + 'b {
        let (last, base_last) = function.last_bytes();
        let bucket = |buckets: &'b [Vec<u16>], byte: Option<u8>| {
            let bucket = byte.and_then(|byte| buckets.get(usize::from(byte)));
            bucket.map_or(&[][..], Vec::as_slice)
        };
        let possible = bucket(&self.by_first, function.first_byte())
            .iter()
            .chain(bucket(&self.by_last, last))
            .chain(bucket(&self.by_last, base_last))
            .chain(&self.rest)
            .copied();
        possible.filter(move |&number| self.globs[usize::from(number)].matches_function(&function))
    }
}
