// SPDX-License-Identifier: BSD-2-Clause
//! Arming: chooses the selected functions to attach to at first if attaching is slow, and those to
//! attach to later because they were seen in stacks of failures.

use std::collections::BTreeMap;
use std::mem;

use super::attaching;
use crate::bpf::{Sink, Tracer};
use crate::code::{Code, FromFn, Reached, reachable};
use crate::config::{Config, GlobUse, Globs};
use crate::diag::Diag;
use crate::kernel::facts::KernelFiles;
use crate::knowledge::deciders::is_common_decider;
use crate::knowledge::syscalls::{is_common_call, is_native_entry};
use crate::live::behind::Behind;
use crate::live::trails::Traced;
use crate::prepare::gather::Prepared;
use crate::select::{BackendPolicy, Selection, TracedFunction, assign};
use crate::session::Session;
use crate::spec::{Addr, GlobKind, HookId, base_name};
use crate::syscalls::number_of_function;

/// Up to this many matching functions are attached to unconditionally, even one by one.
const EAGER_ATTACH_LIMIT: usize = 64;

/// Number of functions that a run of `--again` attaches to one by one.
const MAX_NEAREST: usize = 256;

/// Defers the functions that the entry functions do not reach. This happens only if the back end
/// attaches one by one and more than [`EAGER_ATTACH_LIMIT`] functions match.
pub(crate) fn narrow(prepared: &mut Prepared, config: &Config, files: &KernelFiles, diag: &Diag) {
    let n_matching = prepared.selection.functions.len();
    if config.all_matching || n_matching <= EAGER_ATTACH_LIMIT || !prepared.attaches_one_by_one() {
        return;
    }
    let is_broad = config.globs.is_broad();
    if takes_common_calls(&config.globs) {
        take_common_calls(prepared, config, diag);
        return;
    }
    let Some(mut reached) = reached(prepared, files, diag) else {
        return;
    };
    if is_broad {
        keep_nearest(&mut reached, &prepared.selection);
    }
    let named: Vec<&GlobUse> = config
        .globs
        .allow
        .iter()
        .filter(|glob| is_name(glob))
        .collect();
    let is_wanted = |function: &TracedFunction| {
        let module = function.module.as_deref();
        function.entry.is_some()
            || function.hook.is_absent()
            || function.hook.is_of_user()
            // A function that cannot fail is only an intermediate call of a chain, and costs as
            // much as one that can fail.
            || (function.result.can_fail() && reached.functions.contains_key(&function.addr()))
            || named
                .iter()
                .any(|glob| glob.spec.matches(&function.name, module))
    };
    let selection = &mut prepared.selection;
    selection.defer(is_wanted);
    if selection.deferred.is_empty() {
        return;
    }
    let text = format!(
        "{} {} of {n_matching} matching functions: those that can fail, reachable from {}; --all-matching for the rest",
        if config.run.dry_run { "arms" } else { "arming" },
        selection.armed().count(),
        entries_text(selection),
    );
    diag.note(text);
}

/// Returns true if the program chooses the inner functions of many system calls. Of a run of `--again`
/// it chooses the entry function, too.
pub(crate) fn takes_common_calls(globs: &Globs) -> bool {
    globs.is_broad() && !globs.entry.iter().all(GlobUse::is_programs)
}

/// Keeps the functions that the entry functions reach by the fewest calls, of those that can fail.
fn keep_nearest(reached: &mut Reached, selection: &Selection) {
    let can_fail = selection.functions.iter().filter(|it| it.result.can_fail());
    let mut nearest: Vec<(u32, Addr)> = can_fail
        .filter_map(|function| {
            let addr = function.addr();
            Some((*reached.functions.get(&addr)?, addr))
        })
        .collect();
    nearest.sort_unstable();
    nearest.truncate(MAX_NEAREST);
    reached.functions = nearest
        .into_iter()
        .map(|(distance, addr)| (addr, distance))
        .collect();
}

/// Defers what the program chose where attaching is slow: all but the system calls (those that often
/// fail, if tracepoints do not take all of them), and the functions that often decide why they fail.
fn take_common_calls(prepared: &mut Prepared, config: &Config, diag: &Diag) {
    let globs = &config.globs;
    let is_asked_for = |function: &TracedFunction| {
        let mut globs = globs.entry.iter().chain(&globs.allow);
        let module = function.module.as_deref();
        globs.any(|glob| glob.is_users() && glob.spec.matches(&function.name, module))
    };
    let takes_all = prepared.policy.takes_all_system_calls();
    // The functions of the 32-bit table exist for this table, too, but nothing calls them:
    // `__x64_sys_socketcall`.
    let is_called = |name: &str| !is_native_entry(name) || number_of_function(name).is_some();
    let is_taken = |name: &str| match takes_all {
        true => is_called(name),
        false => is_common_call(name),
    };
    let is_wanted = |function: &TracedFunction| {
        is_asked_for(function)
            || function.entry.is_some() && is_taken(&function.name)
            || is_common_decider(base_name(&function.name))
    };
    prepared.selection.defer(is_wanted);
    let hint = match config.command {
        Some(_) => "--again traces what the failing call reaches",
        None => "-e and -a, or -c, choose others",
    };
    let armed = prepared.selection.armed();
    let n_inner = armed.filter(|function| function.entry.is_none()).count();
    let calls = match takes_all {
        true => "all system calls are traced",
        false => "the system calls are traced that often fail",
    };
    diag.note(format!(
        "this kernel attaches functions one by one: {calls}, and of the inner functions {n_inner} that \
         often decide ({hint})"
    ));
}

/// Returns true if the user wrote out a function name or a module. Such functions are armed even if
/// they are not reached: functions of modules are mostly called through pointers.
fn is_name(glob: &GlobUse) -> bool {
    let is_literal = match glob.spec.kind() {
        GlobKind::Function { name, module } => name.is_literal() || module.is_some(),
        _ => false,
    };
    is_literal && glob.is_users()
}

fn reached(prepared: &Prepared, files: &KernelFiles, diag: &Diag) -> Option<Reached> {
    let known = prepared.known.as_ref()?;
    let kcore = match files.kcore() {
        Ok(kcore) => kcore,
        Err(error) => {
            diag.info(
                1,
                format!("what the entry functions reach is not known: {error:#}"),
            );
            return None;
        }
    };
    let text = FromFn(|addr, bytes: &mut [u8]| kcore.read(addr, bytes).is_ok());
    let code = Code::new(&known.kallsyms, &text);
    let entries = || {
        let entries = prepared.selection.entries();
        let of_kernel = entries.filter(|entry| !entry.hook.is_of_user());
        of_kernel.map(TracedFunction::addr)
    };
    // User functions may make any system call.
    entries().next()?;
    // If the code of an entry function cannot be read, every function would count as not reached.
    if entries().any(|entry| code.function(entry).is_none()) {
        diag.info(
            1,
            "what the entry functions reach is not known: no machine code",
        );
        return None;
    }
    let reached = reachable(&code, entries());
    let n_reached = reached.functions.len();
    diag.phase(&format!("walked {n_reached} functions"));
    Some(reached)
}

fn entries_text(selection: &Selection) -> String {
    let mut entries = selection.entries();
    let first = entries.next().map_or("", |first| &first.name);
    match entries.count() {
        0 => first.to_owned(),
        1 => format!("{first} and one more"),
        more => format!("{first} and {more} more"),
    }
}

/// The deferred functions, which may be attached to later.
#[derive(Default)]
pub(crate) struct Arming<'a> {
    /// Start address → end address and id.
    deferred: BTreeMap<u64, (u64, HookId)>,
    wanted: Vec<HookId>,
    behind: Option<&'a Behind<'a>>,
}

impl<'a> Arming<'a> {
    pub(crate) fn new(selection: &Selection) -> Self {
        let deferred = selection.deferred.iter().filter_map(|id| {
            let function = selection.functions.get(id.index())?;
            let end = function.addr().0.saturating_add(function.size);
            Some((function.addr().0, (end, *id)))
        });
        Self {
            deferred: deferred.collect(),
            wanted: Vec::new(),
            behind: None,
        }
    }

    /// Sets the source for the functions that culprits call through pointers.
    pub(crate) fn look_behind(&mut self, behind: &'a Behind<'a>) {
        self.behind = Some(behind);
    }

    /// Collects the deferred functions in the stack of a session, from its entry function inwards,
    /// and those that its culprit may have called through pointers.
    pub(crate) fn observe(&mut self, session: &Session) {
        if self.deferred.is_empty() {
            return;
        }
        let suspects = self.behind.map(|behind| behind.suspects(session));
        for addr in suspects.unwrap_or_default() {
            if let Some((_, id)) = self.deferred.remove(&addr.0) {
                self.wanted.push(id);
            }
        }
        let below_entry = session
            .chain
            .stack
            .iter()
            .skip_while(|row| row.link.is_none());
        for addr in below_entry.filter_map(|row| row.ip?.location.kernel_addr()) {
            if let Some(start) = self.holding(addr)
                && let Some((_, id)) = self.deferred.remove(&start)
            {
                self.wanted.push(id);
            }
        }
    }

    fn holding(&self, addr: Addr) -> Option<u64> {
        let (start, (end, _)) = self.deferred.range(..addr.0).next_back()?;
        (addr.0 <= *end).then_some(*start)
    }

    /// Returns true if there are functions to attach to.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Takes the functions to attach to now.
    pub(crate) fn take(&mut self) -> Vec<HookId> {
        mem::take(&mut self.wanted)
    }
}

/// Attaches to functions that were seen in a stack, while records are still read. Failures
/// are reported and do not end the run.
pub(crate) fn attach_more(
    tracer: &mut Tracer<'_>,
    sink: &mut dyn Sink,
    wanted: &[TracedFunction],
    policy: &BackendPolicy,
    traced: &Traced,
    diag: &Diag,
) {
    let assigned = assign(wanted, policy);
    let attach = |tracer: &mut Tracer<'_>| tracer.attach(wanted, &assigned, &mut |_, _| true);
    let attached = match tracer.beside(sink, attach).and_then(|attached| attached) {
        Ok(attached) => attached,
        Err(error) => {
            let names = names(wanted.iter());
            diag.warning(format!("failed to attach to {names}: {error:#}"));
            return;
        }
    };
    attaching::report(&attached, wanted, diag);
    let new = wanted
        .iter()
        .filter(|function| !attached.has_refused(function.id));
    for function in new.clone() {
        traced.add(function.addr());
    }
    if new.clone().next().is_some() {
        diag.note(format!(
            "part of a shown failure, and traced from now on: {}",
            names(new)
        ));
    }
}

fn names<'f>(functions: impl Iterator<Item = &'f TracedFunction>) -> String {
    let names: Vec<&str> = functions.map(|function| &*function.name).collect();
    names.join(", ")
}
