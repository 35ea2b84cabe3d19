// SPDX-License-Identifier: BSD-2-Clause
//! Numbers → text: results by type, durations, errnos. No other file formats them.

use std::ops::Range;

use crate::session::Call;
use crate::spec::{Errno, Outcome, ResultType};

/// Beyond these a number reads better in hexadecimal.
const DECIMAL: Range<i64> = -(1 << 30)..1 << 20;

/// A result as a kernel developer writes it: `-EINVAL`, `NULL`, `true`, `0xffff888003f2c000`.
#[must_use]
pub fn result_text(result_type: ResultType, raw: u64, outcome: Outcome) -> String {
    match outcome {
        Outcome::Null => "NULL".to_owned(),
        Outcome::Errno(number) => format!("-{}", Errno(number)),
        Outcome::Status(status) if result_type == ResultType::BlkStatus => blk_status(status),
        Outcome::Status(status) => vm_fault(status),
        Outcome::Success => success(result_type, raw),
    }
}

/// The result of a call, in brackets; `[...]` where it did not return.
pub(super) fn call_result(result_type: ResultType, call: &Call) -> String {
    if call.returned {
        format!("[{}]", result_text(result_type, call.result, call.outcome))
    } else {
        "[...]".to_owned()
    }
}

/// A duration in whole microseconds: `24us`.
#[must_use]
pub fn duration_text(ns: u64) -> String {
    format!("{}us", ns / 1000)
}

/// `EINVAL: Invalid argument`, for the kernel's errnos.
pub(super) fn errno_in_words(outcome: Outcome) -> Option<String> {
    let Outcome::Errno(number) = outcome else {
        return None;
    };
    let errno = Errno(number);
    Some(format!("{}: {}", errno.name()?, errno.meaning()?))
}

fn success(result_type: ResultType, raw: u64) -> String {
    let value = result_type.widen(raw);
    match result_type {
        ResultType::Void => "void".to_owned(),
        ResultType::Bool => (value != 0).to_string(),
        ResultType::Pointer => format!("{raw:#x}"),
        ResultType::Unsigned(8) | ResultType::UlongErrno => number(raw.try_into(), raw),
        ResultType::Unsigned(_) | ResultType::BlkStatus | ResultType::VmFault => {
            number(Ok::<_, ()>(value), value as u64)
        }
        ResultType::Signed(size) => number(Ok::<_, ()>(value), truncated(raw, size)),
        ResultType::Unknown => number(Ok::<_, ()>(value), raw),
    }
}

fn number<E>(value: Result<i64, E>, bits: u64) -> String {
    match value {
        Ok(value) if DECIMAL.contains(&value) => value.to_string(),
        _ => format!("{bits:#x}"),
    }
}

fn truncated(raw: u64, size: u8) -> u64 {
    match size {
        1..=7 => raw & ((1 << (u32::from(size) * 8)) - 1),
        _ => raw,
    }
}

/// `blk_status_t`; the first twelve have been the same since 4.13.
fn blk_status(status: u32) -> String {
    const NAMES: [&str; 12] = [
        "NOTSUPP",
        "TIMEOUT",
        "NOSPC",
        "TRANSPORT",
        "TARGET",
        "NEXUS",
        "MEDIUM",
        "PROTECTION",
        "RESOURCE",
        "IOERR",
        "DM_REQUEUE",
        "AGAIN",
    ];
    match (status as usize)
        .checked_sub(1)
        .and_then(|index| NAMES.get(index))
    {
        Some(name) => format!("BLK_STS_{name}"),
        None => format!("BLK_STS {status}"),
    }
}

fn vm_fault(status: u32) -> String {
    const NAMES: [(u32, &str); 5] = [
        (0x1, "VM_FAULT_OOM"),
        (0x2, "VM_FAULT_SIGBUS"),
        (0x10, "VM_FAULT_HWPOISON"),
        (0x20, "VM_FAULT_HWPOISON_LARGE"),
        (0x40, "VM_FAULT_SIGSEGV"),
    ];
    let set = NAMES.iter().filter(|(bit, _)| status & bit != 0);
    let names: Vec<_> = set.map(|(_, name)| *name).collect();
    if names.is_empty() {
        format!("VM_FAULT {status:#x}")
    } else {
        names.join("|")
    }
}

#[cfg(test)]
mod tests;
