// SPDX-License-Identifier: BSD-2-Clause
//! Determines why a session failed: which callee's result each call passed on, from the entry
//! function down.
//!
//! The position of a failure proves nothing: the deepest or last failure is often one that was
//! handled. The value decides: a callee that returned the same error as its caller is the reason,
//! if the caller's machine code does not rule it out. Only if no callee did, a failure counts that
//! leads to the caller's error by a branch in its code, or else the last one before the return. A
//! `NULL` from a look-up is too common to count as a reason without further evidence.

use super::fates::CodeOfCalls;
use super::types::{Call, ChainLink, LinkKind};
use crate::code::ResultFate;
use crate::knowledge::reasons::{
    ALLOCATORS, CHARGES, CLEANUPS, LIMIT_REACHED, LOOKUPS, NOT_FOUND, TAKES_ERRORS,
};
use crate::knowledge::refusals::CAPABILITY_QUESTIONS;
use crate::select::TracedFunction;
use crate::spec::{EntryReason, Ip, Outcome, ResultType, base_name};

const ENOMEM: u16 = 12;
const EINTR: u16 = 4;

/// "Not my parameter, ask the next handler". If every handler returns it, the error that the caller
/// returns is the caller's own.
const ENOPARAM: u16 = 519;

/// "Not my command, ask the next handler". As above, if it is known that the caller itself asked,
/// not an untraced function in between.
const ENOIOCTLCMD: u16 = 515;

/// What hooks of security modules return if no module has something to say (`security_task_prctl()`).
const ENOSYS: u16 = 38;
const SECURITY_HOOKS: [&str; 2] = ["security_", "cap_task_"];

/// Maximum number of failed callees of one call whose results are followed in its code.
const MAX_ASKED: usize = 64;

/// The provenance of a session's failure.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) chain: Vec<ChainLink>,
    pub(super) certain: bool,
    pub(super) handled: Vec<usize>,
    /// See [`super::Session::only_starts_dumps`].
    pub(super) only_starts_dumps: bool,
}

/// Where the result of one call comes from.
#[derive(Clone, Copy)]
struct ResultReason {
    link: LinkKind,
    callee: Option<usize>,
    certain: bool,
    /// A callee that received the error as an argument and returned it. It is neither the culprit
    /// nor a handled failure.
    bearer: Option<usize>,
}

impl ResultReason {
    fn origin(certain: bool) -> Self {
        Self {
            link: LinkKind::Origin,
            callee: None,
            certain,
            bearer: None,
        }
    }
}

/// A note that a call refused something itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToldRefusal {
    /// The call.
    pub(super) inside: usize,
    /// Number of calls that had started.
    pub(super) n_started: usize,
}

/// Follows the failure from the entry function (`calls[0]`) down to the culprit.
pub(super) fn explain(code: &CodeOfCalls<'_>, refusals: &[ToldRefusal]) -> Verdict {
    let tree = Tree {
        calls: code.calls,
        functions: code.functions,
        code,
        refusals,
    };
    let mut chain = Vec::new();
    let mut bearers = Vec::new();
    let mut certain = true;
    let root = tree.failed_entry().unwrap_or_default();
    let mut next = Some(root);
    chain.extend(tree.callers(root).into_iter().map(|call| ChainLink {
        call,
        link: LinkKind::Transparent,
    }));
    while let Some(call) = next {
        let reason = tree.reason(call);
        certain &= reason.certain;
        bearers.extend(reason.bearer);
        chain.push(ChainLink {
            call,
            link: reason.link,
        });
        // A callee always has a higher index than its caller, so the loop terminates.
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
    code: &'a CodeOfCalls<'a>,
    refusals: &'a [ToldRefusal],
}

impl Tree<'_> {
    /// Returns the last failed call of an entry function in a session that succeeded: a netlink
    /// request handler or a function that was named with `-e`. Returns `None` if the session
    /// failed.
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

    /// Returns true if a netlink request handler started a dump, which it reports with `-EINTR`.
    /// The receiver's calls fetch the answers, and `netlink_rcv_skb` sends neither an
    /// acknowledgement nor an error.
    fn starts_dump(&self, call: usize) -> bool {
        let function = &self.functions[self.calls[call].func.index()];
        function.entry == Some(EntryReason::Request)
            && self.calls[call].outcome == Outcome::Errno(EINTR)
    }

    /// Returns true if the session succeeded and only netlink requests that started a dump failed.
    fn only_starts_dumps(&self) -> bool {
        let succeeds = self
            .calls
            .first()
            .is_some_and(|call| !call.outcome.is_failure());
        succeeds
            && self.failed_entry().is_none()
            && (0..self.calls.len()).any(|call| self.starts_dump(call))
    }

    /// Returns the calls that enclose a call, outermost first.
    fn callers(&self, call: usize) -> Vec<usize> {
        let mut callers = Vec::new();
        let mut next = self.calls[call].parent;
        while let Some(caller) = next {
            callers.push(caller);
            // A caller always has a lower index than its callee, so the loop terminates.
            next = self.calls[caller].parent.filter(|parent| *parent < caller);
        }
        callers.reverse();
        callers
    }

    fn reason(&self, call: usize) -> ResultReason {
        let outcome = self.calls[call].outcome;
        if !outcome.is_failure() {
            return self.reason_of_success(call);
        }
        if self.has_refused(call) {
            return ResultReason::origin(true);
        }
        let passed_on = self.last_callee(call, |callee| {
            self.carries(call, callee, outcome) && !self.is_ruled_out(callee)
        });
        if let Some(callee) = passed_on {
            if self.asks_around(call, callee) {
                return ResultReason::origin(false);
            }
            let maker = self.maker_of_argument(callee, outcome);
            return ResultReason {
                link: LinkKind::PassedOn,
                callee: Some(maker.unwrap_or(callee)),
                certain: maker.is_none(),
                bearer: maker.is_some().then_some(callee),
            };
        }
        if let Some(reason) = self.reason_by_code(call) {
            return reason;
        }
        match self.last_decisive_callee(call) {
            Some(callee) if self.is_ruled_out(callee) => ResultReason::origin(true),
            Some(callee) if self.is_through_another(call, callee) => ResultReason::origin(false),
            Some(callee) if self.may_translate(callee, outcome) => ResultReason {
                link: LinkKind::Translated,
                callee: Some(callee),
                certain: false,
                bearer: None,
            },
            // A failure that was handled just before makes the origin uncertain.
            Some(callee) => ResultReason::origin(!self.calls[callee].outcome.is_failure()),
            None => ResultReason::origin(true),
        }
    }

    /// Returns true if the call said that it refuses, and no callee returned the error after that. What
    /// failed before was a question whose answer made it refuse.
    fn has_refused(&self, call: usize) -> bool {
        let outcome = self.calls[call].outcome;
        let is_last = |refusal: &ToldRefusal| {
            let mut later = self.callees(call).rev();
            !later.any(|callee| {
                callee >= refusal.n_started && self.effective(callee) == Some(outcome)
            })
        };
        let refusals = self.refusals.iter();
        let mut inside = refusals.filter(|refusal| refusal.inside == call);
        inside.any(is_last)
    }

    /// Returns true if the caller's code shows that this failure is not the reason of its own.
    fn is_ruled_out(&self, callee: usize) -> bool {
        matches!(
            self.code.fate(callee),
            Some(ResultFate::Ignored | ResultFate::Never)
        )
    }

    /// Returns the last callee whose failure leads to the caller's error by the caller's code.
    fn reason_by_code(&self, call: usize) -> Option<ResultReason> {
        let candidates = self
            .callees(call)
            .rev()
            .filter(|callee| self.calls[*callee].outcome.is_failure())
            .take(MAX_ASKED)
            .filter(|callee| !self.asks_for_next(*callee) && !self.is_question(call, *callee));
        let fates = candidates.filter_map(|callee| Some((callee, self.code.fate(callee)?)));
        let (callee, is_certain) = fates
            .filter_map(|(callee, fate)| match fate {
                // A look-up that finds nothing has not failed: it is the caller that makes it an error.
                ResultFate::Decides => {
                    let is_failure = self.calls[callee].outcome != Outcome::Null;
                    Some((callee, is_failure && self.code.is_exact(callee)))
                }
                ResultFate::MayDecide => Some((callee, false)),
                _ => None,
            })
            .next()?;
        Some(ResultReason {
            link: LinkKind::Translated,
            callee: Some(callee),
            certain: is_certain,
            bearer: None,
        })
    }

    fn asks_for_next(&self, callee: usize) -> bool {
        let name = &self.functions[self.calls[callee].func.index()].name;
        match self.calls[callee].outcome {
            Outcome::Errno(ENOPARAM) => true,
            Outcome::Errno(ENOSYS) => SECURITY_HOOKS.iter().any(|hook| name.starts_with(hook)),
            Outcome::Errno(ENOIOCTLCMD) => self.code.fate(callee).is_some(),
            _ => false,
        }
    }

    /// Returns true if the caller tried several candidates and `refusal` is only the last one to
    /// fail. This is the case if the same function failed earlier with the same error, but because
    /// of another function. The error then originates in the caller, which found no candidate.
    fn asks_around(&self, call: usize, refusal: usize) -> bool {
        let reason = |callee: usize| {
            let outcome = self.calls[callee].outcome;
            let below = self.last_callee(callee, |below| self.carries(callee, below, outcome));
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

    /// Returns the call that made the error which `bearer` received as an argument and returned at
    /// once. Since 7.0 (2e2d64aea5c5, "`do_filp_open()`: DTRT when getting `ERR_PTR()` as
    /// pathname") `do_file_open` accepts a name that may be an `ERR_PTR`, as `link_path_walk` does.
    /// Two conditions must hold: `bearer` called no traced function, and the last failed call
    /// before it returned the same error, as a pointer or before a function that is known for it.
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
        let is_same = self.calls[before].outcome == outcome;
        let is_pointer = self.result_type(before) == ResultType::Pointer;
        (is_same && (is_pointer || self.takes_errors(bearer))).then_some(before)
    }

    /// Returns the reason of a call whose result is no failure: void, bool, a call that did not
    /// return, or a success that is shown. The reason is the last callee with a failure below it,
    /// else the last callee.
    fn reason_of_success(&self, call: usize) -> ResultReason {
        let may_be = |callee: usize| !self.is_question(call, callee);
        let callee = self
            .last_callee(call, |callee| {
                may_be(callee) && self.effective(callee).is_some()
            })
            .or_else(|| self.last_callee(call, may_be));
        ResultReason {
            link: LinkKind::Transparent,
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

    /// Returns the failure that a call hands to its caller. This is its own failure or, if its type
    /// cannot express one, the last failure below it.
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

    fn carries(&self, call: usize, callee: usize, outcome: Outcome) -> bool {
        self.effective(callee) == Some(outcome) && !self.is_question(call, callee)
    }

    /// A function that is known to return an error that it gets as its argument. What made that
    /// error may be inlined, and then another function returned it to it as a number.
    fn takes_errors(&self, call: usize) -> bool {
        let name = &self.functions[self.calls[call].func.index()].name;
        TAKES_ERRORS.contains(&base_name(name))
    }

    /// Returns true if `callee` only asks for a capability on behalf of `call`. It is not to blame:
    /// whoever asked is. A session at such a function (`-e lsm:capable`) is about who answered.
    fn is_question(&self, call: usize, callee: usize) -> bool {
        self.only_asks(callee) && !self.only_asks(call)
    }

    fn only_asks(&self, call: usize) -> bool {
        let name = &self.functions[self.calls[call].func.index()].name;
        CAPABILITY_QUESTIONS.contains(&base_name(name))
    }

    /// Returns the last callee whose result the caller may have acted upon.
    fn last_decisive_callee(&self, call: usize) -> Option<usize> {
        self.last_callee(call, |callee| {
            let silent = self.effective(callee).is_none() && !self.says_something(callee);
            // An unsigned number is a result but never a failure; a failure below it ended there.
            let counts = matches!(self.result_type(callee), ResultType::Unsigned(_));
            let weak = self.result_type(callee) == ResultType::Unknown;
            let cleans_up = self.effective(callee).is_none()
                && name_has(
                    &self.functions[self.calls[callee].func.index()].name,
                    CLEANUPS,
                );
            let counts = counts || self.code.fate(callee) == Some(ResultFate::Ignored);
            !silent && !weak && !cleans_up && !counts && !self.is_question(call, callee)
        })
    }

    /// Returns true if an untraced function made the call for the caller. Most functions that can fail
    /// are traced, so it seldom hands an error on (`__inet_dev_addr_type()` returns a type). The body
    /// of a system call may be such a function (`__do_sys_*`).
    fn is_through_another(&self, call: usize, callee: usize) -> bool {
        let function = &self.functions[self.calls[call].func.index()];
        let site = self.calls[callee].call_site;
        let is_tail_call = site == self.calls[call].call_site;
        call > 0
            && !is_tail_call
            && !function.hook.is_of_user()
            && site.is_some_and(|site| !function.contains(Ip::return_to(site).location))
    }

    /// Returns true if the caller may have translated the callee's failure into `outcome`.
    fn may_translate(&self, callee: usize, outcome: Outcome) -> bool {
        let name = &self.functions[self.calls[callee].func.index()].name;
        match (self.effective(callee), outcome) {
            (None, _) | (Some(Outcome::Errno(ENOPARAM)), _) => false,
            (Some(Outcome::Errno(ENOIOCTLCMD | ENOSYS)), _) => !self.asks_for_next(callee),
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

    /// Returns the failed calls that are not on the chain. If a failure was passed on, only its
    /// outermost call is listed.
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

/// Returns true if one of `words` is a whole word of `name`; underscores separate words.
fn has_word(name: &str, words: &[&str]) -> bool {
    name.split('_').any(|word| words.contains(&word))
}

/// Returns true if one of `parts` occurs anywhere in `name` (`kmalloc`, `vzalloc`).
fn has_part(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name.contains(part))
}

/// Returns true if a word of `name` starts with one of `parts`; underscores separate words.
fn name_has(name: &str, parts: &[&str]) -> bool {
    name.split('_')
        .any(|word| parts.iter().any(|part| word.starts_with(part)))
}
