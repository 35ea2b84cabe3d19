// SPDX-License-Identifier: BSD-2-Clause
//! The result types of functions, and what a returned value means for each type.
//!
//! The BPF programs use the same classes (`enum result_class` in `bpf/include/events.h`). A test
//! compares the two.

use serde::{Deserialize, Serialize};

/// The largest errno that the kernel encodes in a return value (`MAX_ERRNO`).
const MAX_ERRNO: i64 = 4095;

/// `VM_FAULT_ERROR` of the kernel without `FALLBACK`: OOM, SIGBUS, SIGSEGV, HWPOISON,
/// `HWPOISON_LARGE`.
///
/// `FALLBACK` (0x800) asks for a smaller page and is not a failure.
const VM_FAULT_ERROR: u64 = 0x1 | 0x2 | 0x40 | 0x10 | 0x20;

/// How a function's result is interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResultType {
    /// No result.
    Void,
    /// `bool`: neither value is a failure.
    Bool,
    /// An unsigned integer with this size in bytes: never a failure.
    Unsigned(u8),
    /// A signed integer or enum with this size in bytes (1, 2, 4, 8): `-1..=-4095` is a failure.
    Signed(u8),
    /// A pointer: `NULL` and `ERR_PTR` are failures.
    Pointer,
    /// An `unsigned long` that may be an errno (the mmap family).
    UlongErrno,
    /// `blk_status_t`: any value but 0 is a failure.
    BlkStatus,
    /// `vm_fault_t`: the error bits are a failure.
    VmFault,
    /// The type is unknown. A value that looks like an errno counts only if a caller passed it on.
    Unknown,
    /// A user function that reports failures by `-1`, in 32 or 64 bits, as the C library does.
    MinusOne,
    /// A user function that returns a `bool`: `false` is a failure.
    False,
    /// A user function that returns an `int` or a `long`, or whose type is unknown: `-1`, and
    /// `-2..=-4095` as an errno, in 32 or 64 bits.
    UserInteger,
    /// `int`, or `bool`, of the function that runs seccomp filters. The programs send the errno that
    /// a refused system call fails with instead: `-1..=-4095`, or 0 if the call is allowed.
    Filter(FilterResult),
}

/// How a kernel tells that a seccomp filter has refused a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FilterResult {
    /// An `int` that is -1.
    MinusOne,
    /// A `bool` that is false.
    False,
}

/// `STATUS_MINUS_ONE` and `STATUS_FALSE` of `classify.bpf.h`: what a failing user function returns
/// if it is no errno.
const STATUS_MINUS_ONE: u32 = 0xffff;
const STATUS_FALSE: u32 = 0;

/// The meaning of a returned value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Not a failure.
    Success,
    /// A `NULL` pointer.
    Null,
    /// `-errno` or `ERR_PTR(-errno)`; 1..=4095.
    Errno(u16),
    /// A failing status of another type (`blk_status_t`, `vm_fault_t`, `-1` or `false` of a user
    /// function).
    Status(u32),
}

impl ResultType {
    /// Whether a value of this type can be a failure.
    #[must_use]
    pub fn can_fail(self) -> bool {
        !matches!(self, Self::Void | Self::Bool | Self::Unsigned(_))
    }

    /// Truncates a register to the width of this type, and extends the sign if the type is signed.
    #[must_use]
    pub fn widen(self, raw: u64) -> i64 {
        match self {
            Self::Void => 0,
            Self::Bool | Self::BlkStatus | Self::False => i64::from(raw as u8),
            Self::Signed(1) => i64::from(raw as i8),
            Self::Signed(2) => i64::from(raw as i16),
            Self::Signed(4) => i64::from(raw as i32),
            Self::Unsigned(1) => i64::from(raw as u8),
            Self::Unsigned(2) => i64::from(raw as u16),
            Self::Unsigned(4) | Self::VmFault => i64::from(raw as u32),
            _ => raw as i64,
        }
    }

    /// Returns the errno that the programs have put into the upper half of the `-1` of a function of the
    /// C library; `None` if they did not.
    #[must_use]
    pub fn errno_beside(self, raw: u64) -> Option<u16> {
        let is_minus_one = self == Self::MinusOne && raw as i32 == -1;
        let errno = u16::try_from(raw >> 32).ok();
        errno.filter(|errno| is_minus_one && (1..=MAX_ERRNO as u16).contains(errno))
    }

    /// The meaning of `raw`, the return register, for a function of this type.
    #[must_use]
    pub fn judge(self, raw: u64) -> Outcome {
        let value = self.widen(raw);
        match self {
            Self::Void | Self::Bool | Self::Unsigned(_) => Outcome::Success,
            Self::Pointer if value == 0 => Outcome::Null,
            Self::Pointer | Self::Signed(_) | Self::UlongErrno | Self::Filter(_) => errno(value),
            Self::BlkStatus if value != 0 => Outcome::Status(value as u32),
            Self::VmFault if raw & VM_FAULT_ERROR != 0 => Outcome::Status(value as u32),
            Self::BlkStatus | Self::VmFault => Outcome::Success,
            Self::Unknown => errno_of_any_width(raw),
            Self::MinusOne if raw as i32 == -1 => Outcome::Status(STATUS_MINUS_ONE),
            Self::False if value == 0 => Outcome::Status(STATUS_FALSE),
            Self::MinusOne | Self::False => Outcome::Success,
            Self::UserInteger => match errno_of_any_width(raw) {
                Outcome::Errno(1) => Outcome::Status(STATUS_MINUS_ONE),
                outcome => outcome,
            },
        }
    }
}

impl Outcome {
    /// Whether it is a failure of any kind.
    #[must_use]
    pub fn is_failure(self) -> bool {
        self != Self::Success
    }
}

fn errno_of_any_width(raw: u64) -> Outcome {
    match errno(raw as i64) {
        Outcome::Success => errno(i64::from(raw as i32)),
        failure => failure,
    }
}

fn errno(value: i64) -> Outcome {
    if (-MAX_ERRNO..0).contains(&value) {
        Outcome::Errno((-value) as u16)
    } else {
        Outcome::Success
    }
}
