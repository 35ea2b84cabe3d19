// SPDX-License-Identifier: BSD-2-Clause
//! A session as text: header, the stack with results and lines, handled failures, losses, and the
//! culprit.
//!
//! The first column has marks: `>` for the culprit, `~` for rows of the tracer itself (`-vv`).
//! Notes follow `<-`, or `^` on a line of their own. All marks are ASCII, and none depends on
//! colour.

mod flight;
mod messages;
mod notes;
mod oneline;
mod phrases;
mod reason;
mod syscall;
mod trail;
mod workload;

use std::io::{self, Write};

pub use self::flight::write_flight;
pub use self::oneline::one_line;
use self::phrases::{push_ids, push_module, push_result_of, push_source};
pub use self::reason::{Detail, FailureCounts, write_end, write_known, write_others, write_reason};
use super::escape::{push_escaped, push_escaped_text};
use super::layout::{StackTable, TableRow};
use super::style::{Page, Style};
use super::value::{push_call_result, push_decimal, push_duration, push_hex};
use super::view::{self, CallView, LinkView, RowView, TracerRows};
use super::{RenderContext, SymbolizedSession};
use crate::session::{ExecutionContext, Session};
use crate::symbolize::Inlined;

/// Number of handled failures that are listed without `-v`.
const HANDLED_SHOWN: usize = 8;

/// Writes a session and a blank line after it.
///
/// # Errors
///
/// When writing fails.
pub fn write_session(
    shown: SymbolizedSession<'_>,
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let session = shown.session;
    let mut page = Page::new(context.width, context.color);
    header(&mut page, session, context);
    syscall::syscall(&mut page, session, context);
    messages::messages(&mut page, session, "", context);
    workload::workload(&mut page, session, context.verbosity);
    let tracer = TracerRows::in_text(context.verbosity);
    let views = view::rows(shown, context, tracer);
    row_table(&views, context).write(&mut page);
    handled(&mut page, shown, context);
    notes::notes(&mut page, session, context);
    phrases::losses(&mut page, &session.chain.losses);
    verdict(&mut page, shown, &views, context);
    page.end_line();
    out.write_all(page.into_text().as_bytes())
}

fn header(page: &mut Page, session: &Session, context: &RenderContext<'_>) {
    let ran_in = match session.header.execution_context {
        ExecutionContext::Task => "",
        ExecutionContext::SoftIrq => " in a softirq",
        ExecutionContext::HardIrq => " in a hardware interrupt",
        ExecutionContext::Nmi => " in an NMI",
    };
    page.flow(Style::Strong, |text| {
        context.clock.push_time_of_day(text, session.header.started);
        text.push_str(" -> ");
        context.clock.push_time_of_day(text, session.header.ended);
    });
    page.flow(Style::Strong, |text| {
        text.push_str(" TID/PID ");
        push_ids(text, session.header.tid, session.header.tgid);
    });
    page.flow(Style::Strong, |text| {
        text.push_str(" (");
        push_escaped(text, &session.header.comm);
        text.push('/');
        push_escaped(text, &session.header.leader_comm);
        text.extend([")", ran_in, ":"]);
    });
    page.end_line();
}

fn row_table(views: &[RowView<'_>], context: &RenderContext<'_>) -> StackTable {
    let n_rows = views.iter().map(|view| 1 + view.inlined().len());
    let mut table = StackTable::with_room(n_rows.sum());
    for view in views {
        push_row(&mut table, view, context);
        for inlined in view.inlined() {
            push_inlined(&mut table, inlined);
        }
    }
    table
}

fn push_row(table: &mut StackTable, view: &RowView<'_>, context: &RenderContext<'_>) {
    let mut row = TableRow {
        symbol: table.cell(|text| push_symbol(text, view)),
        ..TableRow::default()
    };
    let place = view.place();
    if let Some(source) = place.source {
        row.source = table.cell(|text| {
            push_source(text, source);
            if place.is_definition {
                text.push_str(", start");
            }
        });
    }
    let addr = view.row.ip.and_then(|ip| ip.location.kernel_addr());
    if let Some(addr) = addr.filter(|_| context.verbosity >= 1) {
        row.address = table.cell(|text| text.push_str(&addr.to_string()));
    }
    if view.row.is_tracer {
        row.mark = "~";
        row.symbol_style = Some(Style::Faint);
    }
    if let Some(link) = &view.link {
        of_link(table, &mut row, link);
    }
    table.push(row);
}

/// Adds a row for a function that is inlined in the row above.
fn push_inlined(table: &mut StackTable, inlined: &Inlined) {
    let symbol = table.cell(|text| {
        text.push_str(". ");
        push_escaped_text(text, &inlined.function);
    });
    let source = inlined.source.as_ref();
    let source = source.map(|source| table.cell(|text| push_source(text, source)));
    table.push(TableRow {
        symbol,
        source: source.unwrap_or_default(),
        ..TableRow::default()
    });
}

fn of_link(table: &mut StackTable, row: &mut TableRow, link: &LinkView<'_>) {
    let call = link.of.call;
    row.duration = table.cell(|text| {
        if call.returned {
            push_duration(text, call.duration_ns);
        } else {
            text.push_str("...");
        }
    });
    row.result = table.cell(|text| push_call_result(text, link.of.result_type(), call));
    row.result_style = call.outcome.is_failure().then_some(Style::Failure);
    if link.is_culprit {
        row.mark = ">";
        row.symbol_style = Some(Style::Culprit);
    }
    if let Some(below) = &link.translated {
        row.notes.push(table.cell(|text| {
            push_result_of(text, below);
            text.push_str(" -> ");
            push_result_of(text, &link.of);
            text.push_str(" translated here");
        }));
    }
    if !call.returned {
        let note = table.cell(|text| text.push_str("did not return"));
        row.notes.push(note);
    }
    if call.repeats > 1 {
        row.notes.push(table.cell(|text| {
            push_decimal(text, call.repeats.into());
            text.push_str(" times in a row");
        }));
    }
}

fn push_symbol(text: &mut String, view: &RowView<'_>) {
    let (name, module, offset) = view.symbol();
    push_escaped_text(text, &name);
    if let Some(offset) = offset {
        text.push('+');
        push_hex(text, offset);
    }
    push_module(text, module);
}

fn handled(page: &mut Page, shown: SymbolizedSession<'_>, context: &RenderContext<'_>) {
    let handled = view::handled(shown, context);
    if handled.is_empty() {
        return;
    }
    page.flow_text(Style::Strong, "failed earlier (handled, or the reason):");
    page.end_line();
    let limit = if context.verbosity == 0 {
        HANDLED_SHOWN
    } else {
        usize::MAX
    };
    for view in handled.iter().take(limit) {
        phrases::handled(page, view);
    }
    let more = handled.len().saturating_sub(limit);
    if more > 0 {
        page.flow(Style::Note, |text| {
            text.push_str("  and ");
            push_decimal(text, more as u64);
            text.push_str(" more (-v lists them)");
        });
        page.end_line();
    }
}

fn verdict(
    page: &mut Page,
    shown: SymbolizedSession<'_>,
    rows: &[RowView<'_>],
    context: &RenderContext<'_>,
) {
    let session = shown.session;
    let Some((row, culprit)) = view::culprit_row(rows) else {
        return;
    };
    let certainty = if session.chain.certain {
        "culprit (certain): "
    } else {
        "culprit (probably): "
    };
    page.flow_text(Style::Culprit, certainty);
    phrases::returned(page, &culprit);
    phrases::place(page, row);
    page.end_line();
    let outcome = culprit.call.outcome;
    let refusal = view::refusal(shown, context);
    if let Some(refusal) = &refusal {
        phrases::refusal(page, refusal);
    }
    // A rule that is known leaves no question open.
    let is_open = refusal.is_none_or(|refusal| refusal.words.is_empty());
    if let Some(found) = session
        .chain
        .trail
        .as_ref()
        .filter(|_| is_open || context.verbosity > 0)
    {
        trail::trail(page, found, outcome);
    }
    let entry = session.entry().filter(|entry| entry.outcome != outcome);
    if let Some(entry) = entry.filter(|entry| entry.returned) {
        page.flow_text(Style::Strong, "reported as: ");
        phrases::returned(page, &CallView::new(entry, context));
        page.end_line();
    }
}

#[cfg(test)]
mod tests;
