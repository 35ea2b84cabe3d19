// SPDX-License-Identifier: BSD-2-Clause
//! Which rule refused a permission, or which limit was reached, from what was noted while the culprit
//! ran.
//!
//! Some places are passed only when something is refused: audit messages, and tracepoints for
//! refusals. They come first. All other notes are of checks that failed. They are read from the last
//! one back, because the last check decides: a capability is asked for first, where it would have
//! overridden the mode bits that then refuse. Such a note counts if no other traced call began
//! between the culprit and the note.

mod decide;
mod limits;
mod modules;

use std::sync::Arc;

use self::decide::{Facts, decide};
use crate::knowledge::refusals::{
    CAPABILITY_QUESTIONS, KNOWS_LESS, LIMIT_ERRNOS, MODULE_PREFIXES, RefusalClass, TOLD_BY,
};
use crate::render::{RenderContext, SymbolizedSession};
use crate::session::{Call, Note, Session};
use crate::spec::{Addr, Ip, NoteKind, NoteSource, NoteValue, Outcome, base_name};
use crate::symbolize::{Frame, SourceLine};

/// Errors that mean a refusal: `EPERM`, `EACCES`, `EROFS`.
const REFUSALS: [u16; 3] = [1, 13, 30];

/// A refusal, and who asked. A limit that is reached counts as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::render) struct RefusalView {
    pub(in crate::render) class: RefusalClass,
    /// What the rule says, and what it was applied to. Not escaped. Empty if nothing is known.
    pub(in crate::render) words: String,
    /// The function that asked; `None` if that is the culprit, as far as is known.
    pub(in crate::render) asker: Option<AskerView>,
}

/// A function that asked for a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::render) struct AskerView {
    pub(in crate::render) name: String,
    pub(in crate::render) source: Option<SourceLine>,
}

/// Returns the addresses whose frames are needed to name who asked.
pub(in crate::render) fn asker_ips(session: &Session) -> impl Iterator<Item = Ip> {
    let values = session.notes.iter().flat_map(|note| &note.values);
    values.flat_map(|value| stack_of(value).iter().copied().map(Ip::return_to))
}

/// Returns why permission was refused; `None` if the session did not fail for that, or if it is not
/// known.
pub(in crate::render) fn refusal(
    shown: SymbolizedSession<'_>,
    context: &RenderContext<'_>,
) -> Option<RefusalView> {
    let session = shown.session;
    let calls = &session.chain.calls;
    let links = || session.chain.links.iter().rev().map(|link| link.call);
    let culprit = links().find(|call| is_failure(calls.get(*call)))?;
    // A culprit that returned NULL has the errno of its caller.
    let errno = links().find_map(|call| match calls.get(call)?.outcome {
        Outcome::Errno(errno) => Some(errno),
        Outcome::Success | Outcome::Null | Outcome::Status(_) => None,
    })?;
    if !REFUSALS.contains(&errno) && !LIMIT_ERRNOS.contains(&errno) {
        return None;
    }
    let noted = || session.notes.iter().rev();
    let told = noted()
        .filter(|note| is_told(note, session, context))
        .find_map(|note| of_note(note, errno, shown, context));
    if told.is_some() {
        return told;
    }
    let end = end_of_callees(&session.chain.calls, culprit);
    let checks = || noted().filter(|note| note.n_started > culprit && note.n_started <= end);
    let checked = checks()
        .filter(|note| !knows_less(note, context))
        .chain(checks().filter(|note| knows_less(note, context)))
        .find_map(|note| of_note(note, errno, shown, context));
    checked.or_else(|| of_name(session, culprit, errno, context))
}

/// Returns whether a note is of a place that only refusals pass, in a call of the chain.
fn is_told(note: &Note, session: &Session, context: &RenderContext<'_>) -> bool {
    let source = context.sources.get(note.source);
    let is_told = source
        .is_some_and(|source| TOLD_BY.contains(&source.name.as_str()) || source.name.contains(':'));
    let mut links = session.chain.links.iter();
    is_told
        && note
            .inside
            .is_some_and(|inside| links.any(|link| link.call == inside))
}

fn knows_less(note: &Note, context: &RenderContext<'_>) -> bool {
    let source = context.sources.get(note.source);
    source.is_some_and(|source| KNOWS_LESS.contains(&source.name.as_str()))
}

fn is_failure(call: Option<&Call>) -> bool {
    call.is_some_and(|call| call.returned && call.outcome.is_failure())
}

/// Returns the index after the last call that was made below a call.
fn end_of_callees(calls: &[Call], call: usize) -> usize {
    let depth = calls[call].depth;
    let rest = calls[call + 1..].iter();
    call + 1 + rest.take_while(|below| below.depth > depth).count()
}

fn of_note(
    note: &Note,
    errno: u16,
    shown: SymbolizedSession<'_>,
    context: &RenderContext<'_>,
) -> Option<RefusalView> {
    let source = context.sources.get(note.source)?;
    if source.kind != NoteKind::Refusal {
        return None;
    }
    let facts = Facts::new(source, &note.values);
    let (class, words) = if LIMIT_ERRNOS.contains(&errno) {
        (
            RefusalClass::Limit,
            limits::decide(&source.name, errno, &facts)?,
        )
    } else {
        decide(&source.name, errno, &facts)?
    };
    Some(RefusalView {
        class,
        words,
        asker: asker(source, note, shown),
    })
}

/// The functions of security modules tell by their names which one it is, and some functions hold one
/// limit only.
fn of_name(
    session: &Session,
    culprit: usize,
    errno: u16,
    context: &RenderContext<'_>,
) -> Option<RefusalView> {
    let function = context
        .functions
        .get(session.chain.calls[culprit].func.index())?;
    if LIMIT_ERRNOS.contains(&errno) {
        return Some(RefusalView {
            class: RefusalClass::Limit,
            words: limits::of_function(base_name(&function.name), errno)?,
            asker: None,
        });
    }
    let is_of = |(prefix, _): &&(&str, RefusalClass)| function.name.starts_with(prefix);
    let (_, class) = MODULE_PREFIXES.iter().find(is_of)?;
    Some(RefusalView {
        class: *class,
        words: String::new(),
        asker: None,
    })
}

fn stack_of(value: &NoteValue) -> &[Addr] {
    match value {
        NoteValue::Stack(addrs) => addrs,
        _ => &[],
    }
}

/// Returns the innermost function of the noted stack that does not only pass the question on.
fn asker(source: &NoteSource, note: &Note, shown: SymbolizedSession<'_>) -> Option<AskerView> {
    let stack = note.values.iter().map(stack_of);
    let addrs = stack.into_iter().find(|stack| !stack.is_empty())?;
    let passes_on = |name: &str| {
        let name = base_name(name);
        name == source.name || CAPABILITY_QUESTIONS.contains(&name)
    };
    // Our program and its trampoline are further in than the function whose return is noted.
    let names = |addr: &Addr| {
        let frame = shown.frames.get(Ip::return_to(*addr))?;
        Some(functions(frame))
    };
    let mut found: Vec<AskerView> = addrs.iter().filter_map(names).flatten().collect();
    // A trampoline that is jumped to leaves no frame of the function, as on 7.3.
    let is_within = |asker: &AskerView| passes_on(&asker.name);
    let first = found.iter().position(is_within);
    let first = first.or_else(|| found.iter().position(|asker| is_tracer(&asker.name)))?;
    let mut rest = found.drain(first..);
    rest.find(|asker| !passes_on(&asker.name) && !is_tracer(&asker.name))
}

/// Trampolines and programs lie between a traced function and its callers.
fn is_tracer(name: &str) -> bool {
    name.starts_with("bpf_trampoline_") || name.starts_with("bpf_prog_") || name.starts_with("0x")
}

/// The functions at an address, innermost first: the inlined ones, and the one with the code.
fn functions(frame: &Arc<Frame>) -> Vec<AskerView> {
    let inlined = frame.inlined.iter().rev().map(|inlined| AskerView {
        name: inlined.function.to_string(),
        source: inlined.source.clone(),
    });
    let symbol = frame.symbol.as_ref().map(|symbol| AskerView {
        name: symbol.name.to_string(),
        source: frame.source.clone(),
    });
    inlined.chain(symbol).collect()
}

#[cfg(test)]
mod tests;
