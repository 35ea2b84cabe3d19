// SPDX-License-Identifier: BSD-2-Clause
//! Where machine code comes from.

use std::fmt;

use crate::spec::Addr;

/// The text of a kernel, as it runs.
pub trait Text {
    /// Fills `bytes` from `addr` on; false where that cannot be read.
    fn read(&self, addr: Addr, bytes: &mut [u8]) -> bool;
}

/// A function as the source of text.
pub struct FromFn<F>(pub F);

impl<F: Fn(Addr, &mut [u8]) -> bool> Text for FromFn<F> {
    fn read(&self, addr: Addr, bytes: &mut [u8]) -> bool {
        (self.0)(addr, bytes)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}
