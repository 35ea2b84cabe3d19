// SPDX-License-Identifier: BSD-2-Clause
//! A set of names that is tested against a hundred thousand others.

use rustc_hash::FxHashSet;

/// Size of the filter in bits, which is far more than the number of names in any set.
const FILTER_BITS: usize = 1 << 17;

/// A set of names with a Bloom filter, which rejects nearly all other names in a few instructions.
#[derive(Clone, Debug)]
pub struct NameSet<'a> {
    names: FxHashSet<&'a str>,
    filter: Vec<u64>,
}

impl<'a> FromIterator<&'a str> for NameSet<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let names: FxHashSet<&str> = names.into_iter().collect();
        let mut filter = vec![0; FILTER_BITS / 64];
        for name in &names {
            let bit = bit(name.as_bytes());
            filter[bit / 64] |= 1 << (bit % 64);
        }
        Self { names, filter }
    }
}

impl NameSet<'_> {
    /// Whether the name is in the set.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether the name may be in the set. False for nearly all names that are not.
    #[must_use]
    pub fn may_contain(&self, name: &[u8]) -> bool {
        let bit = bit(name);
        self.filter[bit / 64] >> (bit % 64) & 1 == 1
    }
}

fn bit(name: &[u8]) -> usize {
    hash(name) as usize % FILTER_BITS
}

/// Hashes the length, the first eight bytes and the last eight. Names of a kernel differ there.
pub(super) fn hash(name: &[u8]) -> u32 {
    let first = name
        .first_chunk()
        .map_or_else(|| short(name), |first| u64::from_le_bytes(*first));
    let last = name
        .last_chunk()
        .map_or(0, |last| u64::from_le_bytes(*last));
    let mixed = (first ^ last.rotate_left(23) ^ (name.len() as u64) << 56)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}

fn short(name: &[u8]) -> u64 {
    name.iter()
        .fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::NameSet;

    #[test]
    fn what_is_in_the_set_passes_the_filter_and_most_else_does_not() {
        let names: Vec<String> = (0..2000)
            .map(|number| format!("bpf_{number}_map"))
            .collect();
        let set: NameSet<'_> = names.iter().map(String::as_str).chain(["x", ""]).collect();
        assert!(
            names
                .iter()
                .all(|name| set.may_contain(name.as_bytes()) && set.contains(name))
        );
        assert!(set.may_contain(b"x") && set.may_contain(b""));
        assert!(!set.contains("y"));
        let others = (0..2000).map(|number| format!("tcp_{number}_send"));
        let passing = others
            .filter(|name| set.may_contain(name.as_bytes()))
            .count();
        assert!(passing < 100, "{passing}");
    }
}
