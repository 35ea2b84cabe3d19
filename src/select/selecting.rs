// SPDX-License-Identifier: BSD-2-Clause
//! The selection: each candidate becomes a traced function or is left out with a reason.

use std::sync::Arc;

use super::candidates::{Candidate, TraceIndex, Tracing, candidates};
use super::deny::built_in;
use super::reason::{LeftOut, LeftOutReason};
use super::report::GlobReport;
use super::types::{Selection, TracedFunction, count_reasons};
use super::typing::{CandidateTypes, Typed};
use crate::config::{GlobUse, Globs, Role};
use crate::kernel::btf::TrampolineRules;
use crate::kernel::facts::KernelFacts;
use crate::knowledge::denied::never_returns;
use crate::knowledge::requests::REQUESTS;
use crate::knowledge::syscalls::{SECCOMP_FILTER, is_syscall_entry};
use crate::spec::{EntryReason, GlobKind, Hook, HookId, ResultType, nearest};

/// What the back ends of a run can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendCapabilities {
    /// Whether a back end needs no prototype (kprobe.multi and the like).
    pub kprobe_like: bool,
    /// The restrictions of trampolines (fentry, fexit and the like); `None` if there are none.
    pub trampolines: Option<TrampolineRules>,
}

/// Selects the functions to trace.
#[must_use]
pub fn select(globs: &Globs, facts: &KernelFacts, capabilities: &BackendCapabilities) -> Selection {
    let candidates = candidates(globs, &facts.kallsyms);
    let types = CandidateTypes::new(facts, &candidates);
    let traces = TraceIndex::new(facts);
    let denied_by: Vec<Arc<str>> = globs
        .deny
        .iter()
        .map(|glob| glob.to_string().into())
        .collect();

    let verdicts: Vec<CandidateVerdict> = candidates
        .iter()
        .map(|candidate| {
            let is_ours = is_chosen_by_us(globs, candidate);
            let denied = denying(globs, candidate, is_ours);
            let mut verdict = judge(
                candidate,
                is_ours,
                &types,
                &traces,
                capabilities,
                denied.and_then(|glob| denied_by.get(glob)),
            );
            if is_forced(globs, candidate) {
                force(&mut verdict, capabilities);
            }
            verdict
        })
        .collect();

    let globs = reports(globs, &candidates, &verdicts, &types, facts);
    let mut selection = Selection {
        globs,
        ..Selection::default()
    };
    for (candidate, verdict) in candidates.iter().zip(verdicts) {
        let symbol = candidate.symbol;
        let (name, module) = (symbol.name.to_owned(), symbol.module.map(str::to_owned));
        if let Some(reason) = verdict.reason {
            selection.left_out.push(LeftOut {
                name,
                module,
                addr: symbol.addr,
                reason,
            });
            continue;
        }
        let id = HookId(selection.functions.len() as u32);
        if let Some(overridden) = verdict.overridden {
            selection.forced.push((id, overridden));
        }
        let hook = Hook::of_symbol(symbol.addr);
        selection.functions.push(TracedFunction {
            id,
            name,
            module,
            hook,
            size: symbol.size,
            entry: (!candidate.entry.is_empty()).then(|| {
                // The module is loaded even if the driver's probe function fails, so its failure
                // counts like that of a request.
                let is_request = REQUESTS.contains(&symbol.name) || hook.is_absent();
                entry_reason(symbol.name, is_request)
            }),
            result: verdict.typed.result,
            prototype: verdict.typed.prototype,
            parameters: verdict.typed.parameters,
        });
    }
    selection
}

/// Returns why a call of an entry function opens a session.
pub(crate) fn entry_reason(name: &str, is_request: bool) -> EntryReason {
    if is_request {
        EntryReason::Request
    } else if is_syscall_entry(name) || name == SECCOMP_FILTER {
        EntryReason::SystemCall
    } else {
        EntryReason::KernelFunction
    }
}

/// The decision about a candidate.
struct CandidateVerdict {
    /// Why it is not traced; `None` if it is.
    reason: Option<LeftOutReason>,
    /// The reason against it that the user overrode.
    overridden: Option<LeftOutReason>,
    traceable: bool,
    typed: Typed,
}

/// Returns true if only the program asks for a function: neither a glob of the user's nor one of a
/// use case does.
fn is_chosen_by_us(globs: &Globs, candidate: &Candidate<'_>) -> bool {
    let mut allow = candidate.allow.iter();
    let is_ours = |glob: &u16| {
        let glob = globs.allow.get(usize::from(*glob));
        glob.is_some_and(GlobUse::is_programs)
    };
    candidate.entry.is_empty() && allow.all(is_ours)
}

/// Returns the number of the glob that denies a function. The globs of the default use case deny
/// only what the program chooses.
fn denying(globs: &Globs, candidate: &Candidate<'_>, is_chosen_by_us: bool) -> Option<usize> {
    let mut denying = candidate.deny.iter().map(|&glob| usize::from(glob));
    denying.find(|&glob| {
        let glob = globs.deny.get(glob);
        is_chosen_by_us || !glob.is_some_and(GlobUse::is_of_default_case)
    })
}

fn judge<'a>(
    candidate: &Candidate<'a>,
    is_chosen_by_us: bool,
    types: &CandidateTypes<'a>,
    traces: &TraceIndex<'a>,
    capabilities: &BackendCapabilities,
    denied: Option<&Arc<str>>,
) -> CandidateVerdict {
    let typed = types.of(candidate, capabilities.trampolines);
    let name = candidate.symbol.name;
    if let Some(glob) = denied {
        // Wide globs match many functions that are denied again, so reading their text is skipped.
        return CandidateVerdict {
            reason: Some(LeftOutReason::Denied {
                glob: Arc::clone(glob),
            }),
            overridden: None,
            traceable: false,
            typed,
        };
    }
    // A page fault that fails is no failure of a system call, and there are very many.
    let can_matter = typed.result.can_fail() && typed.result != ResultType::VmFault;
    if is_chosen_by_us && !can_matter {
        return CandidateVerdict {
            reason: Some(LeftOutReason::CannotFail),
            overridden: None,
            traceable: false,
            typed,
        };
    }
    let tracing = traces.tracing(candidate);
    let reason = if is_cold_part(name) {
        Some(LeftOutReason::ColdPart)
    } else if let Some(why) = built_in(name) {
        Some(LeftOutReason::BuiltIn { why })
    } else if never_returns(name) {
        Some(LeftOutReason::NoReturn)
    } else if tracing == Tracing::Impossible {
        Some(LeftOutReason::NotTraceable)
    } else if tracing == Tracing::Unclear {
        Some(LeftOutReason::Ambiguous)
    } else if capabilities.kprobe_like {
        None
    } else {
        typed
            .obstacle
            .map(|obstacle| LeftOutReason::NoBackend { obstacle })
    };
    CandidateVerdict {
        reason,
        overridden: None,
        traceable: tracing == Tracing::Possible,
        typed,
    }
}

/// Returns true if `--force` is on and a glob is exactly the name of this function.
fn is_forced(globs: &Globs, candidate: &Candidate<'_>) -> bool {
    let named = |of: &[GlobUse], by: &[u16]| {
        let mut by = by.iter().filter_map(|&glob| of.get(usize::from(glob)));
        by.any(GlobUse::names_a_function)
    };
    globs.force && (named(&globs.entry, &candidate.entry) || named(&globs.allow, &candidate.allow))
}

/// Overrides our own advice. What the kernel cannot do is not overridden.
fn force(verdict: &mut CandidateVerdict, capabilities: &BackendCapabilities) {
    let is_advice = matches!(
        verdict.reason,
        Some(LeftOutReason::BuiltIn { .. } | LeftOutReason::NoReturn | LeftOutReason::ColdPart)
    );
    if !is_advice {
        return;
    }
    verdict.overridden = verdict.reason.take();
    verdict.reason = if !verdict.traceable {
        Some(LeftOutReason::NotTraceable)
    } else if capabilities.kprobe_like {
        None
    } else {
        verdict
            .typed
            .obstacle
            .map(|obstacle| LeftOutReason::NoBackend { obstacle })
    };
}

/// Returns true if `name` is the cold part of a function: `f.cold`, `f.cold.3`, `f.isra.0.cold`.
fn is_cold_part(name: &str) -> bool {
    name.split('.').skip(1).any(|suffix| suffix == "cold")
}

fn reports(
    globs: &Globs,
    candidates: &[Candidate<'_>],
    verdicts: &[CandidateVerdict],
    types: &CandidateTypes<'_>,
    facts: &KernelFacts,
) -> Vec<GlobReport> {
    let mut reports = Vec::new();
    for role in [Role::Entry, Role::Allow, Role::Deny] {
        let by = |candidate: &Candidate<'_>| match role {
            Role::Entry => candidate.entry.clone(),
            Role::Allow => candidate.allow.clone(),
            Role::Deny => candidate.deny.clone(),
        };
        let mut matching: Vec<Vec<&CandidateVerdict>> = vec![Vec::new(); globs.of(role).len()];
        for (candidate, verdict) in candidates.iter().zip(verdicts) {
            for glob in by(candidate) {
                matching[usize::from(glob)].push(verdict);
            }
        }
        for (glob, verdicts) in globs.of(role).iter().zip(matching) {
            reports.push(report(role, glob, &verdicts));
        }
    }
    for report in reports
        .iter_mut()
        .filter(|report| report.in_kallsyms == 0 && report.is_users() && report.role != Role::Deny)
    {
        explain(report, types, facts);
    }
    reports
}

fn report(role: Role, glob: &GlobUse, verdicts: &[&CandidateVerdict]) -> GlobReport {
    GlobReport {
        role,
        glob: glob.clone(),
        in_kallsyms: verdicts.len(),
        in_btf: verdicts
            .iter()
            .filter(|verdict| verdict.typed.in_btf)
            .count(),
        attachable: verdicts.iter().filter(|verdict| verdict.traceable).count(),
        selected: verdicts
            .iter()
            .filter(|verdict| verdict.reason.is_none())
            .count(),
        left_out: count_reasons(
            verdicts
                .iter()
                .filter_map(|verdict| verdict.reason.as_ref()),
        ),
        nearest: Vec::new(),
    }
}

/// Finds what a glob that matches no symbol may have meant: matches in BTF and similar names.
fn explain(report: &mut GlobReport, types: &CandidateTypes<'_>, facts: &KernelFacts) {
    let spec = &report.glob.spec;
    report.in_btf = types
        .names()
        .filter(|(name, module)| spec.matches(name, *module))
        .count();
    let GlobKind::Function { name, module } = spec.kind() else {
        return;
    };
    let functions = facts.kallsyms.function_names();
    let functions = functions
        .map(|(index, _)| facts.kallsyms.symbol(index))
        .filter(|symbol| !symbol.name.starts_with("__pfx_"));
    let in_module = |of: Option<&str>| match module {
        Some(module) => of.is_some_and(|of| module.matches(of)),
        None => true,
    };
    let names = functions
        .filter(|symbol| in_module(symbol.module))
        .map(|symbol| symbol.name);
    let similar = nearest(name.longest_literal(), names, 3);
    report.nearest = similar.into_iter().map(str::to_owned).collect();
}
