// SPDX-License-Identifier: BSD-2-Clause
//! Turns records into sessions and writes them. Counts what becomes of each session. Records from
//! the kernel and from a recording are treated alike.

use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::again::Outlook;
use super::arming::Arming;
use super::flight::FlightRecorder;
use super::lines::Lines;
use super::telling::{CommandOutcome, Hearing, Teller};
use crate::bpf::Tracer;
use crate::config::OutputFormat;
use crate::events::{self, Event};
use crate::live::trails::{Traced, TrailSource};
use crate::render::{self, RenderContext, SymbolizedSession, TracerRows};
use crate::select::TracedFunction;
use crate::session::{
    AddrRole, Assembled, Assembler, CulpritCode, DumpReason, ErrorFilter, Placement, Session,
    SessionFacts, TaskContext, Told, Workload,
};
use crate::spec::Addr;
use crate::symbolize::Symbolizer;

/// How long a session may be written but not flushed. On a busy machine a session takes
/// milliseconds, and those that wait for one another would come late.
const MAX_HOLD_TIME: Duration = Duration::from_millis(20);

/// Decodes records, filters the sessions and writes them.
pub(crate) struct Consumer<'a> {
    assembler: Assembler<'a>,
    symbolizer: &'a Symbolizer,
    context: RenderContext<'a>,
    filter: ErrorFilter,
    format: OutputFormat,
    limit: Option<u64>,
    role: &'a dyn Fn(Addr) -> AddrRole,
    trails: &'a dyn TrailSource,
    out: &'a mut dyn Write,
    /// Number of sessions that are written but not flushed, and its upper limit.
    held: u64,
    /// When the first of them was written.
    held_since: Option<Instant>,
    hold: u64,
    shows_successes: bool,
    counts: Counts,
    told: Told,
    arming: Arming<'a>,
    flight: Option<FlightRecorder<'a>>,
    teller: Option<Teller>,
    outlook: Option<Outlook>,
    /// Lines of `--oneline`.
    lines: Lines,
    traced: &'a Traced,
    workload: &'a dyn Fn(&TaskContext) -> Option<Rc<Workload>>,
    failed: Option<io::Error>,
}

/// The sources of facts about the kernel that the records come from.
#[derive(Clone, Copy)]
pub(crate) struct FactSources<'a> {
    /// Translates instruction pointers to frames.
    pub(crate) symbolizer: &'a Symbolizer,
    /// Classifies an address of a kernel stack.
    pub(crate) role: &'a dyn Fn(Addr) -> AddrRole,
    /// Facts about the machine code of culprits.
    pub(crate) trails: &'a dyn TrailSource,
    /// The set of traced functions; it is notified of every record.
    pub(crate) traced: &'a Traced,
    /// Returns the names for a task's cgroup and namespaces; `None` if there are none.
    pub(crate) workload: &'a dyn Fn(&TaskContext) -> Option<Rc<Workload>>,
}

/// What became of the records so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Records received, whatever they are about.
    pub(crate) records: u64,
    /// Session records received, including those that could not be assembled.
    pub(crate) received: u64,
    pub(crate) shown: u64,
    /// Sessions that the kernel side counted as failures although nothing failed.
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
        facts: FactSources<'a>,
        out: &'a mut dyn Write,
    ) -> Self {
        let FactSources {
            symbolizer,
            role,
            trails,
            traced,
            workload,
        } = facts;
        let mut assembler = Assembler::new(functions);
        assembler.set_sources(context.sources);
        assembler.set_fates(trails);
        Self {
            assembler,
            trails,
            symbolizer,
            context,
            filter,
            format,
            limit,
            role,
            out,
            held: 0,
            held_since: None,
            hold: 1,
            shows_successes: false,
            counts: Counts::default(),
            told: Told::default(),
            arming: Arming::default(),
            flight: None,
            teller: None,
            outlook: None,
            lines: Lines::default(),
            traced,
            workload,
            failed: None,
        }
    }

    /// Sets the deferred functions; shown sessions are searched for them.
    pub(crate) fn arm(&mut self, arming: Arming<'a>) {
        self.arming = arming;
    }

    /// Sets the placement that translates the addresses of modules that were not loaded when their
    /// functions were selected.
    pub(crate) fn place(&mut self, placement: Placement) {
        self.assembler.place(placement);
    }

    /// Returns the deferred functions, with those to attach to that were found so far.
    pub(crate) fn arming(&mut self) -> &mut Arming<'a> {
        &mut self.arming
    }

    /// Sets how many sessions may be written before a flush. Flushing after each one takes a tenth
    /// of the time to show it. The caller must call `deliver` before it waits for more records.
    pub(crate) fn hold(&mut self, sessions: u64) {
        self.hold = sessions;
    }

    /// Shows successful sessions too (`--success`).
    pub(crate) fn show_successes(&mut self) {
        self.shows_successes = true;
    }

    /// Sets the flight recorder, which learns of shown sessions.
    pub(crate) fn fly(&mut self, flight: FlightRecorder<'a>) {
        self.flight = Some(flight);
    }

    /// Has failures kept for a verdict ([`Self::conclude`]).
    pub(crate) fn keep_for_verdict(&mut self, teller: Teller) {
        self.teller = Some(teller);
    }

    /// Writes the verdict on a command, if one is wanted.
    pub(crate) fn conclude(&mut self, end: CommandOutcome) {
        self.write_waiting_line();
        self.deliver();
        self.outlook = self.tell(|teller, hearing, out| teller.write(end, hearing, out));
        self.teller = None;
    }

    /// Has the teller write something, unless writing has failed before. Returns what it returned.
    fn tell<T: Default>(
        &mut self,
        write: impl FnOnce(&mut Teller, Hearing<'_>, &mut dyn Write) -> io::Result<T>,
    ) -> T {
        let Some(teller) = self.teller.as_mut().filter(|_| self.failed.is_none()) else {
            return T::default();
        };
        let hearing = Hearing {
            told: &self.told,
            format: self.format,
            context: &self.context,
            symbolizer: self.symbolizer,
        };
        let written = write(teller, hearing, self.out);
        let flushed = written.and_then(|written| self.out.flush().map(|()| written));
        flushed.unwrap_or_else(|error| {
            self.failed = Some(error);
            T::default()
        })
    }

    /// Writes what the command has complained about, if it is time to. Must be called while the command
    /// is running only.
    pub(crate) fn tell_at_once(&mut self) {
        let due = self.teller.as_ref().and_then(Teller::due);
        if due.is_some_and(|due| Instant::now() >= due) {
            self.tell(Teller::tell_at_once);
        }
    }

    /// Takes what the next run of the command traces; `None` if it does not run again.
    pub(crate) fn take_outlook(&mut self) -> Option<Outlook> {
        self.outlook.take()
    }

    /// Returns when [`Self::deliver`] or [`Self::tell_at_once`] has something to write.
    pub(crate) fn due(&self) -> Option<Instant> {
        let of_teller = self.teller.as_ref().and_then(Teller::due);
        [self.lines.due(), of_teller].into_iter().flatten().min()
    }

    /// Asks for the calls of the flight recorder, if there is one.
    pub(crate) fn ask_for_flight(&mut self, reason: DumpReason) {
        if let Some(flight) = &mut self.flight {
            flight.ask(reason);
        }
    }

    /// Writes out the calls of the flight recorder if there is a reason to.
    pub(crate) fn write_flight(&mut self, tracer: &Tracer<'_>) {
        let (Some(flight), Some(memory)) = (&mut self.flight, tracer.flight()) else {
            return;
        };
        if self.failed.is_some() {
            return;
        }
        let Some(dump) = flight.take(memory) else {
            return;
        };
        self.deliver();
        let written = match self.format {
            OutputFormat::Text | OutputFormat::Lines => {
                render::write_flight_text(&dump, &self.context, self.out)
            }
            OutputFormat::Json => render::write_flight_json(&dump, &self.context, self.out),
        };
        if let Err(error) = written.and_then(|()| self.out.flush()) {
            self.failed = Some(error);
        }
    }

    /// Writes the line that waits for equal ones. Its sessions may have been counted as shown before.
    fn write_waiting_line(&mut self) {
        let written = self.lines.write(self.context.clock, self.out);
        if let Err(error) = written.and_then(|()| self.out.flush()) {
            self.failed = Some(error);
        }
    }

    /// Flushes the sessions that are written but not flushed, and counts them as shown.
    pub(crate) fn deliver(&mut self) {
        if self.lines.due().is_some_and(|due| Instant::now() >= due) {
            self.write_waiting_line();
        }
        if self.held == 0 {
            return;
        }
        match self.out.flush() {
            Ok(()) => self.counts.shown += self.held,
            Err(error) => self.failed = Some(error),
        }
        self.held = 0;
        self.held_since = None;
    }

    /// Takes one record. A record that is invalid is counted, and only its session is lost.
    pub(crate) fn record(&mut self, bytes: &[u8]) {
        self.traced.count();
        let event = match events::decode(bytes) {
            Ok(event) => event,
            Err(_) => {
                self.counts.undecodable += 1;
                return;
            }
        };
        self.counts.records += 1;
        match event {
            Event::Output(record) => {
                self.told.wrote(record.into());
                if let Some(teller) = &mut self.teller {
                    teller.hears();
                }
            }
            Event::Exit(record) => self.told.ended(record.into()),
            event => self.feed(event),
        }
    }

    fn feed(&mut self, event: Event) {
        if matches!(event, Event::Session(_)) {
            self.counts.received += 1;
        }
        match self.assembler.feed(event) {
            Ok(None) => {}
            Ok(Some(assembled)) => {
                let facts = self.facts_of(&assembled);
                self.session(assembled.explain(self.context.functions, &facts));
            }
            Err(_) => self.counts.undecodable += 1,
        }
    }

    /// Looks up what the session needs to know about the kernel.
    fn facts_of(&self, assembled: &Assembled) -> SessionFacts {
        let functions = self.context.functions;
        let failure = assembled.culprit();
        let culprit = failure.and_then(|(id, outcome)| Some((functions.get(id.index())?, outcome)));
        SessionFacts {
            code: match culprit {
                None => CulpritCode::NotAsked,
                // The code of user functions is not read.
                Some((culprit, _)) if culprit.hook.is_of_user() => CulpritCode::Unknown,
                Some((culprit, outcome)) => self.trails.code_of(culprit, outcome),
            },
            roles: assembled
                .stack()
                .iter()
                .map(|addr| (self.role)(*addr))
                .collect(),
        }
    }

    fn session(&mut self, mut session: Session) {
        if session.chain.only_starts_dumps && !self.shows_successes {
            self.counts.succeeded += 1;
            return;
        }
        // Sessions after the last one of `--max-events` count as filtered.
        if !self.filter.passes(&session) || self.is_done() {
            self.counts.filtered += 1;
            return;
        }
        session.header.workload = session.header.context.as_ref().and_then(self.workload);
        self.arming.observe(&session);
        if self.format == OutputFormat::Json || self.teller.is_none() {
            self.write(&session);
        } else {
            self.counts.shown += 1;
        }
        if let Some(teller) = &mut self.teller {
            teller.session(session, self.context.functions);
        }
    }

    fn write(&mut self, session: &Session) {
        let tracer = match self.format {
            OutputFormat::Lines => TracerRows::LeftOut,
            OutputFormat::Text => TracerRows::in_text(self.context.verbosity),
            OutputFormat::Json => TracerRows::Kept,
        };
        let ips = render::ips(session, self.context.functions, tracer);
        let frames = &self.symbolizer.look_up(ips);
        let shown = SymbolizedSession { session, frames };
        let written = match self.format {
            OutputFormat::Lines => {
                let line = render::one_line(shown, &self.context);
                let at = session.header.started;
                self.lines.add(at, line, self.context.clock, self.out)
            }
            OutputFormat::Text => render::write_session_text(shown, &self.context, self.out),
            OutputFormat::Json => render::write_session_json(shown, &self.context, self.out),
        };
        if let Err(error) = written {
            self.failed = Some(error);
            return;
        }
        if let Some(flight) = &mut self.flight {
            flight.observe(session);
        }
        self.held += 1;
        let since = *self.held_since.get_or_insert_with(Instant::now);
        if self.held >= self.hold || since.elapsed() >= MAX_HOLD_TIME {
            self.deliver();
        }
    }

    /// Returns true if the limit of sessions is reached or the output has failed.
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

    /// Takes the error that ended the output; `None` if there was none.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }
}
