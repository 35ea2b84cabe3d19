// SPDX-License-Identifier: BSD-2-Clause
//! Why a session is opened.

use serde::{Deserialize, Serialize};

/// Why a session is opened. The kernel side sends it with each session (`enum entry_reason` of
/// `bpf/include/events.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntryReason {
    /// A system call, at the function that the system call table has for it.
    SystemCall,
    /// A call of any other kernel function.
    KernelFunction,
    /// A call of a function that handles a request. Its failure is an answer to the requester, so
    /// it counts even if the callers succeed.
    Request,
    /// A call of a function of a program or a library.
    UserFunction,
    /// A hit of a USDT probe.
    Usdt,
}

impl EntryReason {
    /// Returns the value of `enum entry_reason`. 0 is `ENTRY_NONE`.
    #[must_use]
    pub fn to_wire(self) -> u8 {
        match self {
            Self::SystemCall => 1,
            Self::KernelFunction => 2,
            Self::Request => 3,
            Self::UserFunction => 4,
            Self::Usdt => 5,
        }
    }

    /// Returns the reason with this value of `enum entry_reason`; `None` for `ENTRY_NONE` and for
    /// values that no version sends.
    #[must_use]
    pub fn from_wire(value: u16) -> Option<Self> {
        let all = [
            Self::SystemCall,
            Self::KernelFunction,
            Self::Request,
            Self::UserFunction,
            Self::Usdt,
        ];
        all.into_iter()
            .find(|reason| u16::from(reason.to_wire()) == value)
    }
}
