// SPDX-License-Identifier: BSD-2-Clause
//! A child process that takes back what outlives us, however we end.
//!
//! It waits until the pipe to us is closed, which the kernel does for whoever is killed, and then
//! writes some commands to a file. It is forked and never becomes another program: there may be
//! no file to start any more. Other threads of ours may have held locks when it was forked, so
//! that it makes system calls and does nothing else.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use super::{fork, pipe};

/// Between two attempts, in nanoseconds.
const PAUSE: libc::c_long = 20_000_000;

/// So often a command is tried that meets something busy: our descriptors go one by one after our
/// pipe, and each may take a grace period. Ten minutes in all.
const ATTEMPTS: u32 = 30_000;

/// Where the child has its end of the pipe and the file.
const PIPE: RawFd = 0;
const FILE: RawFd = 1;

/// Descriptors below are given away again.
const ABOVE: libc::c_int = 3;

/// Our end of the pipe, and the child.
#[derive(Debug)]
pub(in crate::bpf) struct Guardian {
    /// Nothing is ever written to it.
    pipe: Option<OwnedFd>,
    child: libc::pid_t,
}

impl Guardian {
    /// Has each of `commands` written to `file` when this value is dropped or this process gone.
    pub(in crate::bpf) fn start(file: OwnedFd, commands: Vec<Vec<u8>>) -> io::Result<Self> {
        let (read, write) = pipe()?;
        let child = fork(|| {
            if wait_for_end_of(&read, &file) {
                for command in &commands {
                    write_command(command);
                }
            }
        })?;
        Ok(Self {
            pipe: Some(write),
            child,
        })
    }

    /// Whether the child is done; it begins when this is first asked.
    pub(in crate::bpf) fn is_done(&mut self) -> bool {
        drop(self.pipe.take());
        if self.child > 0 {
            // SAFETY: a null status is not written to.
            let ended = unsafe { libc::waitpid(self.child, ptr::null_mut(), libc::WNOHANG) };
            if ended == 0 {
                return false;
            }
            self.child = 0;
        }
        true
    }

    /// As dropping it, but without waiting. Returns who goes on.
    pub(in crate::bpf) fn leave(mut self) -> u32 {
        mem::take(&mut self.child).cast_unsigned()
    }
}

impl Drop for Guardian {
    /// Waits for the child: nothing is left when the prompt is back.
    fn drop(&mut self) {
        drop(self.pipe.take());
        if self.child == 0 {
            return;
        }
        loop {
            // SAFETY: a null status is not written to.
            let waited = unsafe { libc::waitpid(self.child, ptr::null_mut(), 0) };
            if waited >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }
}

/// In the child. Every other descriptor is closed first: those of our programs and probes, which
/// would go on as long as it has them, our own end of the pipe, and the terminal.
fn wait_for_end_of(pipe: &OwnedFd, file: &OwnedFd) -> bool {
    // SAFETY: takes no argument.
    unsafe { libc::setsid() };
    let [pipe, file] = [pipe, file].map(|fd| {
        // SAFETY: takes numbers only.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD, ABOVE) }
    });
    for (from, to) in [(pipe, PIPE), (file, FILE)] {
        // SAFETY: as above.
        if unsafe { libc::dup2(from, to) } < 0 {
            return false;
        }
    }
    // SAFETY: as above. Nothing of the child's uses what is closed.
    unsafe { libc::syscall(libc::SYS_close_range, FILE + 1, u32::MAX, 0) };
    let mut byte = 0_u8;
    loop {
        // SAFETY: there is room for one byte.
        let n_read = unsafe { libc::read(PIPE, (&raw mut byte).cast(), 1) };
        if n_read >= 0 || !is_errno(libc::EINTR) {
            return true;
        }
    }
}

fn write_command(command: &[u8]) {
    for _ in 0..ATTEMPTS {
        // SAFETY: the bytes live through the call.
        let written = unsafe { libc::write(FILE, command.as_ptr().cast(), command.len()) };
        if written >= 0 || !(is_errno(libc::EBUSY) || is_errno(libc::EINTR)) {
            return;
        }
        let pause = libc::timespec {
            tv_sec: 0,
            tv_nsec: PAUSE,
        };
        // SAFETY: the time lives through the call, and what is left of it is not asked for.
        unsafe { libc::nanosleep(&raw const pause, ptr::null_mut()) };
    }
}

fn is_errno(errno: i32) -> bool {
    io::Error::last_os_error().raw_os_error() == Some(errno)
}
