// SPDX-License-Identifier: BSD-2-Clause
//! Keeps the failures of a command, and writes the verdict when it has ended.

use std::io::{self, Write};

use super::again::Outlook;
use crate::config::{Config, OutputFormat, Telling};
use crate::explain::{Cause, Line, Reason, Story, Verdict};
use crate::render::{self, Detail, FailureCounts, RenderContext, SymbolizedSession, TracerRows};
use crate::select::TracedFunction;
use crate::session::{self, Session, Told};
use crate::symbolize::Symbolizer;

/// Failures that are shown besides the first one if something speaks for them.
const MAX_SHOWN: usize = 4;

/// How a command ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommandOutcome {
    /// Its exit status; `None` if it has not ended, or if there is none.
    pub(crate) status: Option<u8>,
    /// Whether the user ended the run.
    pub(crate) is_stopped: bool,
}

/// What a command did, and how much of it is shown.
#[derive(Debug)]
pub(crate) struct Teller {
    story: Story,
    shows_all: bool,
    /// Whether an uncertain verdict is kept for the next run of the command.
    may_run_again: bool,
    /// Whether functions are traced besides those of system calls.
    has_inner: bool,
    /// The settings of this run, which those of the next one are made of.
    next: Config,
}

impl Teller {
    /// Returns `None` if failures are shown as they come.
    pub(crate) fn new(config: &Config, has_inner: bool) -> Option<Self> {
        let again = config.command.as_ref().map_or(0, |command| command.again);
        Some(Self {
            story: Story::default(),
            shows_all: match config.run.telling {
                Telling::AsTheyCome => return None,
                Telling::Verdict => false,
                Telling::VerdictAndAll => true,
            },
            may_run_again: again > 0,
            has_inner,
            next: config.clone(),
        })
    }

    /// Keeps a failure. `functions` are those of the run.
    pub(crate) fn session(&mut self, session: Session, functions: &[TracedFunction]) {
        let entry = session.entry();
        let entry = entry.and_then(|call| functions.get(call.func.index()));
        let name = entry.map_or("", |function| function.name.as_str());
        self.story.session(session, name);
    }

    /// Writes the verdict, or returns what is to be traced when the command runs again.
    pub(crate) fn write(
        &self,
        CommandOutcome { status, is_stopped }: CommandOutcome,
        told: &Told,
        format: OutputFormat,
        context: &RenderContext<'_>,
        symbolizer: &Symbolizer,
        out: &mut dyn Write,
    ) -> io::Result<Option<Outlook>> {
        let lines = Line::all(told);
        let said = |session: &Session| {
            let messages = session::messages(session, context.sources).into_iter();
            messages.map(|message| message.text).collect()
        };
        let verdict = self.story.verdict(told, &lines, &said);
        let n_shown = self.n_shown(&verdict, status);
        let first = verdict.reasons.first().filter(|_| n_shown > 0);
        if let Some(reason) = first
            && self.may_run_again
            && status.is_some()
            && !is_stopped
        {
            let outlook = Outlook::of(reason.session, self.has_inner);
            if outlook.deeper(&self.next).is_some() {
                return Ok(Some(outlook));
            }
        }
        if format == OutputFormat::Json {
            render::write_verdict_json(&verdict, status, context, out)?;
            return Ok(None);
        }
        let (shown, others) = verdict.reasons.split_at(n_shown);
        for (index, reason) in shown.iter().enumerate() {
            let detail = if index == 0 || self.shows_all {
                Detail::Stack
            } else {
                Detail::Verdict
            };
            write_reason(reason, detail, context, symbolizer, out)?;
        }
        render::write_others_text(others, context, out)?;
        let (n_failures, n_processes) = self.story.counts();
        let counts = FailureCounts {
            n_failures,
            n_processes,
            n_forgotten: self.story.n_forgotten(),
        };
        render::write_end_text(counts, status, context, out)?;
        Ok(None)
    }

    /// Returns how many reasons are shown: those that a program complained about, or else the first
    /// one. Nothing but harmless failures of a command that succeeded is shown.
    fn n_shown(&self, verdict: &Verdict<'_>, status: Option<u8>) -> usize {
        let reasons = &verdict.reasons;
        if self.shows_all {
            return reasons.len();
        }
        let is_said = |reason: &&Reason<'_>| reason.cause == Cause::Said;
        let n_said = reasons.iter().take_while(is_said).count();
        let has_failed = status != Some(0);
        let is_unusual = reasons
            .first()
            .is_some_and(|first| first.cause < Cause::Harmless);
        match n_said {
            0 if has_failed || is_unusual => reasons.len().min(1),
            said => said.min(MAX_SHOWN),
        }
    }
}

fn write_reason(
    reason: &Reason<'_>,
    detail: Detail,
    context: &RenderContext<'_>,
    symbolizer: &Symbolizer,
    out: &mut dyn Write,
) -> io::Result<()> {
    let session = reason.session;
    let tracer = TracerRows::in_text(context.verbosity);
    let frames = &symbolizer.look_up(render::ips(session, context.functions, tracer));
    let shown = SymbolizedSession { session, frames };
    render::write_reason_text(reason, shown, detail, context, out)
}
