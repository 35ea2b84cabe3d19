// SPDX-License-Identifier: BSD-2-Clause
//! Finds the functions that a culprit may have called through a table of operations
//! (`map->ops->map_alloc_check`). A function is a suspect if the kernel's data has a pointer to it
//! at an offset that the culprit's code loads from, and if its attaching is deferred.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::trails::LiveTrails;
use crate::code::{Code, KernelText, Pointer, pointers};
use crate::kernel::kallsyms::Kallsyms;
use crate::select::{Selection, TracedFunction};
use crate::session::Session;
use crate::spec::{Addr, Outcome};

/// Maximum number of functions to attach to because of one failure.
const MAX_SUSPECTS: usize = 32;

/// Where the kernel's tables are: from one symbol to another.
const TABLE_RANGES: [(&str, &str); 2] = [("__start_rodata", "__end_rodata"), ("_sdata", "_edata")];

/// Number of bytes read at a time, and the maximum number of reads per range.
const READ_SIZE: usize = 1 << 20;
const MAX_CHUNKS: usize = 64;

/// The pointers in the kernel's data, which is read when the first culprit needs it.
pub(crate) struct Behind<'a> {
    trails: &'a LiveTrails<'a>,
    text: &'a dyn KernelText,
    functions: &'a [TracedFunction],
    deferred: HashSet<Addr>,
    pointers: OnceCell<Vec<Pointer>>,
}

impl<'a> Behind<'a> {
    pub(crate) fn new(
        trails: &'a LiveTrails<'a>,
        text: &'a dyn KernelText,
        functions: &'a [TracedFunction],
        deferred: HashSet<Addr>,
    ) -> Self {
        Self {
            trails,
            text,
            functions,
            deferred,
            pointers: OnceCell::new(),
        }
    }

    /// Returns the deferred functions that may have made the error of a session's culprit. Empty if
    /// the culprit calls nothing through pointers, or if its failure is no errno.
    pub(crate) fn suspects(&self, session: &Session) -> Vec<Addr> {
        let through_pointers = session
            .chain
            .trail
            .as_ref()
            .is_some_and(|trail| trail.through_pointers);
        let Some(culprit) = session.culprit().filter(|_| through_pointers) else {
            return Vec::new();
        };
        let (Outcome::Errno(errno), Some(function)) =
            (culprit.outcome, self.functions.get(culprit.func.index()))
        else {
            return Vec::new();
        };
        if self.deferred.is_empty() {
            return Vec::new();
        }
        let code = self.trails.trails.code();
        let slots = code
            .function(function.addr())
            .map_or_else(Vec::new, |function| function.slots.clone());
        let mut suspects: Vec<Addr> = self
            .pointers(code)
            .iter()
            .filter(|pointer| slots.contains(&pointer.slot))
            .map(|pointer| pointer.function)
            .filter(|addr| {
                let suspect = code.function(*addr);
                suspect.is_some_and(|suspect| suspect.makes.contains(errno))
            })
            .collect();
        suspects.sort_unstable();
        suspects.dedup();
        suspects.truncate(MAX_SUSPECTS);
        suspects
    }

    fn pointers(&self, code: &Code<'_>) -> &[Pointer] {
        self.pointers.get_or_init(|| {
            let kallsyms = code.kallsyms();
            TABLE_RANGES
                .iter()
                .flat_map(|(start, end)| self.pointers_between(kallsyms, start, end))
                .collect()
        })
    }

    fn pointers_between(&self, kallsyms: &Kallsyms, start: &str, end: &str) -> Vec<Pointer> {
        let addr = |name| kallsyms.named(name).next().map(|symbol| symbol.addr.0);
        let (Some(start), Some(end)) = (addr(start), addr(end)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut bytes = vec![0; READ_SIZE];
        for at in (start.next_multiple_of(8)..end)
            .step_by(READ_SIZE)
            .take(MAX_CHUNKS)
        {
            bytes.truncate((end - at).min(READ_SIZE as u64) as usize);
            if self.text.read(Addr(at), &mut bytes) {
                found.extend(pointers(kallsyms, Addr(at), &bytes, &self.deferred));
            }
        }
        found
    }
}

/// Returns the addresses of the deferred functions that can fail.
pub(crate) fn deferred(selection: &Selection) -> HashSet<Addr> {
    let functions = selection.deferred.iter();
    functions
        .filter_map(|id| selection.functions.get(id.index()))
        .filter(|function| function.result.can_fail())
        .map(TracedFunction::addr)
        .collect()
}
