// SPDX-License-Identifier: BSD-2-Clause
//! Decides which back end takes which function, and why. `bpf::attach` carries the decision out.
//!
//! Each function has a list of back ends to try in order. The first is the cheapest one of the run
//! that can take it and that sees its calls. The others are tried if the kernel refuses it.

use std::fmt;

use super::blind::blind_region;
use super::types::TracedFunction;
use crate::knowledge::syscalls::is_native_entry;
use crate::spec::{BackendKind, EntryReason};

/// Up to this many functions, trampolines are used if functions are attached one by one: detaching
/// is slow, but a call costs a third of a kprobe's. Measured per function on 6.1: fentry and fexit
/// take 20 ms to attach and 126 ms to detach, kprobes 13 and (closed from many threads) 36 ms.
const MAX_SINGLE_TRAMPOLINES: usize = 16;

/// Up to this many functions go to `tracing-multi` if the kernel offers it; if there are more, only
/// those that need it do. Measured on 7.3: it attaches 1,000 functions in 93 ms, `kprobe-session`
/// in 16 ms.
const MAX_FOR_TRACING_MULTI: usize = 3000;

/// The back ends that a run may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendPolicy {
    /// The best back end that the kernel offers for each function.
    Auto(Offered),
    /// This back end only.
    Only(BackendKind),
}

/// What the kernel offers for attaching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The available back ends, in any order.
    pub backends: Vec<BackendKind>,
    /// Whether single kprobes can share programs. This needs cookies, since 5.15 (7adfc6c9b315).
    /// Without them each kprobe needs its own copies of the programs, and loading those takes as
    /// long as everything else.
    pub shared_kprobes: bool,
    /// Whether programs of trampolines can be preempted. Calls of other tasks are missed while they
    /// are.
    pub preempts_programs: bool,
    /// Whether the functions of system calls may be left to tracepoints, which all tasks run at each
    /// system call.
    pub at_system_calls: bool,
}

/// How to attach to one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Back ends to try, in this order; never empty.
    pub backends: Vec<BackendKind>,
    /// Why the first back end was chosen.
    pub why: BackendReason,
}

/// The reason for a function's back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendReason {
    /// The user asked for it.
    Asked,
    /// It is the best for this number of functions.
    Best,
    /// Its programs cannot be preempted.
    NotPreempted,
    /// Functions are attached one by one, and tracepoints take all system calls.
    SystemCall,
    /// Functions are attached one by one, and there are few.
    Few,
    /// Functions are attached one by one, and there are many.
    Many,
    /// Kprobe programs do not run in the region with this name.
    Blind(&'static str),
    /// Better back ends attach by type, and the symbol has no type or one that they cannot take.
    NoTrampoline,
    /// The function's module is not loaded yet.
    Absent,
    /// It is a user function.
    User,
}

/// Writes the end of "… functions by BACKEND: ".
impl fmt::Display for BackendReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked for"),
            Self::Best => f.write_str("the best that this kernel has"),
            Self::NotPreempted => f.write_str(
                "this kernel preempts programs of trampolines, and keeps them out of other tasks meanwhile",
            ),
            Self::SystemCall => f.write_str("all system calls at once"),
            Self::Few => write!(
                f,
                "cheapest to run, and no more than {MAX_SINGLE_TRAMPOLINES} functions"
            ),
            Self::Many => write!(
                f,
                "quickest to detach from more than {MAX_SINGLE_TRAMPOLINES} functions"
            ),
            Self::Blind(region) => write!(f, "kprobe programs do not run {region}"),
            Self::NoTrampoline => f.write_str("trampolines cannot take them"),
            Self::Absent => f.write_str("armed before their module is loaded"),
            Self::User => f.write_str("user functions"),
        }
    }
}

impl Offered {
    /// Returns the best back end for this number of functions; `None` if none is offered.
    #[must_use]
    pub fn best(&self, n_functions: usize) -> Option<BackendKind> {
        BackendPolicy::Auto(self.clone())
            .order(n_functions)
            .first()
            .copied()
    }
}

impl BackendPolicy {
    /// Returns the back ends for this number of functions, best first.
    #[must_use]
    pub fn order(&self, n_functions: usize) -> Vec<BackendKind> {
        let offered = match self {
            Self::Only(backend) => return vec![*backend],
            Self::Auto(offered) => offered,
        };
        let mut order = if n_functions > MAX_FOR_TRACING_MULTI || offered.preempts_programs {
            vec![
                BackendKind::KprobeSession,
                BackendKind::KprobeMulti,
                BackendKind::TracingMulti,
                BackendKind::FentryMulti,
            ]
        } else {
            vec![
                BackendKind::TracingMulti,
                BackendKind::FentryMulti,
                BackendKind::KprobeSession,
                BackendKind::KprobeMulti,
            ]
        };
        if n_functions > MAX_SINGLE_TRAMPOLINES && offered.shared_kprobes {
            order.extend([BackendKind::Kprobe, BackendKind::Trampoline]);
        } else {
            order.extend([BackendKind::Trampoline, BackendKind::Kprobe]);
        }
        order.retain(|backend| offered.backends.contains(backend));
        order
    }

    /// Returns true if tracepoints stand for the functions of system calls: where functions are attached
    /// one by one, each would need programs or probes of its own.
    #[must_use]
    pub fn takes_all_system_calls(&self) -> bool {
        let Self::Auto(offered) = self else {
            return false;
        };
        let order = self.order(0);
        let is_one_by_one = order.first().is_some_and(|best| best.is_one_by_one());
        // Programs of raw tracepoints are preempted as those of trampolines are.
        offered.at_system_calls && is_one_by_one && !offered.preempts_programs
    }

    /// Returns the back ends for user functions, best first. They do not depend on the back end that
    /// the user chose for kernel functions.
    fn of_user_functions(&self) -> Vec<BackendKind> {
        let is_offered = |backend: &BackendKind| match self {
            Self::Auto(offered) => offered.backends.contains(backend),
            Self::Only(_) => true,
        };
        // If none is offered, the kernel reports the error.
        let multi = Some(BackendKind::UprobeMulti).filter(is_offered);
        multi.into_iter().chain([BackendKind::Uprobe]).collect()
    }

    /// Returns true if better back ends are offered, but their programs can be preempted.
    fn avoids_preemption(&self) -> bool {
        let trampolines = [BackendKind::TracingMulti, BackendKind::FentryMulti];
        match self {
            Self::Only(_) => false,
            Self::Auto(offered) => {
                offered.preempts_programs
                    && trampolines
                        .iter()
                        .any(|kind| offered.backends.contains(kind))
            }
        }
    }

    /// Returns true if a back end of the run can take functions without a prototype.
    #[must_use]
    pub fn takes_any_symbol(&self) -> bool {
        self.order(0)
            .iter()
            .any(|backend| !backend.needs_prototype())
    }
}

/// Assigns back ends to each of `functions`, in the same order.
#[must_use]
pub fn assign(functions: &[TracedFunction], policy: &BackendPolicy) -> Vec<Assigned> {
    let takes_calls = policy.takes_all_system_calls();
    let is_left = |function: &TracedFunction| {
        takes_calls
            && function.entry == Some(EntryReason::SystemCall)
            && is_native_entry(&function.name)
    };
    let n_left = functions
        .iter()
        .filter(|function| is_left(function))
        .count();
    let n_functions = functions.len() - n_left;
    let order = policy.order(n_functions);
    let are_few = n_functions <= MAX_SINGLE_TRAMPOLINES;
    functions
        .iter()
        .map(|function| {
            let mut assigned = assign_one(function, policy, &order, are_few);
            if is_left(function) {
                assigned.backends.insert(0, BackendKind::SystemCalls);
                assigned.why = BackendReason::SystemCall;
            }
            assigned
        })
        .collect()
}

fn assign_one(
    function: &TracedFunction,
    policy: &BackendPolicy,
    order: &[BackendKind],
    functions_are_few: bool,
) -> Assigned {
    if function.hook.is_absent() {
        return Assigned {
            backends: vec![BackendKind::OnLoad],
            why: BackendReason::Absent,
        };
    }
    if function.hook.is_of_user() {
        return Assigned {
            backends: policy.of_user_functions(),
            why: BackendReason::User,
        };
    }
    let by_type = function
        .prototype
        .is_some_and(|prototype| prototype.trampoline_ok);
    let mut backends: Vec<BackendKind> = order
        .iter()
        .copied()
        .filter(|backend| by_type || !backend.needs_prototype())
        .collect();
    let blind = blind_region(&function.name);
    if blind.is_some() {
        backends.sort_by_key(|backend| !backend.sees_blind_regions());
    }
    let first = backends.first().copied().or(order.first().copied());
    let best = order.first().copied();
    let why = match (policy, blind) {
        (BackendPolicy::Only(_), _) => BackendReason::Asked,
        (_, Some(region)) if first != best => BackendReason::Blind(region),
        _ if first != best => BackendReason::NoTrampoline,
        _ => match best {
            Some(BackendKind::Kprobe) => BackendReason::Many,
            Some(BackendKind::KprobeSession | BackendKind::KprobeMulti)
                if policy.avoids_preemption() =>
            {
                BackendReason::NotPreempted
            }
            Some(BackendKind::Trampoline) if functions_are_few => BackendReason::Few,
            _ => BackendReason::Best,
        },
    };
    if backends.is_empty() {
        // The user asked for this back end, so it is tried and the kernel reports the error.
        backends.extend(first);
    }
    Assigned { backends, why }
}

/// Counts the functions per back end and reason, most frequent first.
#[must_use]
pub fn counts(assigned: &[Assigned]) -> Vec<(BackendKind, BackendReason, usize)> {
    let mut counts: Vec<(BackendKind, BackendReason, usize)> = Vec::new();
    for one in assigned {
        let Some(&backend) = one.backends.first() else {
            continue;
        };
        let known = |(kind, why, _): &&mut (BackendKind, BackendReason, usize)| {
            (*kind, *why) == (backend, one.why)
        };
        match counts.iter_mut().find(known) {
            Some((_, _, n)) => *n += 1,
            None => counts.push((backend, one.why, 1)),
        }
    }
    counts.sort_by_key(|&(backend, why, n)| (usize::MAX - n, backend, why));
    counts
}

#[cfg(test)]
mod tests {
    use super::{BackendPolicy, BackendReason, Offered, assign, counts};
    use crate::select::{BtfOrigin, Prototype, TracedFunction};
    use crate::spec::BackendKind::{
        self, Kprobe, KprobeMulti, KprobeSession, TracingMulti, Trampoline,
    };
    use crate::spec::{Addr, EntryReason, Hook, HookId, ResultType};

    fn function(name: &str, trampoline_ok: bool) -> TracedFunction {
        TracedFunction {
            id: HookId(0),
            name: name.to_owned(),
            module: None,
            hook: Hook::KernelFunction(Addr(0)),
            size: 1,
            entry: None,
            result: ResultType::Signed(4),
            prototype: Some(Prototype {
                origin: BtfOrigin::Vmlinux,
                btf_id: 1,
                arg_slots: 1,
                trampoline_ok,
            }),
            parameters: Vec::new(),
        }
    }

    /// The policy of a 7.3 kernel; `with_fprobe` is that of 6.12, `without_fprobe` that of 6.1.
    fn newest() -> BackendPolicy {
        auto(&[TracingMulti, KprobeSession, KprobeMulti, Trampoline, Kprobe])
    }

    fn auto(backends: &[BackendKind]) -> BackendPolicy {
        BackendPolicy::Auto(Offered {
            backends: backends.to_vec(),
            shared_kprobes: true,
            preempts_programs: false,
            at_system_calls: false,
        })
    }

    fn with_fprobe() -> BackendPolicy {
        auto(&[KprobeSession, KprobeMulti, Trampoline, Kprobe])
    }

    fn without_fprobe() -> BackendPolicy {
        auto(&[Trampoline, Kprobe])
    }

    #[test]
    fn what_a_back_end_cannot_take_goes_to_the_next_alone() {
        let functions = [function("f", true), function("printk", false)];
        let assigned = assign(&functions, &newest());
        assert_eq!(assigned[0].backends[..2], [TracingMulti, KprobeSession]);
        assert_eq!(assigned[0].why, BackendReason::Best);
        assert_eq!(assigned[1].backends, [KprobeSession, KprobeMulti, Kprobe]);
        assert_eq!(assigned[1].why, BackendReason::NoTrampoline);
        assert_eq!(counts(&assigned).len(), 2);
    }

    #[test]
    fn where_programs_are_preempted_trampolines_get_what_only_they_see() {
        let BackendPolicy::Auto(mut offered) = newest() else {
            unreachable!()
        };
        offered.preempts_programs = true;
        let functions = [function("f", true), function("htab_map_update_elem", true)];
        let assigned = assign(&functions, &BackendPolicy::Auto(offered));
        assert_eq!(assigned[0].backends[0], KprobeSession);
        assert_eq!(assigned[0].why, BackendReason::NotPreempted);
        assert_eq!(assigned[1].backends[0], TracingMulti);
        assert!(matches!(assigned[1].why, BackendReason::Blind(_)));
    }

    #[test]
    fn what_kprobes_do_not_see_goes_to_trampolines() {
        let functions = [
            function("bpf_map_update_value", true),
            function("htab_map_update_elem", true),
            function("htab_map_update_elem", false),
        ];
        let assigned = assign(&functions, &with_fprobe());
        assert_eq!(assigned[0].backends[0], KprobeSession);
        assert_eq!(assigned[1].backends[0], Trampoline);
        assert!(matches!(assigned[1].why, BackendReason::Blind(_)));
        assert_eq!(assigned[2].backends[0], KprobeSession);
        assert_eq!(assign(&functions, &newest())[1].why, BackendReason::Best);
    }

    #[test]
    fn where_functions_are_attached_one_by_one_their_number_decides() {
        let many: Vec<_> = (0..17).map(|n| function(&format!("f{n}"), true)).collect();
        let few = assign(&many[..16], &without_fprobe());
        assert_eq!(
            (few[0].backends[0], few[0].why),
            (Trampoline, BackendReason::Few)
        );
        let by_kprobe = assign(&many, &without_fprobe());
        let first = &by_kprobe[0];
        assert_eq!(
            (first.backends[0], first.why),
            (Kprobe, BackendReason::Many)
        );
        let without_cookies = BackendPolicy::Auto(Offered {
            backends: vec![Trampoline, Kprobe],
            shared_kprobes: false,
            preempts_programs: false,
            at_system_calls: false,
        });
        let first = &assign(&many, &without_cookies)[0];
        assert_eq!(
            (first.backends[0], first.why),
            (Trampoline, BackendReason::Best)
        );
    }

    #[test]
    fn system_calls_are_left_to_tracepoints_where_functions_are_attached_one_by_one() {
        let call = TracedFunction {
            entry: Some(EntryReason::SystemCall),
            ..function("__x64_sys_bpf", true)
        };
        let compat = TracedFunction {
            name: "__ia32_sys_bpf".to_owned(),
            ..call.clone()
        };
        let functions = [call, compat, function("bpf_check", true)];
        let at_system_calls = |policy| {
            let BackendPolicy::Auto(mut offered) = policy else {
                unreachable!()
            };
            offered.at_system_calls = true;
            BackendPolicy::Auto(offered)
        };
        let assigned = assign(&functions, &at_system_calls(without_fprobe()));
        assert_eq!(
            assigned[0].backends,
            [BackendKind::SystemCalls, Trampoline, Kprobe]
        );
        assert_eq!(assigned[0].why, BackendReason::SystemCall);
        assert_eq!(assigned[1].backends[0], Trampoline);
        assert_eq!(assigned[2].backends[0], Trampoline);
        let many = assign(&functions, &at_system_calls(with_fprobe()));
        assert_eq!(many[0].backends[0], KprobeSession);
        let mut preempted = at_system_calls(without_fprobe());
        if let BackendPolicy::Auto(offered) = &mut preempted {
            offered.preempts_programs = true;
        }
        assert_eq!(assign(&functions, &preempted)[0].backends[0], Trampoline);
        let not_wanted = assign(&functions, &without_fprobe());
        assert_eq!(not_wanted[0].backends[0], Trampoline);
    }

    #[test]
    fn a_back_end_that_was_asked_for_is_the_only_one() {
        let functions = [function("f", true), function("htab_map_update_elem", true)];
        let assigned = assign(&functions, &BackendPolicy::Only(KprobeSession));
        assert!(assigned.iter().all(|one| one.backends == [KprobeSession]));
        assert_eq!(assigned[0].why, BackendReason::Asked);
    }
}
