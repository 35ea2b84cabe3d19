// SPDX-License-Identifier: BSD-2-Clause
//! Attaches or detaches in a second thread while records are read. Attaching to tens of thousands
//! of functions takes seconds, and sessions that end meanwhile are to be shown.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::thread;

use anyhow::{Context, Result, anyhow};
use libbpf_rs::{MapHandle, RingBufferBuilder};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::sys::Exclusive;
use super::tracer::{MAX_RECORDS_PER_READ, Sink, Tracer, consumed};

/// Interval for checking whether the other thread has finished, in milliseconds.
const FINISH_CHECK_INTERVAL_MS: u8 = 5;

impl<'obj> Tracer<'obj> {
    /// Runs `work` in a thread of its own, and meanwhile passes records to `sink`. [`Sink::wait`]
    /// is not called.
    ///
    /// # Errors
    /// If the thread cannot be started or the ring buffer cannot be read. In the latter case the
    /// result of `work` is lost.
    pub fn beside<T: Send>(
        &mut self,
        sink: &mut dyn Sink,
        work: impl FnOnce(&mut Self) -> T + Send,
    ) -> Result<T> {
        let events = MapHandle::try_from(&self.loaded.skel.maps.events)
            .context("failed to open the ring buffer")?;
        let sink = RefCell::new(sink);
        let mut builder = RingBufferBuilder::new();
        builder.add(&events, |bytes| {
            sink.borrow_mut().record(bytes);
            0
        })?;
        let ring = builder.build().context("failed to open the ring buffer")?;
        let exclusive: Exclusive<'_, 'obj> = Exclusive::new(self);
        thread::scope(|scope| {
            let worker = thread::Builder::new()
                .name("attach".to_owned())
                .spawn_scoped(scope, move || work(exclusive.into_inner()))
                .context("failed to start a thread")?;
            while !worker.is_finished() {
                let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
                match poll(&mut fds, PollTimeout::from(FINISH_CHECK_INTERVAL_MS)) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(error) => return Err(error).context("failed to wait for records"),
                }
                consumed(ring.consume_raw_n(MAX_RECORDS_PER_READ))?;
                sink.borrow_mut().deliver();
            }
            let done = worker.join();
            done.map_err(|_| anyhow!("attaching ended in a panic"))
        })
    }
}
