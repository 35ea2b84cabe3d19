// SPDX-License-Identifier: BSD-2-Clause
//! The errnos that instructions make, as a set and with their places.

use crate::spec::Addr;

/// A set of errnos as positive numbers, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errnos(Vec<u16>);

/// An instruction that makes an errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrnoSite {
    /// Address of the instruction.
    pub insn: Addr,
    /// Start of its basic block, as far as direct branches tell: the code between two of them, or
    /// their targets.
    pub block: Addr,
    /// The errno as a positive number.
    pub errno: u16,
}

impl Errnos {
    /// Creates a set from positive errno numbers.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = u16>) -> Self {
        let mut set = Self(numbers.into_iter().collect());
        set.0.sort_unstable();
        set.0.dedup();
        set
    }

    fn insert(&mut self, errno: u16) {
        if let Err(place) = self.0.binary_search(&errno) {
            self.0.insert(place, errno);
        }
    }

    /// Adds all errnos of another set.
    pub(super) fn extend(&mut self, other: &Self) {
        for errno in &other.0 {
            self.insert(*errno);
        }
    }

    /// Returns true if the set contains this positive errno.
    #[must_use]
    pub fn contains(&self, errno: u16) -> bool {
        self.0.binary_search(&errno).is_ok()
    }

    /// Returns the positive errnos, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[u16] {
        &self.0
    }
}
