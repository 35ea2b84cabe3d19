// SPDX-License-Identifier: BSD-2-Clause
//! The end of a trace. Child processes close its links, so that the user can return to the prompt
//! while links are still being closed.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use super::attach::Link;
use super::notes::NoteLink;
use super::sys::{Closing, Guardian};
use super::tracer::Tracer;
use crate::spec::BackendKind;

/// The number of children that close single kprobes in parallel. The kernel waits for a grace
/// period for each probe, and these waits can be shared. Measured on 6.1, for each function: 80 ms
/// with one thread, 36 ms with 32. Links of other back ends wait under one lock, so they gain
/// nothing.
const MAX_CLOSING_CHILDREN: usize = 16;

/// The number of single kprobes below which another child is not worth it.
const MIN_KPROBES_PER_CHILD: usize = 4;

/// A trace that is being detached.
#[derive(Debug)]
pub struct Detaching {
    /// `None` if the children could not be started: then everything is closed already.
    closing: Option<Closing>,
    guardians: Vec<Guardian>,
}

impl Tracer<'_> {
    /// Detaches from all functions, in the background.
    #[must_use]
    pub fn detach(mut self) -> Detaching {
        let mut guardians = Vec::new();
        let mut in_turn: Vec<OwnedFd> = Vec::new();
        let mut at_once: Vec<Link> = Vec::new();
        for (backend, links) in self.links.drain(..) {
            match backend {
                BackendKind::Kprobe | BackendKind::OnLoad | BackendKind::Uprobe => {
                    at_once.extend(links.links)
                }
                _ => in_turn.extend(links.links.into_iter().map(|link| link.fd)),
            }
            guardians.extend(links.guardian);
        }
        let mut batches = batches(at_once);
        for probe in self.tasks.drain(..) {
            let fds = [probe.link, probe.program];
            // On the newest kernels, closing one takes 45 ms, in which the process only waits.
            // Other links are closed meanwhile.
            if probe.is_event {
                batches.push(Vec::from(fds));
            } else {
                in_turn.extend(fds);
            }
        }
        in_turn.extend(self.notes.drain(..).flat_map(NoteLink::into_fds));
        batches.push(in_turn);
        Detaching {
            closing: Closing::start(batches).ok(),
            guardians,
        }
    }
}

/// Splits links into batches. The links of a function stay together and in order.
fn batches(links: Vec<Link>) -> Vec<Vec<OwnedFd>> {
    let n_batches = links
        .len()
        .div_ceil(2 * MIN_KPROBES_PER_CHILD)
        .min(MAX_CLOSING_CHILDREN);
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
    /// Waits for at most `timeout`. Returns whether everything is detached.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        if let Some(closing) = &self.closing
            && !closing.wait(timeout)
        {
            return false;
        }
        self.closing = None;
        // The links are closed, so the named probes can be removed.
        self.guardians.retain_mut(|guardian| !guardian.is_done());
        if !self.guardians.is_empty() {
            thread::sleep(timeout);
        }
        self.guardians.is_empty()
    }

    /// Stops waiting. Returns the ids of the child processes that go on in the background.
    #[must_use]
    pub fn leave(mut self) -> Vec<u32> {
        let children = self.closing.as_ref().map_or(&[][..], Closing::children);
        let mut children: Vec<u32> = children.iter().map(|child| child.cast_unsigned()).collect();
        children.extend(self.guardians.drain(..).map(Guardian::leave));
        children
    }
}
