// SPDX-License-Identifier: BSD-2-Clause
//! Cases of clocks and timers. None of them changes a clock: the times are no times.

use crate::case::Case;
use crate::sys::call;

pub(crate) const CASES: &[Case] = &[
    Case::fails(
        ("timerfd-clock", "timerfd_create"),
        libc::EINVAL,
        "__x64_sys_timerfd_create",
        "a clock that there is not",
        |_| Ok(call!(libc::SYS_timerfd_create, 99, 0)),
    ),
    Case::fails(
        ("clock-range", "clock_settime"),
        libc::EINVAL,
        "do_sys_settimeofday64",
        "a time with two seconds of nanoseconds",
        |_| {
            Ok(call!(
                libc::SYS_clock_settime,
                libc::CLOCK_REALTIME,
                &no_time()
            ))
        },
    ),
    Case::fails(
        ("clock-adjust", "clock_adjtime"),
        libc::EOPNOTSUPP,
        "__x64_sys_clock_adjtime",
        "a clock that cannot be adjusted",
        |_| {
            Ok(call!(
                libc::SYS_clock_adjtime,
                libc::CLOCK_MONOTONIC,
                &mut [0; 208]
            ))
        },
    ),
    Case::fails(
        ("timer-signal", "timer_create"),
        libc::EINVAL,
        "do_timer_create",
        "a timer with a signal that there is not",
        |_| {
            let mut event = [0; 64];
            event[8..12].copy_from_slice(&99_i32.to_ne_bytes());
            Ok(call!(
                libc::SYS_timer_create,
                libc::CLOCK_MONOTONIC,
                &event,
                &mut [0; 8]
            ))
        },
    ),
    Case::fails(
        ("sleep-range", "nanosleep"),
        libc::EINVAL,
        "__x64_sys_nanosleep",
        "for two seconds of nanoseconds",
        |_| Ok(call!(libc::SYS_nanosleep, &no_time(), 0)),
    ),
];

/// A `timespec` of more than 999,999,999 nanoseconds.
fn no_time() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&2_000_000_000_i64.to_ne_bytes());
    bytes
}
