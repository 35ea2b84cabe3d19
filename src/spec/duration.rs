// SPDX-License-Identifier: BSD-2-Clause
//! Time spans as users write them: `500us`, `10ms`, `2s`, `5m`.

use std::time::Duration;

/// What a number without a unit means; it differs between options, as in the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareUnit {
    /// `-L 10` is 10 ms.
    Milliseconds,
    /// `--duration 10` is 10 s.
    Seconds,
}

/// The time span that `text` means: a whole number and a unit (`ns`, `us`, `ms`, `s`, `m`).
///
/// # Errors
///
/// Says what is wrong with the text.
pub fn parse_duration(text: &str, bare: BareUnit) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("a time is a whole number and a unit: 500us, 10ms, 2s, 5m".to_owned());
    }
    let ns_per_unit: u64 = match (unit.trim_start(), bare) {
        ("ns", _) => 1,
        ("us" | "µs", _) => 1_000,
        ("ms", _) | ("", BareUnit::Milliseconds) => 1_000_000,
        ("s", _) | ("", BareUnit::Seconds) => 1_000_000_000,
        ("m" | "min", _) => 60_000_000_000,
        (unit, _) => return Err(format!("unknown unit `{unit}`; known: ns, us, ms, s, m")),
    };
    let nanoseconds = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(ns_per_unit));
    nanoseconds
        .map(Duration::from_nanos)
        .ok_or_else(|| "longer than 584 years".to_owned())
}
