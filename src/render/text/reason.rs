// SPDX-License-Identifier: BSD-2-Clause
//! The verdict on a command: the failure that is the reason, who decided it, what was said, the chain,
//! and the stack. Then what else failed, in one line.

use std::io::{self, Write};

use super::phrases::{self, push_module};
use super::{handled, messages, notes, row_table, syscall, trail, workload};
use crate::explain::{Cause, Reason, outcome};
use crate::render::escape::{push_escaped, push_escaped_text};
use crate::render::style::{Page, Style};
use crate::render::value::{errno_in_words, push_decimal};
use crate::render::view::{self, CallView, RowView, TracerRows};
use crate::render::{RenderContext, SymbolizedSession};
use crate::session::Session;
use crate::spec::{Errno, Outcome, base_name};

/// Kinds of failures that are named in the last line.
const MAX_OTHERS: usize = 12;

/// How much is written of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The verdict.
    Verdict,
    /// The verdict and the stack.
    Stack,
}

/// Writes a reason and a blank line after it.
///
/// # Errors
///
/// When writing fails.
pub fn write_reason(
    reason: &Reason<'_>,
    shown: SymbolizedSession<'_>,
    detail: Detail,
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let session = shown.session;
    let mut page = Page::new(context.width, context.color);
    head(&mut page, reason, context);
    workload::workload(&mut page, session, context.verbosity);
    let tracer = TracerRows::in_text(context.verbosity);
    let views = view::rows(shown, context, tracer);
    decided(&mut page, shown, &views, context);
    messages::messages(&mut page, session, "  ", context);
    chain(&mut page, reason, context);
    if detail == Detail::Stack {
        let first = views.iter().position(|view| view.link.is_some());
        let skipped = match context.verbosity {
            0 => first.unwrap_or(0),
            _ => 0,
        };
        row_table(&views[skipped..], context).write(&mut page);
        handled(&mut page, shown, context);
    }
    notes::notes(&mut page, session, context);
    phrases::losses(&mut page, &session.chain.losses);
    page.end_line();
    out.write_all(page.into_text().as_bytes())
}

/// Writes `mount[199]  mount("none", "/mnt", …) = -EINVAL (Invalid argument)`, and how often.
fn head(page: &mut Page, reason: &Reason<'_>, context: &RenderContext<'_>) {
    let session = reason.session;
    page.flow(Style::Strong, |text| {
        push_escaped(text, &session.header.comm);
        text.push('[');
        push_decimal(text, session.header.tgid.0.into());
        text.push_str("]  ");
    });
    syscall::call(page, session, context);
    answered(page, session, context);
    if reason.count > 1 {
        page.flow(Style::Note, |text| {
            text.push_str("  ");
            push_decimal(text, reason.count);
            text.push_str(" times");
        });
    }
    page.end_line();
}

/// Writes how a request was answered whose system call succeeded.
fn answered(page: &mut Page, session: &Session, context: &RenderContext<'_>) {
    let Some(answer) = session.failed_call() else {
        return;
    };
    if session.entry() == Some(answer) {
        return;
    }
    page.flow(Style::Strong, |text| {
        text.push_str(", answered ");
        phrases::push_result_of(text, &CallView::new(answer, context));
    });
    if let Some((_, meaning)) = errno_in_words(answer.outcome) {
        page.flow(Style::Plain, |text| text.extend([" (", meaning, ")"]));
    }
}

/// Writes the culprit and what is known of its decision.
fn decided(
    page: &mut Page,
    shown: SymbolizedSession<'_>,
    rows: &[RowView<'_>],
    context: &RenderContext<'_>,
) {
    let Some((row, culprit)) = view::culprit_row(rows) else {
        return;
    };
    let certainty = match shown.session.chain.certain {
        true => "  decided by  ",
        false => "  probably by ",
    };
    page.flow_text(Style::Strong, certainty);
    page.flow(Style::Culprit, |text| {
        phrases::push_decider(text, shown.session, &culprit);
    });
    page.flow(Style::Failure, |text| {
        text.push(' ');
        phrases::push_result_of(text, &culprit);
    });
    match view::maker_of(shown.session) {
        Some(maker) => {
            page.flow(Style::Plain, |text| {
                text.push_str(", called by ");
                match &maker.caller {
                    Some(caller) => push_escaped_text(text, caller),
                    None => {
                        push_escaped_text(text, &culprit.name());
                        push_module(text, culprit.module());
                    }
                }
            });
            if let Some(source) = view::definition_of(shown, maker) {
                page.flow(Style::Plain, |text| {
                    text.push_str(", defined at ");
                    phrases::push_source(text, source);
                });
            }
        }
        None => phrases::place(page, row),
    }
    page.end_line();
    let refusal = view::refusal(shown, context);
    if let Some(refusal) = &refusal {
        page.flow_text(Style::Plain, "  ");
        phrases::refusal(page, refusal);
    }
    let is_open = refusal.is_none_or(|refusal| refusal.words.is_empty());
    let Some(found) = &shown.session.chain.trail else {
        return;
    };
    // A guess that is wrong more often than right is not worth a line, nor is what was said above.
    let is_known_below = found.made_here == Some(false) && found.maker.is_none();
    if context.verbosity > 0 || is_open && is_known_below {
        trail::trail(page, found, culprit.call.outcome);
    }
}

/// Writes `  chain       mount > path_mount > … > tmpfs_fill_super`.
fn chain(page: &mut Page, reason: &Reason<'_>, context: &RenderContext<'_>) {
    let session = reason.session;
    let calls = session.chain_calls();
    let names: Vec<String> = calls
        .filter(|call| call.outcome.is_failure())
        .map(|call| {
            let is_entry = session.entry() == Some(call);
            let called = reason.call.filter(|_| is_entry).map(str::to_owned);
            called.unwrap_or_else(|| CallView::new(call, context).name().into_owned())
        })
        .collect();
    if names.len() < 2 {
        return;
    }
    page.flow_text(Style::Strong, "  chain       ");
    for (index, name) in names.iter().enumerate() {
        page.flow(Style::Plain, |text| {
            push_escaped_text(text, base_name(name));
            if index + 1 < names.len() {
                text.push_str(" > ");
            }
        });
    }
    page.end_line();
}

/// Writes the failures that are not shown, one kind after another, in one line.
///
/// # Errors
///
/// When writing fails.
pub fn write_others(
    reasons: &[Reason<'_>],
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let is_harmless = reasons.iter().all(|reason| reason.cause == Cause::Harmless);
    let label = match is_harmless {
        true => "also failed, as in programs that work (--all shows them): ",
        false => "also failed, and probably not the reason (--all shows them): ",
    };
    write_kinds(label, reasons, context, out)
}

/// Writes the reasons that were shown while the command was running, in one line.
///
/// # Errors
///
/// When writing fails.
pub fn write_known(
    reasons: &[Reason<'_>],
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_kinds("shown above: ", reasons, context, out)
}

/// Writes the kinds of these reasons in one line, which begins with `label`; nothing if there are none.
fn write_kinds(
    label: &str,
    reasons: &[Reason<'_>],
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let kinds = kinds(reasons, context);
    if kinds.is_empty() {
        return Ok(());
    }
    let mut page = Page::new(context.width, context.color);
    page.flow_text(Style::Strong, label);
    let n_named = kinds.len().min(MAX_OTHERS);
    for (index, (kind, count)) in kinds.iter().take(n_named).enumerate() {
        page.flow(Style::Plain, |text| {
            push_escaped_text(text, kind);
            if *count > 1 {
                text.push(' ');
                push_decimal(text, *count);
                text.push_str(" times");
            }
            if index + 1 < kinds.len() {
                text.push_str(", ");
            }
        });
    }
    if kinds.len() > n_named {
        page.flow(Style::Plain, |text| {
            push_decimal(text, (kinds.len() - n_named) as u64);
            text.push_str(" other kinds");
        });
    }
    page.end_line();
    out.write_all(page.into_text().as_bytes())
}

/// Returns `openat ENOENT` and how often it happened, in the order of rank.
fn kinds(reasons: &[Reason<'_>], context: &RenderContext<'_>) -> Vec<(String, u64)> {
    let mut kinds: Vec<(String, u64)> = Vec::new();
    for reason in reasons {
        let name = kind(reason, context);
        match kinds.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += reason.count,
            None => kinds.push((name, reason.count)),
        }
    }
    kinds
}

fn kind(reason: &Reason<'_>, context: &RenderContext<'_>) -> String {
    let session = reason.session;
    let entry = session.entry().map(|call| CallView::new(call, context));
    let name = match (reason.call, entry) {
        (Some(call), _) => call.to_owned(),
        (None, Some(entry)) => entry.name().into_owned(),
        (None, None) => "?".to_owned(),
    };
    match outcome(session) {
        Outcome::Errno(errno) => format!("{name} {}", Errno(errno)),
        Outcome::Null => format!("{name} NULL"),
        Outcome::Status(_) | Outcome::Success => name,
    }
}

/// Failures of a command in numbers.
#[derive(Clone, Copy, Debug)]
pub struct FailureCounts {
    /// All of them.
    pub n_failures: u64,
    /// Processes that had some.
    pub n_processes: usize,
    /// Those that are neither shown nor counted with another one.
    pub n_forgotten: u64,
}

/// Writes how many system calls failed, and how the command ended.
///
/// # Errors
///
/// When writing fails.
pub fn write_end(
    counts: FailureCounts,
    status: Option<u8>,
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let FailureCounts {
        n_failures,
        n_processes,
        n_forgotten,
    } = counts;
    let mut page = Page::new(context.width, context.color);
    page.flow(Style::Plain, |text| {
        if n_failures == 0 {
            text.push_str("no system call failed");
            return;
        }
        push_decimal(text, n_failures);
        text.push_str(match n_failures {
            1 => " system call of ",
            _ => " system calls of ",
        });
        push_decimal(text, n_processes as u64);
        text.push_str(match n_processes {
            1 => " process failed",
            _ => " processes failed",
        });
    });
    if n_forgotten > 0 {
        page.flow(Style::Note, |text| {
            text.push_str("; ");
            push_decimal(text, n_forgotten);
            text.push_str(" of too many kinds are not named");
        });
    }
    if let Some(status) = status {
        page.flow(Style::Plain, |text| {
            text.push_str("; exit status ");
            push_decimal(text, status.into());
        });
    }
    page.end_line();
    out.write_all(page.into_text().as_bytes())
}
