// SPDX-License-Identifier: BSD-2-Clause
//! Where the C library keeps the errno of a thread.

/// Where the errno is that a function of the C library sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrnoPlace {
    /// At this distance from the thread pointer, in bytes.
    Distance(i64),
    /// At the distance from the thread pointer that stands in memory at this distance from the
    /// function.
    Slot(i64),
}
