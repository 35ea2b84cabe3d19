// SPDX-License-Identifier: BSD-2-Clause
//! Closes links in child processes.
//!
//! Closing a link may take a tenth of a second, and nothing interrupts the thread that does it.
//! Child processes can go on with it after our end. If several of them close links at the same
//! time, they share some grace periods. As in `guardian`, the children only make system calls.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::{fork, pipe};

/// Child processes that close links. A link is detached when the last process that has it closes
/// it.
#[derive(Debug)]
pub(in crate::bpf) struct Closing {
    /// Readable when all children have finished.
    done: OwnedFd,
    children: Vec<libc::pid_t>,
}

impl Closing {
    /// Starts a child process for each batch, which closes the descriptors of the batch in order.
    /// If no child can be started, this process closes them.
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
            // Sorted before the fork, because a child must not allocate.
            let mut keep = batch.clone();
            keep.extend([gate, doing.as_raw_fd()]);
            keep.sort_unstable();
            if let Ok(child) = fork(|| close_batch(batch, &keep, gate)) {
                children.push(child);
            }
        }
        drop(doing);
        // The children have all descriptors, so this detaches nothing.
        drop(batches);
        // Only now may the children begin. If they began before, this process would have been the
        // last one with the links, and would have detached them.
        drop(begin);
        Ok(Self { done, children })
    }

    /// Waits for at most `timeout`. Returns whether all children have finished.
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

    /// Returns the ids of the child processes.
    pub(in crate::bpf) fn children(&self) -> &[libc::pid_t] {
        &self.children
    }
}

/// Runs in a child. Nothing is written to the pipe `gate`. It reaches its end when all other
/// processes have closed the descriptors of this batch.
fn close_batch(batch: &[RawFd], keep: &[RawFd], gate: RawFd) {
    // SAFETY: takes no argument. Signals from the terminal no longer reach this process.
    unsafe { libc::setsid() };
    // Close the other batches, and our output, whatever its descriptor: its readers need not wait
    // for this process.
    close_all_but(keep);
    let mut byte = 0_u8;
    // SAFETY: there is room for one byte. Signals are blocked: the read ends with the pipe.
    unsafe { libc::read(gate, (&raw mut byte).cast(), 1) };
    for fd in batch {
        // SAFETY: the child has nothing that owns a descriptor.
        unsafe { libc::close(*fd) };
    }
}

/// Closes all descriptors but `keep`, which are in ascending order.
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
