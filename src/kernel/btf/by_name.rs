// SPDX-License-Identifier: BSD-2-Clause
//! Index of the types of a BTF by name, for the few dozen lookups of a start. The first lookup
//! builds it, which takes as long as one pass over all strings.

use std::iter;

use super::names;

/// A hash table with chained lists of types, in ascending order. Lists are used because malformed
/// BTF may have a million types of one name, and adding to a list takes constant time.
pub(super) struct ByName {
    /// The first record of each list, as its index plus 1; 0 if the list is empty.
    first: Vec<u32>,
    /// For each record, the next record of its list, in the same encoding.
    next: Vec<u32>,
}

impl ByName {
    /// Builds the table; `all` yields the name of each record. Records without a name are left out.
    pub(super) fn new<'n>(
        all: impl DoubleEndedIterator<Item = &'n [u8]> + ExactSizeIterator,
    ) -> Self {
        let n_records = all.len();
        let n_lists = n_records.next_power_of_two().max(2);
        let mut table = Self {
            first: vec![0; n_lists],
            next: vec![0; n_records],
        };
        for (place, name) in all.enumerate().rev() {
            if name.is_empty() {
                continue;
            }
            let list = table.list(name);
            let first = &mut table.first[list];
            table.next[place] = *first;
            *first = place as u32 + 1;
        }
        table
    }

    /// Returns the indices of the records that may have this name; their hashes are equal.
    pub(super) fn possible(&self, name: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let place = |link: u32| link.checked_sub(1).map(|place| place as usize);
        let next = move |at: &usize| place(self.next[*at]);
        iter::successors(place(self.first[self.list(name)]), next)
    }

    fn list(&self, name: &[u8]) -> usize {
        names::hash(name) as usize & (self.first.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::ByName;

    #[test]
    fn those_of_a_name_come_in_their_order_and_nameless_ones_never() {
        let all: [&[u8]; 6] = [b"file", b"", b"inode", b"file", b"", b"file_operations"];
        let table = ByName::new(all.into_iter());
        let named = |name: &str| -> Vec<usize> {
            let possible = table.possible(name.as_bytes());
            possible
                .filter(|place| all[*place] == name.as_bytes())
                .collect()
        };
        assert_eq!(named("file"), [0, 3]);
        assert_eq!(named("inode"), [2]);
        assert_eq!(named("file_operations"), [5]);
        assert_eq!(named("path"), [0; 0]);
        assert_eq!(ByName::new([].into_iter()).possible(b"file").count(), 0);
    }
}
