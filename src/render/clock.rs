// SPDX-License-Identifier: BSD-2-Clause
//! Converts monotonic times to times of day. The offsets are measured once when the run starts, or
//! come from its recording, so that the same input gives the same text anywhere.

use std::fmt::Write;

use chrono::{DateTime, FixedOffset, SecondsFormat};

use crate::session::MonotonicNs;

/// The offsets of the monotonic clock from real time and of local time from UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds to add to the monotonic clock for the time since 1970 (UTC).
    pub realtime_offset_ns: i64,
    /// Seconds to add to UTC for local time.
    pub utc_offset_seconds: i32,
}

const NS: u32 = 1_000_000_000;

impl Clock {
    /// Appends `HH:MM:SS.uuuuuu`, local time.
    pub fn push_time_of_day(&self, text: &mut String, at: MonotonicNs) {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{}", self.local(at).format("%H:%M:%S%.6f"));
    }

    /// Formats a time as RFC 3339 with nanoseconds and the local offset.
    #[must_use]
    pub fn rfc3339(&self, at: MonotonicNs) -> String {
        self.local(at).to_rfc3339_opts(SecondsFormat::Nanos, false)
    }

    /// Adds seconds and nanoseconds separately, because their sum in nanoseconds may exceed 64
    /// bits.
    fn local(&self, at: MonotonicNs) -> DateTime<FixedOffset> {
        let ns = i64::from(NS);
        let at_second = (at.0 / u64::from(NS)).cast_signed();
        let rest = (at.0 % u64::from(NS)).cast_signed() + self.realtime_offset_ns.rem_euclid(ns);
        let seconds = at_second + self.realtime_offset_ns.div_euclid(ns) + rest / ns;
        // Both are in range: the years end at 2846. A recording may have any offset from UTC; an
        // invalid one is ignored.
        let utc = DateTime::from_timestamp(seconds, (rest % ns) as u32).unwrap_or_default();
        let offset = FixedOffset::east_opt(self.utc_offset_seconds);
        match offset {
            Some(offset) => utc.with_timezone(&offset),
            None => utc.fixed_offset(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use crate::session::MonotonicNs;

    fn check(utc_ns: i64, utc_offset_seconds: i32, expected: &str) {
        let clock = Clock {
            realtime_offset_ns: utc_ns - 5,
            utc_offset_seconds,
        };
        assert_eq!(clock.rfc3339(MonotonicNs(5)), expected);
        let mut time_of_day = String::new();
        clock.push_time_of_day(&mut time_of_day, MonotonicNs(5));
        assert_eq!(time_of_day, expected[11..26]);
    }

    #[test]
    fn times_are_local_and_exact() {
        check(0, 0, "1970-01-01T00:00:00.000000000+00:00");
        check(
            1_709_210_096_123_456_789,
            0,
            "2024-02-29T12:34:56.123456789+00:00",
        );
        check(
            1_709_210_096_123_456_789,
            7200,
            "2024-02-29T14:34:56.123456789+02:00",
        );
        check(
            1_735_689_599_999_999_999,
            3600,
            "2025-01-01T00:59:59.999999999+01:00",
        );
        check(
            1_709_210_096_000_000_000,
            -12_600,
            "2024-02-29T09:04:56.000000000-03:30",
        );
        check(-1, 0, "1969-12-31T23:59:59.999999999+00:00");
    }

    #[test]
    fn times_that_cannot_be_are_times() {
        let said = |realtime_offset_ns, at| {
            let clock = Clock {
                realtime_offset_ns,
                utc_offset_seconds: 0,
            };
            clock.rfc3339(MonotonicNs(at))
        };
        assert_eq!(
            said(i64::MAX, u64::MAX),
            "2846-10-30T23:21:50.564327422+00:00"
        );
        assert_eq!(said(i64::MIN, 0), "1677-09-21T00:12:43.145224192+00:00");
    }
}
