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
    pub(in crate::bpf) fn start(batches: Vec<Vec<OwnedFd>>) -> io::Result<Self> {
        let raw: Vec<Vec<RawFd>> = batches
            .iter()
            .map(|batch| batch.iter().map(AsRawFd::as_raw_fd).collect())
            .collect();
        let (done, doing) = pipe()?;
        let (wait, begin) = pipe()?;
        let gate = wait.as_raw_fd();
        let mut children = Vec::new();
        for batch in &raw {
            // Sorted before the fork: a child allocates nothing.
            let mut keep = batch.clone();
            keep.extend([gate, doing.as_raw_fd()]);
            keep.sort_unstable();
            if let Ok(child) = fork(|| close_batch(batch, &keep, gate)) {
                children.push(child);
            }
        }
        drop(doing);
        // The children have all of them: nothing is detached by this.
        drop(batches);
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

/// In a child. Nothing comes out of the pipe `gate`, which ends when all others have closed what is
/// to be closed here.
fn close_batch(batch: &[RawFd], keep: &[RawFd], gate: RawFd) {
    // SAFETY: takes no argument. Signals of the terminal are not for us any more.
    unsafe { libc::setsid() };
    // What others are to close, and our output under whatever number: who reads it need not wait for
    // us.
    close_all_but(keep);
    let mut byte = 0_u8;
    // SAFETY: there is room for one byte. Signals are blocked: it ends with the pipe.
    unsafe { libc::read(gate, (&raw mut byte).cast(), 1) };
    for fd in batch {
        // SAFETY: the child has nothing that owns a descriptor.
        unsafe { libc::close(*fd) };
    }
}

/// Closes all descriptors but these, which are in ascending order.
fn close_all_but(keep: &[RawFd]) {
    let mut from = 0;
    for fd in keep {
        if *fd > from {
            close_range(from, fd - 1);
        }
        from = fd + 1;
    }
    close_range(from, RawFd::MAX);
}

fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: takes numbers; the child has nothing that owns a descriptor.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}
