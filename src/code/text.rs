// SPDX-License-Identifier: BSD-2-Clause
//! The source of machine code.

use std::fmt;

use crate::spec::Addr;

/// The text of a running kernel.
pub trait KernelText {
    /// Fills `bytes` with the text from `addr` on. Returns false if it cannot be read.
    fn read(&self, addr: Addr, bytes: &mut [u8]) -> bool;
}

/// A closure as the source of text.
pub struct FromFn<F>(pub F);

impl<F: Fn(Addr, &mut [u8]) -> bool> KernelText for FromFn<F> {
    fn read(&self, addr: Addr, bytes: &mut [u8]) -> bool {
        (self.0)(addr, bytes)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}
