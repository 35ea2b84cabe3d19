// SPDX-License-Identifier: BSD-2-Clause
//! Functions by a part of their names: for a few parts, to search the text for each of them takes
//! a fraction of the time of a look at every name.

use memchr::memmem;

use super::Kallsyms;

/// A function whose name has one of the parts in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundPart<'a> {
    /// Its place in the order of addresses.
    pub index: usize,
    /// Its name.
    pub name: &'a str,
    /// Which of the parts.
    pub part: u16,
}

impl Kallsyms {
    /// The functions, in ascending address order, whose names have any of `parts` in them: each
    /// once for each of its parts, these in ascending order. Parts are parts of names: without
    /// blanks, and not empty.
    pub fn functions_with<'a>(
        &'a self,
        parts: &[&str],
        only_modules: bool,
    ) -> impl Iterator<Item = FoundPart<'a>> + use<'a> {
        let first = if only_modules {
            self.kernel_text_len
        } else {
            0
        };
        let mut found: Vec<(u32, u16)> = Vec::new();
        for (number, part) in (0..).zip(parts) {
            let places = self.names_with(part, first);
            found.extend(places.map(|place| (place, number)));
        }
        found.sort_unstable();
        found.dedup();
        let mut is_found = vec![0_u64; self.text.len() / 64 + 1];
        for (place, _) in &found {
            is_found[*place as usize / 64] |= 1 << (place % 64);
        }
        let entries = self.entries.iter().enumerate();
        entries
            .filter(move |(_, entry)| {
                let place = entry.name as usize;
                entry.is_function() && is_found[place / 64] >> (place % 64) & 1 == 1
            })
            .flat_map(move |(index, entry)| {
                let place = entry.name;
                let first = found.partition_point(|(at, _)| *at < place);
                let here: Vec<u16> = found[first..]
                    .iter()
                    .take_while(|(at, _)| *at == place)
                    .map(|(_, part)| *part)
                    .collect();
                let name = self.name(*entry);
                here.into_iter()
                    .map(move |part| FoundPart { index, name, part })
            })
    }

    /// Where the names begin that have `part` in them, from `first` of the text on.
    fn names_with<'a>(
        &'a self,
        part: &'a str,
        first: usize,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let text = self.text.as_bytes().get(first..).unwrap_or_default();
        let start = move |at: usize| {
            let before = memchr::memrchr2(b' ', b'\t', &text[..at]);
            first + before.map_or(0, |blank| blank + 1)
        };
        memmem::find_iter(text, part).map(move |at| start(at) as u32)
    }
}
