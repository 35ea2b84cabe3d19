// SPDX-License-Identifier: BSD-2-Clause
//! Passes a tracer to another thread.

use super::super::tracer::Tracer;

/// The only reference to a tracer. It may be sent to another thread.
pub(in crate::bpf) struct Exclusive<'a, 'obj>(&'a mut Tracer<'obj>);

// SAFETY: the skeleton is not `Send` because it points to libbpf's maps and programs. libbpf lets
// any thread use them as long as only one does at a time, and a mutable reference is the only one.
// Nothing in a tracer is bound to a thread.
unsafe impl Send for Exclusive<'_, '_> {}

impl<'a, 'obj> Exclusive<'a, 'obj> {
    pub(in crate::bpf) fn new(tracer: &'a mut Tracer<'obj>) -> Self {
        Self(tracer)
    }

    /// Returns the reference.
    pub(in crate::bpf) fn into_inner(self) -> &'a mut Tracer<'obj> {
        self.0
    }
}
