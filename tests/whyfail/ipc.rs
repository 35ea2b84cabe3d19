// SPDX-License-Identifier: BSD-2-Clause
//! Message queues, timers, watches.

use std::ffi::CString;

use crate::sys::{call, call_fd};
use crate::{Attempt, Trouble, number, text, tried};

/// Of `clockid_t`: wakes the machine up.
const REALTIME_ALARM: i32 = 8;
const FAN_CLASS_CONTENT: i32 = 4;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("mq-open", |arguments| {
        let usage = "mq-open MESSAGES SIZE";
        let (messages, size) = (number(arguments, 0, usage)?, number(arguments, 1, usage)?);
        let mut attributes = [0_u8; 64];
        attributes[8..16].copy_from_slice(&messages.to_ne_bytes());
        attributes[16..24].copy_from_slice(&size.to_ne_bytes());
        let flags = libc::O_CREAT | libc::O_RDWR;
        let opened = call!(libc::SYS_mq_open, c"whyfail", flags, 0o600, &attributes);
        tried("mq_open", opened)
    }),
    ("timerfd-alarm", |_| {
        tried(
            "timerfd_create",
            call!(libc::SYS_timerfd_create, REALTIME_ALARM, 0),
        )
    }),
    ("inotify", |_| {
        tried("inotify_init1", call!(libc::SYS_inotify_init1, 0))
    }),
    ("inotify-watch", |arguments| {
        let watched = text(arguments, 0, "inotify-watch PATH")?;
        let watched = CString::new(watched).map_err(|_| Trouble::Usage("inotify-watch PATH"))?;
        let watches = call_fd!(libc::SYS_inotify_init1, 0)?;
        let modified = libc::IN_MODIFY as i32;
        let added = call!(
            libc::SYS_inotify_add_watch,
            &watches,
            watched.as_c_str(),
            modified
        );
        tried("inotify_add_watch", added)
    }),
    ("fanotify", |_| {
        tried(
            "fanotify_init",
            call!(libc::SYS_fanotify_init, FAN_CLASS_CONTENT, libc::O_RDONLY),
        )
    }),
];
