// SPDX-License-Identifier: BSD-2-Clause
//! Raw system calls, and the only `unsafe` of the simulator.
//!
//! Arguments are numbers or borrowed memory, so a call cannot be handed a pointer that dangles. Cases
//! that put an address into a structure keep its memory alive until the call is over, and addresses
//! given as numbers are never those of memory in use.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_long};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::errno::Errno;

/// One argument of a system call.
#[derive(Debug)]
pub(crate) enum Arg<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    Buffer(&'a mut [u8]),
    Text(&'a CStr),
}

impl Arg<'_> {
    fn value(&mut self) -> c_long {
        match self {
            Self::Number(number) => *number,
            Self::Bytes(bytes) => bytes.as_ptr() as c_long,
            Self::Buffer(buffer) => buffer.as_mut_ptr() as c_long,
            Self::Text(text) => text.as_ptr() as c_long,
        }
    }
}

impl From<i32> for Arg<'_> {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for Arg<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Arg<'_> {
    fn from(number: usize) -> Self {
        Self::Number(number as i64)
    }
}

impl From<&OwnedFd> for Arg<'_> {
    fn from(fd: &OwnedFd) -> Self {
        fd.as_raw_fd().into()
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Arg<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a mut [u8; N]> for Arg<'a> {
    fn from(buffer: &'a mut [u8; N]) -> Self {
        Self::Buffer(buffer)
    }
}

impl<'a> From<&'a CStr> for Arg<'a> {
    fn from(text: &'a CStr) -> Self {
        Self::Text(text)
    }
}

/// Makes a system call with up to six arguments, each a number or borrowed memory.
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::sys::raw($number, &mut [$($crate::sys::Arg::from($argument)),*])
    };
}
pub(crate) use call;

/// What `call!` expands to.
pub(crate) fn raw(number: c_long, arguments: &mut [Arg<'_>]) -> Result<i64, Errno> {
    let mut values = [0; 6];
    for (value, argument) in values.iter_mut().zip(arguments) {
        *value = argument.value();
    }
    let [a, b, c, d, e, f] = values;
    // SAFETY: pointers come from slices that are borrowed for as long as the call takes, and the
    // calls made here write no further than the lengths given beside them.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 {
        Err(last_error())
    } else {
        Ok(result)
    }
}

/// Makes a system call whose result is a new file descriptor.
macro_rules! call_fd {
    ($($argument:tt)*) => { $crate::sys::call!($($argument)*).map($crate::sys::own) };
}
pub(crate) use call_fd;

/// Takes over a file descriptor that a system call has just returned.
pub(crate) fn own(fd: i64) -> OwnedFd {
    // SAFETY: it was returned by the kernel just now, and nothing else knows of it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// Makes a pipe: its reading and its writing end.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0_u8; 8];
    call!(libc::SYS_pipe2, &mut ends, libc::O_CLOEXEC)?;
    let [a, b, c, d, e, f, g, h] = ends;
    let end = |bytes| own(i32::from_ne_bytes(bytes).into());
    Ok((end([a, b, c, d]), end([e, f, g, h])))
}

/// Names the calling thread, as `/proc/*/comm` shows it.
pub(crate) fn set_comm(name: &str) {
    let mut bytes = [0_u8; 16];
    let len = name.len().min(15);
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    // It fails for a bad address only.
    let _ = call!(libc::SYS_prctl, libc::PR_SET_NAME, &bytes);
}

pub(crate) fn is_root() -> bool {
    call!(libc::SYS_geteuid) == Ok(0)
}

/// Lets SIGALRM come once, so soon that the next call is interrupted by it.
pub(crate) fn alarm_soon() {
    extern "C" fn ignore(_: libc::c_int) {}
    // SAFETY: zero is a valid value of every field.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = ignore as *const () as usize;
    // SAFETY: the handler does nothing, so it may run at any time.
    unsafe { libc::sigaction(libc::SIGALRM, &action, ptr::null_mut()) };
    let once = libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        },
        it_value: libc::timeval {
            tv_sec: 0,
            tv_usec: 20_000,
        },
    };
    // SAFETY: the value is read before the call returns; the old one is not asked for.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &once, ptr::null_mut()) };
}

/// The address of memory, to be put into a structure that the kernel reads.
pub(crate) fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr() as u64
}

fn last_error() -> Errno {
    Errno(
        io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or_default(),
    )
}
