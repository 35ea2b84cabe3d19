// SPDX-License-Identifier: BSD-2-Clause
//! The end of a trace: child processes close its links, so that nobody has to wait for them who
//! does not want to.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use super::attach::Link;
use super::sys::{Closing, Guardian};
use super::tracer::Tracer;
use crate::spec::BackendKind;

/// So many children close single kprobes at the same time: the kernel waits for each that nobody is
/// running it any more, and those waits can be shared. Measured on 6.1, a function: 80 ms by one
/// thread, 36 by 32. Other links wait under one lock.
const AT_ONCE: usize = 16;

/// Fewer single kprobes are not worth another child.
const FEW: usize = 4;

/// A trace that is being detached.
#[derive(Debug)]
pub struct Detaching {
    /// `None` where there were no children to be had, so that all is done.
    closing: Option<Closing>,
    guardians: Vec<Guardian>,
}

impl Tracer<'_> {
    /// Detaches, in the background.
    #[must_use]
    pub fn detach(mut self) -> Detaching {
        let mut guardians = Vec::new();
        let mut in_turn: Vec<OwnedFd> = Vec::new();
        let mut at_once: Vec<Link> = Vec::new();
        for (backend, links) in self.links.drain(..) {
            match backend {
                BackendKind::Kprobe | BackendKind::OnLoad => at_once.extend(links.links),
                _ => in_turn.extend(links.links.into_iter().map(|link| link.fd)),
            }
            guardians.extend(links.guardian);
        }
        let mut batches = batches(at_once);
        for probe in self.tasks.drain(..) {
            let fds = [probe.link, probe.program];
            // On the newest kernels: 45 ms of nothing but waiting, during which links are closed.
            if probe.is_event {
                batches.push(Vec::from(fds));
            } else {
                in_turn.extend(fds);
            }
        }
        batches.push(in_turn);
        Detaching {
            closing: Closing::start(batches).ok(),
            guardians,
        }
    }
}

/// The links of each function stay together, in their order.
fn batches(links: Vec<Link>) -> Vec<Vec<OwnedFd>> {
    let n_batches = links.len().div_ceil(2 * FEW).min(AT_ONCE);
    let per_batch = links.len().div_ceil(n_batches.max(1)).next_multiple_of(4);
    let mut batches: Vec<Vec<OwnedFd>> = Vec::new();
    for (number, link) in links.into_iter().enumerate() {
        if number % per_batch == 0 {
            batches.push(Vec::with_capacity(per_batch));
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(link.fd);
        }
    }
    batches
}

impl Detaching {
    /// Waits for so long at most; returns whether everything is detached.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        if let Some(closing) = &self.closing
            && !closing.wait(timeout)
        {
            return false;
        }
        self.closing = None;
        // Named probes can go now.
        self.guardians.retain_mut(|guardian| !guardian.is_done());
        if !self.guardians.is_empty() {
            thread::sleep(timeout);
        }
        self.guardians.is_empty()
    }

    /// Leaves the rest to the background; returns the processes that are at it.
    #[must_use]
    pub fn leave(mut self) -> Vec<u32> {
        let children = self.closing.as_ref().map_or(&[][..], Closing::children);
        let mut children: Vec<u32> = children.iter().map(|child| child.cast_unsigned()).collect();
        children.extend(self.guardians.drain(..).map(Guardian::leave));
        children
    }
}
