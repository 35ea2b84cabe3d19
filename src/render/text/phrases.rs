// SPDX-License-Identifier: BSD-2-Clause
//! The sentences below the stack: which function returned what and where, what was handled, what is
//! missing. They are added in pieces, so that lines can break between them.

use crate::render::escape::push_escaped_text;
use crate::render::style::{Page, Style};
use crate::render::value::{errno_in_words, push_call_result, push_decimal, push_result};
use crate::render::view::{self, CallView, HandledView, RefusalView, RowView};
use crate::session::{Session, SessionLosses};
use crate::spec::Pid;
use crate::symbolize::SourceLine;

pub(super) fn handled(page: &mut Page, view: &HandledView<'_>) {
    page.flow(Style::Failure, |text| {
        text.push_str("  ");
        push_call_result(text, view.of.result_type(), view.of.call);
    });
    page.flow(Style::Plain, |text| {
        text.push(' ');
        push_name(text, &view.of);
    });
    if view.times > 1 {
        page.flow(Style::Plain, |text| {
            text.push_str(", ");
            push_decimal(text, view.times);
            text.push_str(" times");
        });
    }
    if let Some(caller) = &view.caller {
        page.flow(Style::Plain, |text| {
            text.push_str(", called by ");
            push_name(text, caller);
        });
    }
    if let Some(source) = &view.called_at {
        page.flow(Style::Faint, |text| {
            text.push_str(" (");
            push_source(text, source);
            text.push(')');
        });
    }
    page.end_line();
}

/// Writes the losses on one line; writes nothing if there are none.
pub(super) fn losses(page: &mut Page, losses: &SessionLosses) {
    let SessionLosses {
        beyond_depth,
        overwritten_calls,
        cut_calls,
        unreturned,
        unmatched_returns,
        missing_stacks,
        missing_notes,
        missing_arguments,
    } = *losses;
    let counts = [
        (
            beyond_depth,
            "call too deep to record",
            "calls too deep to record",
        ),
        (
            overwritten_calls,
            "call overwritten by later ones",
            "calls overwritten by later ones",
        ),
        (
            cut_calls,
            "call after the failure left out",
            "calls after the failure left out",
        ),
        (
            unreturned,
            "call without a return",
            "calls without a return",
        ),
        (
            unmatched_returns,
            "return without a call",
            "returns without a call",
        ),
        (
            missing_stacks,
            "kernel stack missing",
            "kernel stacks missing",
        ),
        (missing_notes, "event missing", "events missing"),
        (
            missing_arguments,
            "system call missing",
            "system calls missing",
        ),
    ];
    let mut before = "incomplete: ";
    for (count, one, many) in counts.into_iter().filter(|(count, ..)| *count > 0) {
        page.flow(Style::Note, |text| {
            text.push_str(before);
            push_decimal(text, count.into());
            text.push(' ');
            text.push_str(if count == 1 { one } else { many });
        });
        before = ", ";
    }
    if before == ", " {
        page.end_line();
    }
}

/// Writes `map_check_btf returned -EINVAL (EINVAL: Invalid argument)`.
pub(super) fn returned(page: &mut Page, of: &CallView<'_>) {
    page.flow(Style::Plain, |text| {
        push_name(text, of);
        text.push_str(" returned ");
        push_result_of(text, of);
    });
    if let Some((name, meaning)) = errno_in_words(of.call.outcome) {
        page.flow(Style::Plain, |text| {
            text.extend([" (", name, ": ", meaning, ")"]);
        });
    }
}

/// Writes `refused by file permissions: mode 0640…`, and who asked.
pub(super) fn refusal(page: &mut Page, refusal: &RefusalView) {
    page.flow(Style::Strong, |text| {
        text.push_str("refused by ");
        text.push_str(refusal.class.title());
        if !refusal.words.is_empty() {
            text.push_str(": ");
        }
    });
    page.flow(Style::Plain, |text| push_escaped_text(text, &refusal.words));
    if let Some(asker) = &refusal.asker {
        page.flow(Style::Plain, |text| {
            text.push_str(", asked by ");
            push_escaped_text(text, &asker.name);
        });
        if let Some(source) = &asker.source {
            page.flow(Style::Faint, |text| {
                text.push_str(" (");
                push_source(text, source);
                text.push(')');
            });
        }
    }
    page.end_line();
}

/// Writes the innermost known line of the culprit.
pub(super) fn place(page: &mut Page, row: &RowView<'_>) {
    let place = row.place();
    let (source, inlined) = match &row.frame {
        Some(frame) => view::innermost(frame),
        None => (place.source, None),
    };
    let Some(source) = source else { return };
    page.flow(Style::Plain, |text| {
        text.push_str(if place.is_definition {
            ", defined at "
        } else {
            " at "
        });
        push_source(text, source);
    });
    if let Some(name) = inlined {
        page.flow(Style::Plain, |text| {
            text.push_str(", in inlined ");
            push_escaped_text(text, name);
        });
    }
}

fn push_name(text: &mut String, of: &CallView<'_>) {
    push_escaped_text(text, &of.name());
    push_module(text, of.module());
}

/// Writes who decided: the culprit, or the untraced callee that only can have made its error.
pub(super) fn push_decider(text: &mut String, session: &Session, culprit: &CallView<'_>) {
    match view::maker_of(session) {
        Some(maker) => {
            push_escaped_text(text, &maker.function.name);
            push_module(text, maker.function.module.as_deref());
        }
        None => push_name(text, culprit),
    }
}

/// Appends the module in brackets; appends nothing for the kernel itself.
pub(super) fn push_module(text: &mut String, module: Option<&str>) {
    if let Some(module) = module {
        text.push_str(" [");
        push_escaped_text(text, module);
        text.push(']');
    }
}

pub(super) fn push_result_of(text: &mut String, of: &CallView<'_>) {
    push_result(text, of.result_type(), of.call.result, of.call.outcome);
}

pub(super) fn push_source(text: &mut String, source: &SourceLine) {
    push_escaped_text(text, &source.path);
    text.push(':');
    push_decimal(text, source.line.into());
}

/// Appends `TID/PID`.
pub(super) fn push_ids(text: &mut String, tid: Pid, tgid: Pid) {
    push_decimal(text, tid.0.into());
    text.push('/');
    push_decimal(text, tgid.0.into());
}
