// SPDX-License-Identifier: BSD-2-Clause
//! What a place may hold: a few constants, something else, or both. Values that stem from the
//! result that is followed are told apart.

use super::operations::{Extension, narrow, sign_extend};

/// Maximum number of constants that are told apart in one place.
const MAX_CONSTANTS: usize = 8;

/// A constant that a place may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Constant {
    pub(super) value: u64,
    /// Whether it stems from the result that is followed.
    pub(super) is_followed: bool,
}

/// What a place may hold besides the constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    #[default]
    Nothing,
    /// Something else.
    Other,
    /// Anything: there were more constants than are told apart.
    Anything,
}

/// The values that a place may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Value {
    /// Ascending; the first `n` count.
    constants: [Constant; MAX_CONSTANTS],
    n: u8,
    rest: Rest,
    /// Whether the rest may stem from the result that is followed.
    rest_is_followed: bool,
}

impl Value {
    /// Returns something unknown.
    pub(super) fn other() -> Self {
        Self::other_followed(false)
    }

    pub(super) fn other_followed(is_followed: bool) -> Self {
        Self {
            rest: Rest::Other,
            rest_is_followed: is_followed,
            ..Self::default()
        }
    }

    pub(super) fn constant(value: u64) -> Self {
        Self::of(Constant {
            value,
            is_followed: false,
        })
    }

    pub(super) fn followed(value: u64) -> Self {
        Self::of(Constant {
            value,
            is_followed: true,
        })
    }

    fn of(constant: Constant) -> Self {
        let mut value = Self::default();
        value.insert(constant);
        value
    }

    pub(super) fn constants(&self) -> &[Constant] {
        &self.constants[..usize::from(self.n)]
    }

    /// Returns true if it may hold something that is none of the constants.
    pub(super) fn has_other(&self) -> bool {
        self.rest != Rest::Nothing
    }

    /// Returns true if it may hold constants that were too many to be told apart.
    pub(super) fn has_lost_constants(&self) -> bool {
        self.rest == Rest::Anything
    }

    /// Returns true if it may hold such a thing that stems from the result that is followed.
    pub(super) fn has_other_followed(&self) -> bool {
        self.has_other() && self.rest_is_followed
    }

    /// Returns true if some of it stems from the result that is followed.
    pub(super) fn is_followed(&self) -> bool {
        self.has_other_followed() || self.constants().iter().any(|constant| constant.is_followed)
    }

    /// Returns true if there is nothing that it can be.
    pub(super) fn is_empty(&self) -> bool {
        self.n == 0 && self.rest == Rest::Nothing
    }

    /// Adds what another value may be. Returns true if that is more than before.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let before = *self;
        self.rest = self.rest.max(other.rest);
        self.rest_is_followed |= other.rest_is_followed;
        if self.rest == Rest::Anything {
            self.rest_is_followed |= self.is_followed() || other.is_followed();
            self.forget_constants();
        } else {
            for constant in other.constants() {
                self.insert(*constant);
            }
        }
        *self != before
    }

    /// Applies a function to each constant.
    pub(super) fn map(&self, change: impl Fn(u64) -> u64) -> Self {
        let mut value = self.without_constants();
        for constant in self.constants() {
            value.insert(Constant {
                value: change(constant.value),
                ..*constant
            });
        }
        value
    }

    /// Applies a function to each pair of constants.
    pub(super) fn combine(&self, other: &Self, change: impl Fn(u64, u64) -> u64) -> Self {
        if self.has_other() || other.has_other() {
            return Self {
                rest: self.rest.max(other.rest),
                rest_is_followed: self.is_followed() || other.is_followed(),
                ..Self::default()
            };
        }
        let mut value = Self::default();
        for a in self.constants() {
            for b in other.constants() {
                value.insert(Constant {
                    value: change(a.value, b.value),
                    is_followed: a.is_followed || b.is_followed,
                });
            }
        }
        value
    }

    /// Returns the constants for which `wanted` holds, with the rest.
    pub(super) fn filter(&self, wanted: impl Fn(u64) -> bool) -> Self {
        let mut value = self.without_constants();
        for constant in self.constants() {
            if wanted(constant.value) {
                value.insert(*constant);
            }
        }
        value
    }

    /// Returns the value with `constant` in the place of what is not known.
    pub(super) fn resolve(&self, constant: u64) -> Self {
        let mut value = *self;
        if value.has_other() {
            value.rest = Rest::Nothing;
            let is_followed = value.rest_is_followed;
            value.rest_is_followed = false;
            value.insert(Constant {
                value: constant,
                is_followed,
            });
        }
        value
    }

    /// Returns the lowest `size` bytes of it, extended to `to_size` bytes.
    pub(super) fn extend(&self, size: u8, extension: Extension, to_size: u8) -> Self {
        self.map(|value| match extension {
            Extension::Zero => narrow(value, size),
            Extension::Sign => narrow(sign_extend(value, size) as u64, to_size),
        })
    }

    fn without_constants(&self) -> Self {
        Self {
            rest: self.rest,
            rest_is_followed: self.rest_is_followed,
            ..Self::default()
        }
    }

    fn insert(&mut self, constant: Constant) {
        let n = usize::from(self.n);
        if self.rest == Rest::Anything {
            self.rest_is_followed |= constant.is_followed;
            return;
        }
        let Err(place) = self.constants[..n].binary_search(&constant) else {
            return;
        };
        if n == MAX_CONSTANTS {
            self.rest_is_followed |= constant.is_followed || self.is_followed();
            self.rest = Rest::Anything;
            self.forget_constants();
            return;
        }
        self.constants.copy_within(place..n, place + 1);
        self.constants[place] = constant;
        self.n += 1;
    }

    fn forget_constants(&mut self) {
        self.constants = Default::default();
        self.n = 0;
    }
}
