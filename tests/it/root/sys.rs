// SPDX-License-Identifier: BSD-2-Clause
//! System calls that the tests make themselves.

pub(super) use libc::{SIGINT, SIGKILL, SIGTERM};

pub(super) fn kill(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).unwrap();
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}
