// SPDX-License-Identifier: BSD-2-Clause
//! Formats numbers: results by type, durations, errnos. No other file formats them.

use std::fmt::Write;
use std::ops::Range;

use crate::session::Call;
use crate::spec::{Errno, NoteValue, Outcome, ResultType};

/// Numbers in this range are shown in decimal, others in hexadecimal.
const DECIMAL_RANGE: Range<i64> = -(1 << 30)..1 << 20;

/// Formats a result as a kernel developer writes it: `-EINVAL`, `NULL`, `true`,
/// `0xffff888003f2c000`.
pub(super) fn result_text(result_type: ResultType, raw: u64, outcome: Outcome) -> String {
    let mut text = String::new();
    push_result(&mut text, result_type, raw, outcome);
    text
}

/// Appends the text of [`result_text`].
pub(super) fn push_result(text: &mut String, result_type: ResultType, raw: u64, outcome: Outcome) {
    match outcome {
        Outcome::Null => text.push_str("NULL"),
        Outcome::Errno(number) => {
            text.push('-');
            match Errno(number).name() {
                Some(name) => text.push_str(name),
                None => push_decimal(text, number.into()),
            }
        }
        Outcome::Status(status) => match result_type {
            ResultType::BlkStatus => blk_status(text, status),
            ResultType::MinusOne | ResultType::UserInteger => {
                text.push_str("-1");
                if let Some(errno) = result_type.errno_beside(raw) {
                    text.push(' ');
                    match Errno(errno).name() {
                        Some(name) => text.push_str(name),
                        None => push_decimal(text, errno.into()),
                    }
                }
            }
            ResultType::False => text.push_str("false"),
            _ => vm_fault(text, status),
        },
        Outcome::Success => success(text, result_type, raw),
    }
}

/// Appends the result of a call in brackets; `[...]` if it did not return.
pub(super) fn push_call_result(text: &mut String, result_type: ResultType, call: &Call) {
    text.push('[');
    if call.returned {
        push_result(text, result_type, call.result, call.outcome);
    } else {
        text.push_str("...");
    }
    text.push(']');
}

/// Appends a duration in whole microseconds, rounded down: `24us`.
pub(super) fn push_duration(text: &mut String, ns: u64) {
    push_decimal(text, ns / 1000);
    text.push_str("us");
}

/// Returns name and meaning of an errno, such as `EINVAL` and `Invalid argument`; `None` if it is
/// not an errno of the kernel.
pub(super) fn errno_in_words(outcome: Outcome) -> Option<(&'static str, &'static str)> {
    let Outcome::Errno(number) = outcome else {
        return None;
    };
    let errno = Errno(number);
    Some((errno.name()?, errno.meaning()?))
}

/// Appends a number in decimal. `write!` takes several times as long, and a session has dozens.
pub(super) fn push_decimal(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// Appends a number in hexadecimal, with `0x`.
pub(super) fn push_hex(text: &mut String, number: u64) {
    // Writing to a `String` cannot fail.
    let _ = write!(text, "{number:#x}");
}

/// Appends a value of a note: numbers in decimal, hexadecimal or octal, bytes in hexadecimal, texts
/// as they are.
pub(super) fn push_note_value(text: &mut String, value: &NoteValue) {
    // Writing to a `String` cannot fail.
    let _ = match value {
        NoteValue::Signed(number) => write!(text, "{number}"),
        NoteValue::Unsigned(number) => write!(text, "{number}"),
        NoteValue::Hex(number) => write!(text, "{number:#x}"),
        NoteValue::Octal(number) => write!(text, "0{number:o}"),
        NoteValue::Named(_, name) => write!(text, "{name}"),
        NoteValue::Text(bytes) => write!(text, "{}", String::from_utf8_lossy(bytes)),
        NoteValue::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}")),
        NoteValue::Stack(_) | NoteValue::Unread => Ok(()),
    };
}

fn success(text: &mut String, result_type: ResultType, raw: u64) {
    let value = result_type.widen(raw);
    match result_type {
        ResultType::Void => text.push_str("void"),
        ResultType::Bool | ResultType::False => {
            text.push_str(if value != 0 { "true" } else { "false" })
        }
        ResultType::Pointer => push_hex(text, raw),
        ResultType::Unsigned(8) | ResultType::UlongErrno => number(text, raw.try_into(), raw),
        ResultType::Unsigned(_) | ResultType::BlkStatus | ResultType::VmFault => {
            number(text, Ok::<_, ()>(value), value as u64);
        }
        ResultType::Signed(size) => number(text, Ok::<_, ()>(value), truncated(raw, size)),
        ResultType::Unknown
        | ResultType::MinusOne
        | ResultType::UserInteger
        | ResultType::Filter(_) => {
            number(text, Ok::<_, ()>(value), raw);
        }
    }
}

fn number<E>(text: &mut String, value: Result<i64, E>, bits: u64) {
    match value {
        Ok(value) if DECIMAL_RANGE.contains(&value) => {
            if value < 0 {
                text.push('-');
            }
            push_decimal(text, value.unsigned_abs());
        }
        _ => push_hex(text, bits),
    }
}

fn truncated(raw: u64, size: u8) -> u64 {
    match size {
        1..=7 => raw & ((1 << (u32::from(size) * 8)) - 1),
        _ => raw,
    }
}

/// Appends the name of a `blk_status_t`. The first twelve values are the same since 4.13
/// (2a842acab109, "block: introduce new block status code type"). One name changed: since 6.5
/// (7ba150834b84) `BLK_STS_NEXUS` is `BLK_STS_RESV_CONFLICT`.
fn blk_status(text: &mut String, status: u32) {
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
    let index = (status as usize).checked_sub(1);
    text.push_str("BLK_STS");
    match index.and_then(|index| NAMES.get(index)) {
        Some(name) => {
            text.push('_');
            text.push_str(name);
        }
        None => {
            text.push(' ');
            push_decimal(text, status.into());
        }
    }
}

fn vm_fault(text: &mut String, status: u32) {
    const NAMES: [(u32, &str); 5] = [
        (0x1, "VM_FAULT_OOM"),
        (0x2, "VM_FAULT_SIGBUS"),
        (0x10, "VM_FAULT_HWPOISON"),
        (0x20, "VM_FAULT_HWPOISON_LARGE"),
        (0x40, "VM_FAULT_SIGSEGV"),
    ];
    let mut between = "";
    for (_, name) in NAMES.iter().filter(|(bit, _)| status & bit != 0) {
        text.push_str(between);
        text.push_str(name);
        between = "|";
    }
    if between.is_empty() {
        text.push_str("VM_FAULT ");
        push_hex(text, status.into());
    }
}

#[cfg(test)]
mod tests;
