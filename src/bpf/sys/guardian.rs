// SPDX-License-Identifier: BSD-2-Clause
//! A child process that undoes what would outlive us, however our process ends.
//!
//! It waits for the end of a pipe, which the kernel closes even if we are killed, and then writes
//! commands to a file. It is forked, and does not execute another program, because the executable
//! may not exist any more by then. Other threads may have held locks at the time of the fork, so
//! the child only makes system calls.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use super::{fork, pipe};

/// Pause between two attempts, in nanoseconds.
const RETRY_PAUSE_NS: libc::c_long = 20_000_000;

/// Number of attempts if the kernel says that something is busy. Our descriptors are closed one by
/// one after our end of the pipe, and each may take a grace period. Ten minutes in total.
const MAX_ATTEMPTS: u32 = 30_000;

/// Descriptors of the pipe and of the file in the child.
const PIPE_FD: RawFd = 0;
const FILE_FD: RawFd = 1;

/// The pipe and the file are first duplicated to this descriptor or higher, so that they do not
/// overwrite each other.
const MIN_COPY_FD: libc::c_int = 3;

/// Our end of the pipe, and the child process.
#[derive(Debug)]
pub(in crate::bpf) struct Guardian {
    /// Nothing is written to it; the child waits for its end.
    pipe: Option<OwnedFd>,
    child: libc::pid_t,
}

impl Guardian {
    /// Starts a child that writes each of `commands` to `file` when this value is dropped or this
    /// process is gone.
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

    /// Returns whether the child has finished. The first call lets it begin.
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

    /// Lets the child begin, and does not wait for it. Returns its process id.
    pub(in crate::bpf) fn leave(mut self) -> u32 {
        mem::take(&mut self.child).cast_unsigned()
    }
}

impl Drop for Guardian {
    /// Waits for the child, so that everything is removed when the prompt returns.
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

/// Runs in the child. Returns true when the pipe has ended, false if the child cannot be set up.
fn wait_for_end_of(pipe: &OwnedFd, file: &OwnedFd) -> bool {
    // SAFETY: takes no argument.
    unsafe { libc::setsid() };
    let [pipe, file] = [pipe, file].map(|fd| {
        // SAFETY: takes numbers only.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD, MIN_COPY_FD) }
    });
    for (from, to) in [(pipe, PIPE_FD), (file, FILE_FD)] {
        // SAFETY: as above.
        if unsafe { libc::dup2(from, to) } < 0 {
            return false;
        }
    }
    // Other descriptors are those of our programs and probes, which would stay while the child has
    // them, our own end of the pipe, and the terminal.
    // SAFETY: as above. The child uses none of the closed descriptors.
    unsafe { libc::syscall(libc::SYS_close_range, FILE_FD + 1, u32::MAX, 0) };
    let mut byte = 0_u8;
    loop {
        // SAFETY: there is room for one byte.
        let n_read = unsafe { libc::read(PIPE_FD, (&raw mut byte).cast(), 1) };
        if n_read >= 0 || !is_errno(libc::EINTR) {
            return true;
        }
    }
}

fn write_command(command: &[u8]) {
    for _ in 0..MAX_ATTEMPTS {
        // SAFETY: the bytes live through the call.
        let written = unsafe { libc::write(FILE_FD, command.as_ptr().cast(), command.len()) };
        if written >= 0 || !(is_errno(libc::EBUSY) || is_errno(libc::EINTR)) {
            return;
        }
        let pause = libc::timespec {
            tv_sec: 0,
            tv_nsec: RETRY_PAUSE_NS,
        };
        // SAFETY: the time lives through the call, and the remaining time is not requested.
        unsafe { libc::nanosleep(&raw const pause, ptr::null_mut()) };
    }
}

fn is_errno(errno: i32) -> bool {
    io::Error::last_os_error().raw_os_error() == Some(errno)
}
