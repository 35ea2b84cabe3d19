// SPDX-License-Identifier: BSD-2-Clause
//! Keeps the failures of a command, and writes the verdict when it has ended.

use std::io::{self, Write};

use crate::config::{OutputFormat, Telling};
use crate::explain::{Cause, Line, Reason, Story, Verdict};
use crate::render::{self, Detail, RenderContext, SymbolizedSession, TracerRows};
use crate::session::{self, Session, Told};
use crate::symbolize::Symbolizer;

/// Failures that are shown besides the first one if something speaks for them.
const MAX_SHOWN: usize = 4;

/// What a command did, and how much of it is shown.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    story: Story,
    shows_all: bool,
}

impl Teller {
    /// Returns `None` if failures are shown as they come.
    pub(crate) fn new(telling: Telling) -> Option<Self> {
        match telling {
            Telling::AsTheyCome => None,
            Telling::Verdict => Some(Self::default()),
            Telling::VerdictAndAll => Some(Self {
                shows_all: true,
                ..Self::default()
            }),
        }
    }

    pub(crate) fn session(&mut self, session: Session) {
        self.story.session(session);
    }

    /// Writes the verdict. `status` is the command's exit status; `None` if it has not ended.
    pub(crate) fn write(
        &self,
        status: Option<u8>,
        told: &Told,
        format: OutputFormat,
        context: &RenderContext<'_>,
        symbolizer: &Symbolizer,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let lines = Line::all(told);
        let said = |session: &Session| {
            let messages = session::messages(session, context.sources).into_iter();
            messages.map(|message| message.text).collect()
        };
        let verdict = self.story.verdict(told, &lines, &said);
        if format == OutputFormat::Json {
            return render::write_verdict_json(&verdict, status, context, out);
        }
        let n_shown = self.n_shown(&verdict, status);
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
        render::write_end_text(self.story.counts(), status, context, out)
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
