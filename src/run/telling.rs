// SPDX-License-Identifier: BSD-2-Clause
//! Keeps the failures of a command, and writes the verdict when it has ended. What a program complains
//! about while the command goes on is shown at once.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::again::Outlook;
use crate::config::{Config, OutputFormat, Telling};
use crate::explain::{Cause, Line, Reason, Story, Verdict};
use crate::render::{self, Detail, FailureCounts, RenderContext, SymbolizedSession, TracerRows};
use crate::select::TracedFunction;
use crate::session::{self, MonotonicNs, Session, Told};
use crate::symbolize::Symbolizer;

/// Failures that are shown besides the first one if something speaks for them.
const MAX_SHOWN: usize = 4;

/// How long a complaint waits. A command that ends meanwhile gets its verdict only.
const AT_ONCE_DELAY: Duration = Duration::from_secs(1);

/// Lines that are looked at after that time: the last ones.
const MAX_NEW_LINES: usize = 64;

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
    at_once: AtOnce,
}

/// What is shown before the command ends.
#[derive(Debug, Default)]
struct AtOnce {
    /// Not if the verdict may be kept for another run, or if each failure is written when it happens.
    is_on: bool,
    /// When new lines are looked at; `None` if there are none.
    due: Option<Instant>,
    /// When the last line was written that was looked at.
    seen: MonotonicNs,
    /// Kinds of failures that were shown.
    kinds: BTreeSet<usize>,
}

/// What a verdict is made of besides the failures, and how it is written.
#[derive(Clone, Copy)]
pub(crate) struct Hearing<'a> {
    pub(crate) told: &'a Told,
    pub(crate) format: OutputFormat,
    pub(crate) context: &'a RenderContext<'a>,
    pub(crate) symbolizer: &'a Symbolizer,
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
            at_once: AtOnce {
                is_on: again == 0 && config.run.format == OutputFormat::Text,
                ..AtOnce::default()
            },
        })
    }

    /// Keeps a failure. `functions` are those of the run.
    pub(crate) fn session(&mut self, session: Session, functions: &[TracedFunction]) {
        let entry = session.entry();
        let entry = entry.and_then(|call| functions.get(call.func.index()));
        let name = entry.map_or("", |function| function.name.as_str());
        self.story.session(session, name);
    }

    /// Is told that a program wrote something.
    pub(crate) fn hears(&mut self) {
        if self.at_once.is_on && self.at_once.due.is_none() {
            self.at_once.due = Some(Instant::now() + AT_ONCE_DELAY);
        }
    }

    /// Returns when [`Self::tell_at_once`] has something to look at.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.at_once.due
    }

    /// Writes the failures that a program has complained about since the last time, each kind once in a
    /// run.
    pub(crate) fn tell_at_once(
        &mut self,
        hearing: Hearing<'_>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.at_once.due = None;
        let lines = Line::all(hearing.told);
        let first_new = lines.partition_point(|line| line.at <= self.at_once.seen);
        let new = &lines[first_new.max(lines.len().saturating_sub(MAX_NEW_LINES))..];
        let Some(last) = new.last() else {
            return Ok(());
        };
        self.at_once.seen = last.at;
        let verdict = self.verdict(hearing, new);
        let reasons = verdict.reasons.iter();
        let said = reasons.take_while(|reason| reason.cause == Cause::Said);
        let is_shown = |kind: usize| self.at_once.kinds.contains(&kind);
        let new_kinds: Vec<(usize, &Reason<'_>)> = said
            .filter_map(|reason| Some((reason.kind?, reason)))
            .filter(|(kind, _)| !is_shown(*kind))
            .take(MAX_SHOWN)
            .collect();
        for (index, (_, reason)) in new_kinds.iter().enumerate() {
            write_reason(reason, self.detail(index), hearing, out)?;
        }
        let kinds: Vec<usize> = new_kinds.into_iter().map(|(kind, _)| kind).collect();
        self.at_once.kinds.extend(kinds);
        Ok(())
    }

    /// Writes the verdict, or returns what is to be traced when the command runs again.
    pub(crate) fn write(
        &self,
        CommandOutcome { status, is_stopped }: CommandOutcome,
        hearing: Hearing<'_>,
        out: &mut dyn Write,
    ) -> io::Result<Option<Outlook>> {
        let context = hearing.context;
        let lines = Line::all(hearing.told);
        let verdict = self.verdict(hearing, &lines);
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
        if hearing.format == OutputFormat::Json {
            render::write_verdict_json(&verdict, status, context, out)?;
            return Ok(None);
        }
        let (shown, others) = verdict.reasons.split_at(n_shown);
        let is_known = |reason: &Reason<'_>| {
            let kinds = &self.at_once.kinds;
            !self.shows_all && reason.kind.is_some_and(|kind| kinds.contains(&kind))
        };
        let (known, new): (Vec<Reason<'_>>, Vec<Reason<'_>>) =
            shown.iter().partition(|reason| is_known(reason));
        for (index, reason) in new.iter().enumerate() {
            write_reason(reason, self.detail(index), hearing, out)?;
        }
        render::write_known_text(&known, context, out)?;
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

    fn verdict<'s>(&'s self, hearing: Hearing<'_>, lines: &'s [Line]) -> Verdict<'s> {
        let said = |session: &Session| {
            let messages = session::messages(session, hearing.context.sources).into_iter();
            messages.map(|message| message.text).collect()
        };
        self.story.verdict(hearing.told, lines, &said)
    }

    /// Returns how much is written of the reason at this place.
    fn detail(&self, index: usize) -> Detail {
        match index == 0 || self.shows_all {
            true => Detail::Stack,
            false => Detail::Verdict,
        }
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
    hearing: Hearing<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (session, context) = (reason.session, hearing.context);
    let tracer = TracerRows::in_text(context.verbosity);
    let ips = render::ips(session, context.functions, tracer);
    let frames = &hearing.symbolizer.look_up(ips);
    let shown = SymbolizedSession { session, frames };
    render::write_reason_text(reason, shown, detail, context, out)
}
