// SPDX-License-Identifier: BSD-2-Clause
//! Monotonic times → times of day. The offsets are measured once by whoever starts the run (or
//! come from its recording), so that the same bytes give the same text anywhere.

use super::value::push_pair;
use crate::session::MonotonicNs;

/// Where the monotonic clock stands in real time and in the local day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds to add to the monotonic clock for the time since 1970 (UTC).
    pub realtime_offset_ns: i64,
    /// Seconds to add to UTC for local time.
    pub utc_offset_seconds: i32,
}

/// A point of local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Local {
    /// Days since 1970-01-01.
    days: i64,
    hour: u32,
    minute: u32,
    second: u32,
    nanosecond: u32,
}

const NS: u32 = 1_000_000_000;

impl Clock {
    /// Appends `HH:MM:SS.uuuuuu`, local time.
    pub(super) fn push_time_of_day(&self, text: &mut String, at: MonotonicNs) {
        let Local {
            days: _,
            hour,
            minute,
            second,
            nanosecond,
        } = self.local(at);
        let us = nanosecond / 1000;
        let pairs = [
            (hour, ":"),
            (minute, ":"),
            (second, "."),
            (us / 10_000, ""),
            (us / 100, ""),
            (us, ""),
        ];
        for (pair, behind) in pairs {
            push_pair(text, pair);
            text.push_str(behind);
        }
    }

    /// RFC 3339 with nanoseconds and the local offset.
    #[must_use]
    pub fn rfc3339(&self, at: MonotonicNs) -> String {
        let Local {
            days,
            hour,
            minute,
            second,
            nanosecond,
        } = self.local(at);
        let (year, month, day) = civil(days);
        let offset = self.utc_offset_seconds / 60;
        let (sign, offset) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
        format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanosecond:09}\
             {sign}{:02}:{:02}",
            offset / 60,
            offset % 60
        )
    }

    /// Seconds and the rest are added by themselves: their sum in nanoseconds may take more than
    /// 64 bits, and dividing 128 takes long.
    fn local(&self, at: MonotonicNs) -> Local {
        let ns = i64::from(NS);
        let at_second = (at.0 / u64::from(NS)).cast_signed();
        let rest = (at.0 % u64::from(NS)).cast_signed() + self.realtime_offset_ns.rem_euclid(ns);
        let seconds = at_second
            + self.realtime_offset_ns.div_euclid(ns)
            + i64::from(self.utc_offset_seconds)
            + rest / ns;
        let of_day = seconds.rem_euclid(86_400) as u32;
        Local {
            days: seconds.div_euclid(86_400),
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            nanosecond: (rest % ns) as u32,
        }
    }
}

/// Days since 1970-01-01 → the Gregorian date. Years are counted from March, so that the leap day
/// is the last of a year, in eras of 400 years, which all have the same length.
fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * month + 2) / 5 + 1) as u32;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month as u32, day)
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
