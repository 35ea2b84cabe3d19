// SPDX-License-Identifier: BSD-2-Clause
//! Finds functions by parts of their names. For a few parts, searching the text for each takes a
//! fraction of the time of checking every name.

use memchr::memmem;

use super::Kallsyms;

/// A function whose name contains one of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundPart<'a> {
    /// Index of the symbol in the order of addresses.
    pub index: usize,
    /// Name of the function.
    pub name: &'a str,
    /// Index of the part.
    pub part: u16,
}

impl Kallsyms {
    /// Returns the functions whose names contain any of `parts`, in order of address. A function
    /// appears once per matching part, in the order of the parts. A part must not be empty or
    /// contain blanks.
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

    /// Offsets in the text of the names that contain `part`, from the offset `first` on.
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
