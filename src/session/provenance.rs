// SPDX-License-Identifier: BSD-2-Clause
//! Why it failed: from the entry function down, which callee's result each call passed on.
//!
//! Position proves nothing: the deepest or last failure is often one that was handled. What
//! counts is the value: a callee that returned what its caller returned then is its reason. Only
//! where no callee did, the callee that failed last before the return may have been translated,
//! and a `NULL` from a look-up is too common to be taken for a reason without more.

use super::types::{Call, ChainLink, Link};
use crate::knowledge::reasons::{ALLOCATORS, CHARGES, CLEANUPS, LIMIT_REACHED, LOOKUPS, NOT_FOUND};
use crate::select::{EntryPoint, TracedFunction};
use crate::spec::{Outcome, ResultType};

const ENOMEM: u16 = 12;
const EINTR: u16 = 4;

/// "Not mine, ask the next": what it is turned into when nobody is left was made by whom asked.
const ENOPARAM: u16 = 519;

/// What is known about why a session failed.
pub(super) struct Verdict {
    pub(super) chain: Vec<ChainLink>,
    pub(super) certain: bool,
    pub(super) handled: Vec<usize>,
    /// See [`super::Session::only_starts_dumps`].
    pub(super) only_starts_dumps: bool,
}

/// Where a call's result comes from.
#[derive(Clone, Copy)]
struct Reason {
    link: Link,
    callee: Option<usize>,
    certain: bool,
    /// A callee that returned the error because it was handed it: no culprit, nor handled.
    bearer: Option<usize>,
}

impl Reason {
    fn origin(certain: bool) -> Self {
        Self {
            link: Link::Origin,
            callee: None,
            certain,
            bearer: None,
        }
    }
}

/// Follows the failure from the entry function (`calls[0]`) down.
pub(super) fn explain(calls: &[Call], functions: &[TracedFunction]) -> Verdict {
    let tree = Tree { calls, functions };
    let mut chain = Vec::new();
    let mut bearers = Vec::new();
    let mut certain = true;
    let root = tree.failed_entry().unwrap_or_default();
    let mut next = Some(root);
    chain.extend(tree.callers(root).into_iter().map(|call| ChainLink {
        call,
        link: Link::Transparent,
    }));
    while let Some(call) = next {
        let reason = tree.reason(call);
        certain &= reason.certain;
        bearers.extend(reason.bearer);
        chain.push(ChainLink {
            call,
            link: reason.link,
        });
        // A callee always has a higher index than its caller, so this ends.
        next = reason.callee.filter(|callee| *callee > call);
    }
    let handled = tree.handled(&chain, &bearers);
    Verdict {
        chain,
        certain,
        handled,
        only_starts_dumps: tree.only_starts_dumps(),
    }
}

struct Tree<'a> {
    calls: &'a [Call],
    functions: &'a [TracedFunction],
}

impl Tree<'_> {
    /// In a session that succeeded: the last call of an entry function that failed in it, a netlink
    /// request's or one that was asked for by name.
    fn failed_entry(&self) -> Option<usize> {
        if self.calls.first()?.outcome.is_failure() {
            return None;
        }
        (0..self.calls.len()).rev().find(|call| {
            let function = &self.functions[self.calls[*call].func.index()];
            function.entry.is_some()
                && self.calls[*call].outcome.is_failure()
                && !self.starts_dump(*call)
        })
    }

    /// Whether a netlink request has started a dump, which it says by `-EINTR`: the answers come
    /// with the receiver's calls, and `netlink_rcv_skb` neither acknowledges nor refuses it.
    fn starts_dump(&self, call: usize) -> bool {
        let function = &self.functions[self.calls[call].func.index()];
        function.entry == Some(EntryPoint::Request)
            && self.calls[call].outcome == Outcome::Errno(EINTR)
    }

    /// Whether nothing failed but requests that have started a dump.
    fn only_starts_dumps(&self) -> bool {
        let succeeds = self
            .calls
            .first()
            .is_some_and(|call| !call.outcome.is_failure());
        succeeds
            && self.failed_entry().is_none()
            && (0..self.calls.len()).any(|call| self.starts_dump(call))
    }

    /// The open calls above a call, outermost first.
    fn callers(&self, call: usize) -> Vec<usize> {
        let mut callers = Vec::new();
        let mut next = self.calls[call].parent;
        while let Some(caller) = next {
            callers.push(caller);
            // A caller always has a lower index than its callee, so this ends.
            next = self.calls[caller].parent.filter(|parent| *parent < caller);
        }
        callers.reverse();
        callers
    }

    fn reason(&self, call: usize) -> Reason {
        let outcome = self.calls[call].outcome;
        if !outcome.is_failure() {
            return self.reason_of_success(call);
        }
        if let Some(callee) = self.last_callee(call, |callee| self.carries(callee, outcome)) {
            if self.asks_around(call, callee) {
                return Reason::origin(false);
            }
            let maker = self.maker_of_argument(callee, outcome);
            return Reason {
                link: Link::PassedOn,
                callee: Some(maker.unwrap_or(callee)),
                certain: maker.is_none(),
                bearer: maker.is_some().then_some(callee),
            };
        }
        match self.last_decisive_callee(call) {
            Some(callee) if self.may_translate(callee, outcome) => Reason {
                link: Link::Translated,
                callee: Some(callee),
                certain: false,
                bearer: None,
            },
            // A failure that was handled just before leaves room for doubt.
            Some(callee) => Reason::origin(!self.calls[callee].outcome.is_failure()),
            None => Reason::origin(true),
        }
    }

    /// Whether the caller asked one after the other, and `refusal` is only the last of them to
    /// refuse: the same function failed in the same way before, because of another function. That
    /// nobody took it is the caller's to say.
    fn asks_around(&self, call: usize, refusal: usize) -> bool {
        let reason = |callee: usize| {
            let outcome = self.calls[callee].outcome;
            let below = self.last_callee(callee, |below| self.carries(below, outcome));
            below.map(|below| self.calls[below].func)
        };
        let Some(last) = reason(refusal) else {
            return false;
        };
        let (func, outcome) = (self.calls[refusal].func, self.calls[refusal].outcome);
        self.callees(call)
            .filter(|callee| *callee != refusal)
            .filter(|callee| self.calls[*callee].func == func)
            .filter(|callee| self.calls[*callee].outcome == outcome)
            .any(|callee| reason(callee).is_some_and(|other| other != last))
    }

    /// Who made the error that `bearer` was handed as an argument and returned at once. Since 7.0
    /// (2e2d64aea5c5, "`do_filp_open()`: DTRT when getting `ERR_PTR()` as pathname") `do_file_open`
    /// takes a name that may be an `ERR_PTR`, as `link_path_walk` does. `bearer` called nothing
    /// itself, and the call that failed last before it returned the same error as a pointer.
    fn maker_of_argument(&self, bearer: usize, outcome: Outcome) -> Option<usize> {
        if !matches!(outcome, Outcome::Errno(_)) || self.callees(bearer).next().is_some() {
            return None;
        }
        let parent = self.calls[bearer].parent?;
        let before = self
            .callees(parent)
            .take_while(|callee| *callee < bearer)
            .filter(|callee| self.effective(*callee).is_some())
            .last()?;
        let is_error_pointer = self.result_type(before) == ResultType::Pointer
            && self.calls[before].outcome == outcome;
        is_error_pointer.then_some(before)
    }

    /// The call says nothing itself (void, bool, did not return, or a success that is shown):
    /// on to what failed last below it, else to its last callee.
    fn reason_of_success(&self, call: usize) -> Reason {
        let callee = self
            .last_callee(call, |callee| self.effective(callee).is_some())
            .or_else(|| self.last_callee(call, |_| true));
        Reason {
            link: Link::Transparent,
            callee,
            certain: callee.is_some(),
            bearer: None,
        }
    }

    fn callees(&self, call: usize) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let calls = self.calls;
        (call + 1..calls.len()).filter(move |callee| calls[*callee].parent == Some(call))
    }

    fn last_callee(&self, call: usize, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        self.callees(call).rev().find(|callee| wanted(*callee))
    }

    /// The failure that a call hands to its caller: its own, or for one that says nothing itself
    /// the last below it.
    fn effective(&self, call: usize) -> Option<Outcome> {
        let outcome = self.calls[call].outcome;
        if outcome.is_failure() {
            return Some(outcome);
        }
        if self.says_something(call) {
            return None;
        }
        self.callees(call)
            .rev()
            .find_map(|callee| self.effective(callee))
    }

    fn says_something(&self, call: usize) -> bool {
        self.calls[call].returned && self.result_type(call).can_fail()
    }

    fn carries(&self, callee: usize, outcome: Outcome) -> bool {
        self.effective(callee) == Some(outcome)
    }

    /// The last callee whose result the caller may have acted upon.
    fn last_decisive_callee(&self, call: usize) -> Option<usize> {
        self.last_callee(call, |callee| {
            let silent = self.effective(callee).is_none() && !self.says_something(callee);
            // A number says something, but not by failing: what failed below was taken into it.
            let counts = matches!(self.result_type(callee), ResultType::Unsigned(_));
            let weak = self.result_type(callee) == ResultType::Unknown;
            let cleans_up = self.effective(callee).is_none()
                && name_has(
                    &self.functions[self.calls[callee].func.index()].name,
                    CLEANUPS,
                );
            !silent && !weak && !cleans_up && !counts
        })
    }

    /// Whether `outcome` may be what the caller made of the callee's failure.
    fn may_translate(&self, callee: usize, outcome: Outcome) -> bool {
        let name = &self.functions[self.calls[callee].func.index()].name;
        match (self.effective(callee), outcome) {
            (None, _) | (Some(Outcome::Errno(ENOPARAM)), _) => false,
            (Some(Outcome::Null), Outcome::Errno(errno)) => {
                errno == ENOMEM && has_part(name, ALLOCATORS)
                    || NOT_FOUND.contains(&errno) && name_has(name, LOOKUPS)
                    || LIMIT_REACHED.contains(&errno) && has_word(name, CHARGES)
            }
            (Some(Outcome::Null), _) => false,
            (Some(_), _) => true,
        }
    }

    fn result_type(&self, call: usize) -> ResultType {
        self.functions[self.calls[call].func.index()].result
    }

    /// Failures that are no part of the chain; of one that was passed on only its last bearer.
    fn handled(&self, chain: &[ChainLink], bearers: &[usize]) -> Vec<usize> {
        let in_chain =
            |call: usize| chain.iter().any(|link| link.call == call) || bearers.contains(&call);
        let counts = |call: usize| {
            self.calls[call].outcome.is_failure()
                && self.result_type(call) != ResultType::Unknown
                && !in_chain(call)
        };
        (0..self.calls.len())
            .filter(|call| counts(*call) && !self.calls[*call].parent.is_some_and(counts))
            .collect()
    }
}

/// Whether one of `words` stands in `name`.
fn has_word(name: &str, words: &[&str]) -> bool {
    name.split('_').any(|word| words.contains(&word))
}

/// Whether one of `parts` stands anywhere in `name`: `kmalloc`, `vzalloc`.
fn has_part(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name.contains(part))
}

/// Whether one of `parts` stands in `name` as a word or a word's beginning.
fn name_has(name: &str, parts: &[&str]) -> bool {
    name.split('_')
        .any(|word| parts.iter().any(|part| word.starts_with(part)))
}
