// SPDX-License-Identifier: BSD-2-Clause
//! A session as text: header, the stack with results and lines, what was handled, what is missing,
//! and who did it.
//!
//! Marks stand in the first column: `>` the culprit, `~` the tracing itself (`-vv`). Remarks
//! follow `<-`, or `^` on a line of their own. All marks are ASCII and none depends on colour.

mod phrases;
mod surroundings;
mod trail;

use std::io::{self, Write};

use self::phrases::{handled_line, losses_text, place_text, result, returned, source_text};
use self::trail::trail_text;

use super::RenderContext;
use super::escape::escape;
use super::layout::{Layout, Row};
use super::style::{Line, Style, flow};
use super::value::{call_result, duration_text};
use super::view::{self, CallView, HandledView, LinkView, RowView};
use crate::session::{Lane, Session, SessionLosses};

/// Handled failures listed without `-v`.
const HANDLED_SHOWN: usize = 8;

/// Writes one session, a blank line behind it.
///
/// # Errors
///
/// When writing fails.
pub fn write_session(
    session: &Session,
    context: &RenderContext<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page { context, out };
    page.flow(header(session, context))?;
    let parts = surroundings::parts(session, context.verbosity);
    if !parts.is_empty() {
        let last = parts.len() - 1;
        let pieces = parts.iter().enumerate().map(|(index, part)| {
            let before = if index == 0 { "in " } else { "" };
            let behind = if index < last { ", " } else { "" };
            (Style::Note, format!("{before}{part}{behind}"))
        });
        page.flow(pieces.collect())?;
    }
    let views = view::rows(session, context);
    let shown = views
        .iter()
        .filter(|view| context.verbosity >= 2 || !view.row.is_tracer);
    let rows: Vec<Row> = shown.flat_map(|view| rows(view, context)).collect();
    let layout = Layout::new(&rows, context.width);
    for line in rows.iter().flat_map(|row| layout.lines(row)) {
        page.line(line)?;
    }
    page.handled(&view::handled(session, context))?;
    page.losses(&session.losses)?;
    page.verdict(session, &views)?;
    page.line(Line::default())
}

/// Where lines go, and how.
struct Page<'a> {
    context: &'a RenderContext<'a>,
    out: &'a mut dyn Write,
}

impl Page<'_> {
    fn line(&mut self, line: Line) -> io::Result<()> {
        line.write(self.out, self.context.width, self.context.color)
    }

    fn text(&mut self, style: Style, text: impl Into<String>) -> io::Result<()> {
        let mut line = Line::default();
        line.push(style, text);
        self.line(line)
    }

    fn handled(&mut self, handled: &[HandledView<'_>]) -> io::Result<()> {
        if handled.is_empty() {
            return Ok(());
        }
        self.text(Style::Strong, "handled earlier:")?;
        let limit = if self.context.verbosity == 0 {
            HANDLED_SHOWN
        } else {
            usize::MAX
        };
        for view in handled.iter().take(limit) {
            self.flow(handled_line(view))?;
        }
        match handled.len().saturating_sub(limit) {
            0 => Ok(()),
            more => self.text(Style::Note, format!("  and {more} more (-v lists them)")),
        }
    }

    fn losses(&mut self, losses: &SessionLosses) -> io::Result<()> {
        let parts = losses_text(losses);
        let pieces = parts.iter().enumerate().map(|(index, part)| match index {
            0 => (Style::Note, format!("incomplete: {part}")),
            _ => (Style::Note, format!(", {part}")),
        });
        if parts.is_empty() {
            Ok(())
        } else {
            self.flow(pieces.collect())
        }
    }

    fn verdict(&mut self, session: &Session, rows: &[RowView<'_>]) -> io::Result<()> {
        let is_culprit = |row: &&RowView<'_>| row.link.is_some_and(|link| link.is_culprit);
        let Some(row) = rows.iter().find(is_culprit) else {
            return Ok(());
        };
        let Some(link) = row.link else { return Ok(()) };
        let certainty = if session.certain {
            "certain"
        } else {
            "probably"
        };
        let mut pieces = vec![(Style::Culprit, format!("culprit ({certainty}): "))];
        pieces.extend(returned(&link.of));
        pieces.extend(place_text(row).into_iter().map(|text| (Style::Plain, text)));
        self.flow(pieces)?;
        if let Some(trail) = session.trail.as_ref().filter(|trail| !trail.ends_here()) {
            self.flow(trail_text(trail, link.of.call.outcome))?;
        }
        let entry = session
            .entry()
            .filter(|entry| entry.outcome != link.of.call.outcome);
        let Some(entry) = entry.filter(|entry| entry.returned) else {
            return Ok(());
        };
        let mut pieces = vec![(Style::Strong, "reported as: ".to_owned())];
        pieces.extend(returned(&CallView::new(entry, self.context)));
        self.flow(pieces)
    }

    fn flow(&mut self, pieces: Vec<(Style, String)>) -> io::Result<()> {
        flow(pieces, self.context.width)
            .into_iter()
            .try_for_each(|line| self.line(line))
    }
}

fn header(session: &Session, context: &RenderContext<'_>) -> Vec<(Style, String)> {
    let lane = match session.lane {
        Lane::Task => "",
        Lane::SoftIrq => " in a softirq",
        Lane::HardIrq => " in a hardware interrupt",
        Lane::Nmi => " in an NMI",
    };
    let (started, ended) = (session.started, session.ended);
    let [started, ended] = [started, ended].map(|time| context.clock.time_of_day(time));
    let (comm, leader) = (escape(&session.comm), escape(&session.leader_comm));
    vec![
        (Style::Strong, format!("{started} -> {ended}")),
        (
            Style::Strong,
            format!(" TID/PID {}/{}", session.tid, session.tgid),
        ),
        (Style::Strong, format!(" ({comm}/{leader}){lane}:")),
    ]
}

/// A row of the stack and the functions inlined there.
fn rows(view: &RowView<'_>, context: &RenderContext<'_>) -> Vec<Row> {
    let mut rows = vec![row(view, context)];
    let inlined = view.frame.iter().flat_map(|frame| &frame.inlined);
    rows.extend(inlined.map(|inlined| {
        Row {
            symbol: format!(". {}", escape(inlined.function.as_bytes())),
            source: inlined
                .source
                .as_ref()
                .map_or_else(String::new, source_text),
            ..Row::default()
        }
    }));
    rows
}

fn row(view: &RowView<'_>, context: &RenderContext<'_>) -> Row {
    let mut row = Row {
        symbol: symbol_text(view),
        source: view
            .place
            .source
            .as_ref()
            .map_or_else(String::new, source_text),
        ..Row::default()
    };
    if view.place.is_definition {
        row.source.push_str(", start");
    }
    if context.verbosity >= 1 {
        row.address = view
            .row
            .addr
            .filter(|addr| !addr.is_stand_in())
            .map_or_else(String::new, |addr| addr.to_string());
    }
    if view.row.is_tracer {
        row.mark = "~";
        row.symbol_style = Some(Style::Faint);
    }
    if let Some(link) = &view.link {
        of_link(&mut row, link);
    }
    row
}

fn of_link(row: &mut Row, link: &LinkView<'_>) {
    let call = link.of.call;
    row.duration = if call.returned {
        duration_text(call.duration_ns)
    } else {
        "...".to_owned()
    };
    row.result = call_result(link.of.result_type(), call);
    row.result_style = call.outcome.is_failure().then_some(Style::Failure);
    if link.is_culprit {
        row.mark = ">";
        row.symbol_style = Some(Style::Culprit);
    }
    if let Some(below) = &link.translated {
        let (from, to) = (result(below), result(&link.of));
        row.notes.push(format!("{from} -> {to} translated here"));
    }
    if !call.returned {
        row.notes.push("did not return".to_owned());
    }
    if call.repeats > 1 {
        row.notes.push(format!("{} times in a row", call.repeats));
    }
}

fn symbol_text(view: &RowView<'_>) -> String {
    let (name, module, offset) = view.symbol();
    let mut text = escape(name.as_bytes());
    if let Some(offset) = offset {
        text.push_str(&format!("+{offset:#x}"));
    }
    if let Some(module) = module {
        text.push_str(&format!(" [{}]", escape(module.as_bytes())));
    }
    text
}

#[cfg(test)]
mod tests;
