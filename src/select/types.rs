// SPDX-License-Identifier: BSD-2-Clause
//! What a selection consists of.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reason::{LeftOut, Reason};
use super::report::GlobReport;
use crate::spec::{Addr, FuncId, ResultType};

/// A function that this run traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedFunction {
    /// Its id in this run: its index in [`Selection::functions`].
    pub id: FuncId,
    /// The symbol's name as kallsyms has it (with `.isra.0` and the like).
    pub name: String,
    /// The module it belongs to; `None` for the kernel itself.
    pub module: Option<String>,
    /// The symbol's address in the running kernel.
    pub addr: Addr,
    /// Distance to the next symbol, in bytes: the range that belongs to this function.
    pub size: u64,
    /// Why it opens a session, or `None` where it only takes part in one.
    pub entry: Option<EntryPoint>,
    /// How its result is judged.
    pub result: ResultType,
    /// What a trampoline back end needs to know; `None` where BTF has no function of this very
    /// symbol (clones such as `.isra.0`), so that only kprobe back ends can take it.
    pub prototype: Option<Prototype>,
}

/// What opens a session: a kind, because uprobes, USDT and LSM hooks will be entry points too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntryPoint {
    /// A call of a kernel function.
    KernelFunction,
    /// A call of a function that handles a request: its failure is an answer that someone reads,
    /// so it counts though its callers succeed.
    Request,
}

/// The part of a BTF function prototype that attaching by BTF id depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prototype {
    /// Which BTF the id belongs to.
    pub origin: BtfOrigin,
    /// BTF id of the `FUNC`.
    pub btf_id: u32,
    /// How many argument slots of 8 bytes the trampoline saves before the result.
    pub arg_slots: u8,
    /// Whether fentry/fexit can take it (not variadic, no struct returned by value, …).
    pub trampoline_ok: bool,
}

/// Where a BTF id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BtfOrigin {
    /// The kernel's own BTF.
    Vmlinux,
    /// The split BTF of [`TracedFunction::module`].
    Module,
}

/// The functions to trace.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// In ascending order of address; the index is the [`FuncId`].
    pub functions: Vec<TracedFunction>,
    /// Every function that a glob asked for and that is not traced, in order of address; those
    /// that are left for later (`deferred`) behind the others.
    pub left_out: Vec<LeftOut>,
    /// Functions that are traced because the user forces it, and what speaks against them.
    pub forced: Vec<(FuncId, Reason)>,
    /// What became of each glob: entry globs, allow globs, deny globs, in the order given.
    pub globs: Vec<GlobReport>,
    /// Of `functions`, those that are not attached to at first, ascending; also in `left_out`.
    pub deferred: Vec<FuncId>,
}

impl Selection {
    /// The functions that open sessions.
    pub fn entries(&self) -> impl Iterator<Item = &TracedFunction> + '_ {
        self.functions
            .iter()
            .filter(|function| function.entry.is_some())
    }

    /// The functions that are attached to from the start.
    pub fn armed(&self) -> impl Iterator<Item = &TracedFunction> + '_ {
        self.functions
            .iter()
            .filter(|function| self.deferred.binary_search(&function.id).is_err())
    }

    /// Leaves the functions that `is_wanted` does not want for later. They keep their ids, so
    /// that they can be attached to while the trace runs.
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
                addr: function.addr,
                reason: Reason::NotReached,
            });
        }
    }

    /// How many functions were left out, by reason, the most frequent first.
    #[must_use]
    pub fn left_out_by_reason(&self) -> Vec<(Reason, usize)> {
        count_reasons(self.left_out.iter().map(|left_out| &left_out.reason))
    }
}

/// How often each reason occurs, the most frequent first.
pub(super) fn count_reasons<'a>(reasons: impl Iterator<Item = &'a Reason>) -> Vec<(Reason, usize)> {
    let mut counts: BTreeMap<&Reason, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().map(|(r, n)| (r.clone(), n)).collect();
    counts.sort_by_key(|&(_, count)| Reverse(count));
    counts
}
