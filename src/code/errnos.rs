// SPDX-License-Identifier: BSD-2-Clause
//! A set of errnos that instructions make.

/// The kernel's `MAX_ERRNO`.
const MAX_ERRNO: i64 = 4095;

/// A set of errnos as positive numbers, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errnos(Vec<u16>);

impl Errnos {
    /// Creates a set from positive errno numbers.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = u16>) -> Self {
        let mut set = Self(numbers.into_iter().collect());
        set.0.sort_unstable();
        set.0.dedup();
        set
    }

    /// Adds `-value` if `value` is an errno as a function returns it: -1 to -4095.
    pub(super) fn insert_value(&mut self, value: i64) {
        if (-MAX_ERRNO..0).contains(&value) {
            let errno = (-value) as u16;
            if let Err(place) = self.0.binary_search(&errno) {
                self.0.insert(place, errno);
            }
        }
    }

    /// Adds all errnos of another set.
    pub(super) fn extend(&mut self, other: &Self) {
        for errno in &other.0 {
            self.insert_value(-i64::from(*errno));
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
