// SPDX-License-Identifier: BSD-2-Clause
//! The types of a selection.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reason::{LeftOut, LeftOutReason};
use super::report::GlobReport;
use crate::spec::{Addr, EntryReason, Hook, HookId, Location, Parameter, ResultType};

/// A function that this run traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedFunction {
    /// Id in this run: its index in [`Selection::functions`].
    pub id: HookId,
    /// Name of the symbol in kallsyms, with suffixes such as `.isra.0`.
    pub name: String,
    /// Name of its module; `None` for the kernel image.
    pub module: Option<String>,
    /// What its programs are attached to.
    pub hook: Hook,
    /// Size in bytes: the distance to the next symbol.
    pub size: u64,
    /// Why a call opens a session; `None` for an inner function.
    pub entry: Option<EntryReason>,
    /// Type of its result, which decides what counts as a failure.
    pub result: ResultType,
    /// What a trampoline back end needs. `None` if BTF has no function for this very symbol (clones
    /// such as `.isra.0`); only kprobe back ends can take it then.
    pub prototype: Option<Prototype>,
    /// Parameters of an entry function whose arguments are kept; else empty.
    pub parameters: Vec<Parameter>,
}

impl TracedFunction {
    /// Returns the address of its symbol: in the running kernel, or the placeholder if its module
    /// is not loaded yet.
    #[must_use]
    pub fn addr(&self) -> Addr {
        self.hook.location().addr
    }

    /// Returns whether an instruction pointer on a stack belongs to a call of the function. The
    /// address one past the last byte is included, because a function can end with a call that does
    /// not return.
    #[must_use]
    pub fn contains(&self, location: Location) -> bool {
        let start = self.hook.location();
        let offset = location.addr.0.wrapping_sub(start.addr.0);
        location.space == start.space && offset <= self.size
    }
}

/// The part of a BTF function prototype that attaching by BTF id depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prototype {
    /// The BTF that the id belongs to.
    pub origin: BtfOrigin,
    /// BTF id of the `FUNC`.
    pub btf_id: u32,
    /// Number of 8-byte argument slots that the trampoline saves before the result.
    pub arg_slots: u8,
    /// Whether fentry/fexit can take it (not variadic, no struct returned by value, …).
    pub trampoline_ok: bool,
}

/// The BTF that an id belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BtfOrigin {
    /// The kernel's own BTF.
    Vmlinux,
    /// The split BTF of [`TracedFunction::module`].
    Module,
}

/// The functions to trace, and what was left out.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The functions in ascending order of address; the index is the [`HookId`].
    pub functions: Vec<TracedFunction>,
    /// Every function that a glob asked for and that is not traced, in order of address. Deferred
    /// functions follow after the others.
    pub left_out: Vec<LeftOut>,
    /// Functions that are traced because the user overrode the reason against them.
    pub forced: Vec<(HookId, LeftOutReason)>,
    /// The result of each glob: entry globs, allow globs, deny globs, in the order given.
    pub globs: Vec<GlobReport>,
    /// Ids of `functions` that are not attached to at first, ascending. They are also in
    /// `left_out`.
    pub deferred: Vec<HookId>,
}

impl Selection {
    /// Returns the entry functions.
    pub fn entries(&self) -> impl Iterator<Item = &TracedFunction> + '_ {
        self.functions
            .iter()
            .filter(|function| function.entry.is_some())
    }

    /// Returns the functions that are attached to from the start.
    pub fn armed(&self) -> impl Iterator<Item = &TracedFunction> + '_ {
        self.functions
            .iter()
            .filter(|function| self.deferred.binary_search(&function.id).is_err())
    }

    /// Defers the functions for which `is_wanted` returns false. They keep their ids, so that they
    /// can be attached to while the trace runs.
    pub fn defer(&mut self, is_wanted: impl Fn(&TracedFunction) -> bool) {
        for function in self
            .functions
            .iter()
            .filter(|function| !is_wanted(function))
        {
            self.deferred.push(function.id);
            self.left_out.push(LeftOut {
                name: function.name.clone(),
                module: function.module.clone(),
                addr: function.addr(),
                reason: LeftOutReason::NotReached,
            });
        }
    }

    /// Counts the functions that were left out by reason, most frequent first.
    #[must_use]
    pub fn left_out_by_reason(&self) -> Vec<(LeftOutReason, usize)> {
        count_reasons(self.left_out.iter().map(|left_out| &left_out.reason))
    }
}

/// Counts how often each reason occurs, most frequent first.
pub(super) fn count_reasons<'a>(
    reasons: impl Iterator<Item = &'a LeftOutReason>,
) -> Vec<(LeftOutReason, usize)> {
    let mut counts: BTreeMap<&LeftOutReason, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().map(|(r, n)| (r.clone(), n)).collect();
    counts.sort_by_key(|&(_, count)| Reverse(count));
    counts
}
