// SPDX-License-Identifier: BSD-2-Clause
//! Placeholders: the addresses that functions have while their module is not loaded.
//!
//! Symbol tables and stacks have addresses of the kernel and placeholders side by side. Only this
//! file knows how to tell them apart.

use std::ops::Range;

use super::ids::Addr;

/// The addresses that are placeholders. No kernel uses them (x86-64 and arm64 refuse them), so that
/// they cannot be mistaken for real ones.
const PLACEHOLDERS: Range<u64> = 1 << 56..1 << 57;

/// Size in bytes of the placeholders of one module, which is more than any module needs.
const MODULE_RANGE_SIZE: u64 = 1 << 32;

/// The address that a function has while its module is not loaded. It stands for a place in the
/// module's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placeholder(u64);

impl Placeholder {
    /// Returns the placeholders of a module, by its number among the modules of the run.
    #[must_use]
    pub fn of_module(number: u64) -> Range<Self> {
        let start = PLACEHOLDERS.start + number * MODULE_RANGE_SIZE;
        Self(start)..Self(start + MODULE_RANGE_SIZE)
    }

    /// Returns the placeholder with this address; `None` if the address is a real one.
    #[must_use]
    pub fn at(addr: Addr) -> Option<Self> {
        PLACEHOLDERS.contains(&addr.0).then_some(Self(addr.0))
    }

    /// Returns its address, for tables that have real addresses, too.
    #[must_use]
    pub fn addr(self) -> Addr {
        Addr(self.0)
    }

    /// Returns the placeholder this many bytes later; `None` if there is none.
    #[must_use]
    pub fn checked_add(self, n_bytes: u64) -> Option<Self> {
        let sum = self.0.checked_add(n_bytes)?;
        (sum <= PLACEHOLDERS.end).then_some(Self(sum))
    }

    /// Returns the first placeholder from here on that is a multiple of `alignment`.
    #[must_use]
    pub fn next_multiple_of(self, alignment: u64) -> Self {
        Self(self.0.next_multiple_of(alignment))
    }
}
