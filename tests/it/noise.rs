// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that look random and are the same from the same seed (xorshift).

/// What comes next; never 0.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    /// One that is smaller than `end`, or 0 where none is.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}
