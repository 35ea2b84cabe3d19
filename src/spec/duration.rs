// SPDX-License-Identifier: BSD-2-Clause
//! Durations as users write them: `500us`, `10ms`, `2s`, `5m`.

use std::time::Duration;

/// The unit of a number without one. It differs between options, as in the original retsnoop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareUnit {
    /// `-L 10` is 10 ms.
    Milliseconds,
    /// `--duration 10` is 10 s.
    Seconds,
}

/// Parses a duration: a number and a unit (`ns`, `us`, `ms`, `s`, `m`).
///
/// # Errors
///
/// A description of what is wrong with the text.
pub fn parse_duration(text: &str, bare: BareUnit) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits);
    if whole.is_empty()
        || rest.starts_with('.') && !rest[1..].starts_with(|c: char| c.is_ascii_digit())
    {
        return Err("a time is a number and a unit: 500us, 1.5ms, 2s, 5m".to_owned());
    }
    let (fraction, unit) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("", rest),
    };
    let ns_per_unit: u64 = match (unit.trim_start(), bare) {
        ("ns", _) => 1,
        ("us" | "µs", _) => 1_000,
        ("ms", _) | ("", BareUnit::Milliseconds) => 1_000_000,
        ("s", _) | ("", BareUnit::Seconds) => 1_000_000_000,
        ("m" | "min", _) => 60_000_000_000,
        (unit, _) => return Err(format!("unknown unit `{unit}`; known: ns, us, ms, s, m")),
    };
    let nanoseconds = whole.parse::<u64>().ok().and_then(|whole| {
        whole
            .checked_mul(ns_per_unit)?
            .checked_add(part_of(ns_per_unit, fraction))
    });
    nanoseconds
        .map(Duration::from_nanos)
        .ok_or_else(|| "longer than 584 years".to_owned())
}

/// Returns the fraction of `unit` that the digits after a decimal point denote.
fn part_of(unit: u64, fraction: &str) -> u64 {
    let mut part = 0;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        part += place * u64::from(digit - b'0');
    }
    part
}
