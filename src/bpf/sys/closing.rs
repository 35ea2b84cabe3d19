// SPDX-License-Identifier: BSD-2-Clause
//! Closing links in child processes.
//!
//! To close a link may take a tenth of a second, in which nothing interrupts the thread that does
//! it. Children can be left to it; and what several of them close at the same time shares some of
//! the kernel's waits. As in `guardian`, they make system calls and do nothing else.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::{fork, pipe};

/// Children that close links. The last of them to have a link detaches it.
#[derive(Debug)]
pub(in crate::bpf) struct Closing {
    /// Readable when all of them are done.
    done: OwnedFd,
    children: Vec<libc::pid_t>,
}

impl Closing {
    /// Has each of the lists closed by a child of its own, in its order. Where there can be none,
    /// this process does.
    pub(in crate::bpf) fn start(lanes: Vec<Vec<OwnedFd>>) -> io::Result<Self> {
        let raw: Vec<Vec<RawFd>> = lanes
            .iter()
            .map(|lane| lane.iter().map(AsRawFd::as_raw_fd).collect())
            .collect();
        let (done, doing) = pipe()?;
        let (wait, begin) = pipe()?;
        let gate = [wait.as_raw_fd(), begin.as_raw_fd()];
        let mut children = Vec::new();
        for number in 0..raw.len() {
            if let Ok(child) = fork(|| close_lane(&raw, number, gate)) {
                children.push(child);
            }
        }
        drop(doing);
        // The children have all of them: nothing is detached by this.
        drop(lanes);
        // Before, ours would have been the last ones, and the work ours.
        drop(begin);
        Ok(Self { done, children })
    }

    /// Waits for so long at most; returns whether all are done.
    pub(in crate::bpf) fn wait(&self, timeout: Duration) -> bool {
        let mut poll = libc::pollfd {
            fd: self.done.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one element, which lives through the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, timeout) };
        if ready > 0 {
            for child in &self.children {
                // SAFETY: a null status is not written to.
                unsafe { libc::waitpid(*child, ptr::null_mut(), 0) };
            }
        }
        ready > 0
    }

    /// Who is at it.
    pub(in crate::bpf) fn children(&self) -> &[libc::pid_t] {
        &self.children
    }
}

/// In a child. `gate` is a pipe: nothing comes out of it, and it ends when all others have closed
/// what is to be closed here.
fn close_lane(lanes: &[Vec<RawFd>], number: usize, [wait, begin]: [RawFd; 2]) {
    // SAFETY: takes no argument. Signals of the terminal are not for us any more.
    unsafe { libc::setsid() };
    // Whoever reads our output need not wait for us.
    for fd in 0..3 {
        close(fd);
    }
    let others = lanes.iter().enumerate().filter(|(lane, _)| *lane != number);
    for (_, lane) in others {
        for fd in lane {
            close(*fd);
        }
    }
    close(begin);
    let mut byte = 0_u8;
    // SAFETY: there is room for one byte. Signals are blocked: it ends with the pipe.
    unsafe { libc::read(wait, (&raw mut byte).cast(), 1) };
    for fd in &lanes[number] {
        close(*fd);
    }
}

fn close(fd: RawFd) {
    // SAFETY: the child has nothing that owns a descriptor.
    unsafe { libc::close(fd) };
}
