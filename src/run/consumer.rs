// SPDX-License-Identifier: BSD-2-Clause
//! Records → sessions → output, with every session's fate counted. The same for records from
//! the kernel and from a recording.

use std::io::{self, Write};
use std::rc::Rc;

use super::arming::Arming;
use crate::config::OutputFormat;
use crate::events;
use crate::live::trails::Traced;
use crate::render::{self, RenderContext};
use crate::select::TracedFunction;
use crate::session::{
    AddrRole, Assembler, ErrorFilter, Placement, Session, TaskContext, TrailSource, Workload,
};
use crate::spec::Addr;

/// Where sessions go.
pub(crate) struct Consumer<'a> {
    assembler: Assembler<'a>,
    context: RenderContext<'a>,
    filter: ErrorFilter,
    format: OutputFormat,
    limit: Option<u64>,
    role: &'a dyn Fn(Addr) -> AddrRole,
    out: &'a mut dyn Write,
    /// Sessions that are written and not flushed, and how many these may be.
    held: u64,
    hold: u64,
    shows_successes: bool,
    counts: Counts,
    arming: Arming<'a>,
    traced: &'a Traced,
    workload: &'a dyn Fn(&TaskContext) -> Option<Rc<Workload>>,
    failed: Option<io::Error>,
}

/// What is known of the kernel that the records come from.
#[derive(Clone, Copy)]
pub(crate) struct SessionFacts<'a> {
    /// What an address of a stack is.
    pub(crate) role: &'a dyn Fn(Addr) -> AddrRole,
    /// What the code below culprits says.
    pub(crate) trails: &'a dyn TrailSource,
    /// Told of every record.
    pub(crate) traced: &'a Traced,
    /// Names for what a session's task is a part of.
    pub(crate) workload: &'a dyn Fn(&TaskContext) -> Option<Rc<Workload>>,
}

/// What became of the records so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Session records received, whatever became of them.
    pub(crate) received: u64,
    pub(crate) shown: u64,
    /// Sessions that the kernel side took for failures and that were none.
    pub(crate) succeeded: u64,
    pub(crate) filtered: u64,
    pub(crate) undecodable: u64,
}

impl<'a> Consumer<'a> {
    pub(crate) fn new(
        functions: &'a [TracedFunction],
        context: RenderContext<'a>,
        filter: ErrorFilter,
        format: OutputFormat,
        limit: Option<u64>,
        facts: SessionFacts<'a>,
        out: &'a mut dyn Write,
    ) -> Self {
        let SessionFacts {
            role,
            trails,
            traced,
            workload,
        } = facts;
        Self {
            assembler: Assembler::new(functions).with_trails(trails),
            context,
            filter,
            format,
            limit,
            role,
            out,
            held: 0,
            hold: 1,
            shows_successes: false,
            counts: Counts::default(),
            arming: Arming::default(),
            traced,
            workload,
            failed: None,
        }
    }

    /// Looks in what is shown for functions that are to be attached to.
    pub(crate) fn arm(&mut self, arming: Arming<'a>) {
        self.arming = arming;
    }

    /// Has functions of modules that were not loaded yet found where they are.
    pub(crate) fn place(&mut self, placement: Placement) {
        self.assembler.place(placement);
    }

    /// Functions that are to be attached to, found so far.
    pub(crate) fn arming(&mut self) -> &mut Arming<'a> {
        &mut self.arming
    }

    /// Lets so many sessions be written at once: to write each alone is a tenth of what it takes to
    /// show it. The caller has them delivered before it waits for more.
    pub(crate) fn hold(&mut self, sessions: u64) {
        self.hold = sessions;
    }

    /// Has sessions shown that succeeded, too (`--success`).
    pub(crate) fn show_successes(&mut self) {
        self.shows_successes = true;
    }

    /// Has everything written that is held back.
    pub(crate) fn deliver(&mut self) {
        if self.held == 0 {
            return;
        }
        match self.out.flush() {
            Ok(()) => self.counts.shown += self.held,
            Err(error) => self.failed = Some(error),
        }
        self.held = 0;
    }

    /// Takes one record. A record that makes no sense is counted and costs its session only.
    pub(crate) fn record(&mut self, bytes: &[u8]) {
        self.traced.count();
        let event = match events::decode(bytes) {
            Ok(event) => event,
            Err(_) => {
                self.counts.undecodable += 1;
                return;
            }
        };
        if matches!(event, events::Event::Session(_)) {
            self.counts.received += 1;
        }
        match self.assembler.feed(event, self.role) {
            Ok(None) => {}
            Ok(Some(session)) => self.session(session),
            Err(_) => self.counts.undecodable += 1,
        }
    }

    fn session(&mut self, mut session: Session) {
        if session.only_starts_dumps && !self.shows_successes {
            self.counts.succeeded += 1;
            return;
        }
        // What comes after the last one that was asked for counts as left out.
        if !self.filter.passes(&session) || self.is_done() {
            self.counts.filtered += 1;
            return;
        }
        session.workload = session.context.as_ref().and_then(self.workload);
        let session = &session;
        self.arming.observe(session);
        let written = match self.format {
            OutputFormat::Text => render::write_session_text(session, &self.context, self.out),
            OutputFormat::Json => render::write_session_json(session, &self.context, self.out),
        };
        if let Err(error) = written {
            self.failed = Some(error);
            return;
        }
        self.held += 1;
        if self.held >= self.hold {
            self.deliver();
        }
    }

    /// Whether enough is shown, or nothing more can be.
    pub(crate) fn is_done(&self) -> bool {
        self.failed.is_some() || self.is_limit_reached()
    }

    fn is_limit_reached(&self) -> bool {
        let shown = self.counts.shown + self.held;
        self.limit.is_some_and(|limit| shown >= limit)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The error that ended the output, if one did.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }
}
