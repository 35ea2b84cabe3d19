// SPDX-License-Identifier: BSD-2-Clause
//! The flight recorder as text: the calls of each thread as a tree, in the order in which they were
//! made. The newest are last.

use std::io::{self, Write};

use super::phrases::push_module;
use super::workload::{names, push_parts};
use crate::render::RenderContext;
use crate::render::escape::{push_escaped, push_escaped_text};
use crate::render::style::{Page, Style, width};
use crate::render::value::{push_call_result, push_decimal, push_duration, push_result};
use crate::render::view::CallView;
use crate::session::{DumpReason, ExecutionContext, FlightCall, FlightDump, FlightThread};
use crate::spec::ResultType;

/// Columns between the cells of a row, and per level of calls.
const GAP: usize = 2;

/// What stands in place of callers that have not returned, or whose calls were overwritten.
const OPEN_CALLERS: &str = "...";

/// Writes what the flight recorder held, and a blank line after each thread.
///
/// # Errors
///
/// When writing fails.
pub fn write_flight(
    dump: &FlightDump,
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(context.width, context.color);
    header(&mut page, dump, context);
    for thread in &dump.threads {
        who(&mut page, thread, context.verbosity);
        let columns = Columns::of(thread, context);
        let mut before: Option<&FlightCall> = None;
        for call in &thread.calls {
            let before_depth = before
                .filter(|before| before.session == call.session)
                .map_or(0, |before| before.call.depth + 1);
            if call.call.depth > before_depth {
                page.line().pad_to(columns.symbol(call.call.depth - 1));
                page.line().push(Style::Faint, OPEN_CALLERS);
                page.end_line();
            }
            row(&mut page, call, thread, columns, context);
            before = Some(call);
        }
        page.end_line();
    }
    if dump.threads.is_empty() {
        page.end_line();
    }
    out.write_all(page.into_text().as_bytes())
}

fn header(page: &mut Page, dump: &FlightDump, context: &RenderContext<'_>) {
    let n_calls: usize = dump.threads.iter().map(|thread| thread.calls.len()).sum();
    page.flow(Style::Strong, |text| {
        text.push_str("flight recorder at ");
        context.clock.push_time_of_day(text, dump.at);
    });
    page.flow(Style::Strong, |text| {
        text.push_str(", ");
        push_reason(text, &dump.reason, context);
        text.push(':');
    });
    let counts = [
        (n_calls as u64, " ", " call", " calls"),
        (dump.threads.len() as u64, " of ", " thread", " threads"),
        (dump.overwritten, ", ", " overwritten", " overwritten"),
        (dump.torn, ", ", " torn", " torn"),
    ];
    for (count, before, one, many) in counts {
        page.flow(Style::Strong, |text| {
            text.push_str(before);
            push_decimal(text, count);
            text.push_str(if count == 1 { one } else { many });
        });
    }
    if dump.of_container {
        page.flow_text(Style::Strong, "; only this container is shown");
    }
    page.end_line();
}

fn push_reason(text: &mut String, reason: &DumpReason, context: &RenderContext<'_>) {
    match reason {
        DumpReason::Error {
            func,
            result,
            outcome,
            session: _,
        } => {
            let function = context.functions.get(func.index());
            push_escaped_text(text, function.map_or("?", |function| &function.name));
            push_module(
                text,
                function.and_then(|function| function.module.as_deref()),
            );
            text.push_str(" returned ");
            let result_type = function.map_or(ResultType::Unknown, |function| function.result);
            push_result(text, result_type, *result, *outcome);
        }
        DumpReason::Sessions(1) => text.push_str("after a shown session"),
        DumpReason::Sessions(count) => {
            text.push_str("after ");
            push_decimal(text, *count);
            text.push_str(" shown sessions");
        }
        DumpReason::Signal => text.push_str("on SIGUSR1"),
        DumpReason::CommandStatus(status) => {
            text.push_str("the command ended with status ");
            push_decimal(text, (*status).into());
        }
    }
}

/// Writes whose calls follow.
fn who(page: &mut Page, thread: &FlightThread, verbosity: u8) {
    let interrupt = match thread.execution_context {
        ExecutionContext::Task => None,
        ExecutionContext::SoftIrq => Some("softirqs"),
        ExecutionContext::HardIrq => Some("hardware interrupts"),
        ExecutionContext::Nmi => Some("NMIs"),
    };
    page.flow(Style::Strong, |text| match interrupt {
        Some(interrupt) => {
            text.extend([interrupt, " on CPU "]);
            push_decimal(text, thread.cpu.into());
        }
        None => {
            push_escaped(text, &thread.comm);
            text.push('[');
            push_decimal(text, thread.tid.0.into());
            text.push_str("] of ");
            if let Some(comm) = &thread.leader_comm {
                push_escaped(text, comm);
            }
            text.push('[');
            push_decimal(text, thread.tgid.0.into());
            text.push(']');
        }
    });
    if interrupt.is_none()
        && let Some(workload) = &thread.workload
    {
        let parts = names(workload, verbosity);
        page.flow_text(Style::Strong, if parts.is_empty() { "" } else { ", " });
        push_parts(page, parts);
    }
    page.flow_text(Style::Strong, ":");
    page.end_line();
}

/// Widths of the columns of a thread.
#[derive(Clone, Copy, Debug)]
struct Columns {
    time: usize,
    duration: usize,
    result: usize,
}

impl Columns {
    fn of(thread: &FlightThread, context: &RenderContext<'_>) -> Self {
        let mut columns = Self {
            time: 0,
            duration: 0,
            result: 0,
        };
        let mut scratch = String::new();
        let mut width_of = |say: &dyn Fn(&mut String)| {
            scratch.clear();
            say(&mut scratch);
            width(&scratch)
        };
        for call in &thread.calls {
            let time = width_of(&|text| push_time(text, call, thread));
            let duration = width_of(&|text| push_duration(text, call.call.duration_ns));
            let result = width_of(&|text| push_result_of(text, call, context));
            columns = Self {
                time: columns.time.max(time),
                duration: columns.duration.max(duration),
                result: columns.result.max(result),
            };
        }
        columns
    }

    /// The column in which a function at this depth begins.
    fn symbol(self, depth: u16) -> usize {
        self.time + self.duration + self.result + 4 * GAP + GAP * usize::from(depth)
    }
}

fn row(
    page: &mut Page,
    call: &FlightCall,
    thread: &FlightThread,
    columns: Columns,
    context: &RenderContext<'_>,
) {
    let of = CallView::new(&call.call, context);
    let line = page.line();
    let mut right = |end: usize, say: &dyn Fn(&mut String)| {
        let mut text = String::new();
        say(&mut text);
        line.pad_to(end.saturating_sub(width(&text)));
        line.push(Style::Plain, &text);
    };
    let time_end = GAP + columns.time;
    let duration_end = time_end + GAP + columns.duration;
    right(time_end, &|text| push_time(text, call, thread));
    right(duration_end, &|text| {
        push_duration(text, call.call.duration_ns);
    });
    let style = if call.call.outcome.is_failure() {
        Style::Failure
    } else {
        Style::Plain
    };
    line.pad_to(duration_end + GAP);
    line.piece(style, |text| push_result_of(text, call, context));
    line.pad_to(columns.symbol(call.call.depth));
    line.piece(style, |text| {
        push_escaped_text(text, &of.name());
        push_module(text, of.module());
    });
    page.end_line();
}

/// Appends the time since the first call of the thread that is shown.
fn push_time(text: &mut String, call: &FlightCall, thread: &FlightThread) {
    let first = thread.calls.first().map_or(0, |call| call.call.started.0);
    text.push('+');
    push_duration(text, call.call.started.0.saturating_sub(first));
}

fn push_result_of(text: &mut String, call: &FlightCall, context: &RenderContext<'_>) {
    let of = CallView::new(&call.call, context);
    push_call_result(text, of.result_type(), &call.call);
}

#[cfg(test)]
mod tests {
    use super::write_flight;
    use crate::render::RenderContext;
    use crate::render::fixtures::{World, flight, hostile_flight};
    use crate::render::golden::check_golden;
    use crate::session::{DumpReason, FlightDump};

    fn render(dump: &FlightDump, adjust: impl Fn(&mut RenderContext<'_>)) -> String {
        let world = World::new();
        let mut context = world.context();
        adjust(&mut context);
        let mut out = Vec::new();
        write_flight(dump, &context, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
        text
    }

    #[test]
    fn the_calls_of_each_thread_are_a_tree_and_the_newest_are_last() {
        check_golden("flight.txt", &render(&flight(), |_| {}));
    }

    #[test]
    fn colours_are_of_failures_and_headings() {
        check_golden(
            "flight_color.txt",
            &render(&flight(), |context| context.color = true),
        );
    }

    #[test]
    fn nothing_that_a_program_calls_itself_reaches_the_terminal_raw() {
        check_golden("flight_hostile.txt", &render(&hostile_flight(), |_| {}));
    }

    #[test]
    fn a_narrow_terminal_cuts_rows() {
        let text = render(&flight(), |context| context.width = Some(40));
        assert!(
            text.lines().all(|line| line.chars().count() <= 40),
            "{text}"
        );
    }

    #[test]
    fn each_reason_is_told() {
        let told = |reason: DumpReason| {
            let mut dump = flight();
            dump.reason = reason;
            dump.threads.clear();
            dump.overwritten = 0;
            dump.torn = 0;
            render(&dump, |_| {})
        };
        let counts = "0 calls of 0 threads, 0 overwritten, 0 torn\n\n";
        let text = told(DumpReason::Signal);
        assert_eq!(
            text,
            format!("flight recorder at 09:00:05.000100, on SIGUSR1: {counts}")
        );
        assert!(told(DumpReason::Sessions(1)).contains(", after a shown session: "));
        assert!(told(DumpReason::Sessions(3)).contains(", after 3 shown sessions: "));
        let text = told(DumpReason::CommandStatus(3));
        assert!(text.contains(", the command ended with status 3: "));
    }
}
