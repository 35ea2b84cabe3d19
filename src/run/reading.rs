// SPDX-License-Identifier: BSD-2-Clause
//! Reads the ring buffer until the run is over, and acts on requests in between.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::arming::attach_more;
use super::consumer::{Consumer, Counts};
use super::later_files::LaterFiles;
use super::record::Recorder;
use super::spawned::SpawnedCommand;
use super::telling::CommandOutcome;
use super::watch::{BUSY_LIFETIME, Watch};
use crate::bpf::{Sink, Tracer};
use crate::diag::Diag;
use crate::events::{self, CgroupRecord};
use crate::live::lines::PendingImage;
use crate::live::trails::Traced;
use crate::live::workloads::WorkloadResolver;
use crate::output::stop::{Deadline, StopFlag};
use crate::scope::Scoping;
use crate::select::{BackendPolicy, TracedFunction};
use crate::session::DumpReason;
use crate::symbolize::Symbolizer;

/// The state of reading: the consumer of the records and the conditions that end the run.
pub(crate) struct ReadingState<'a> {
    pub(crate) consumer: Consumer<'a>,
    /// The kernel image that source lines are read from. The first record that can be shown waits
    /// for it; `None` from then on.
    pub(crate) image: Option<PendingImage>,
    pub(crate) symbolizer: &'a Symbolizer,
    pub(crate) diag: &'a Diag,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) stop: &'a StopFlag,
    pub(crate) deadline: Deadline,
    /// The command of the run; its end ends the run.
    pub(crate) command: Option<&'a mut SpawnedCommand>,
    /// Set once tracing has stopped.
    pub(crate) draining: Option<Draining>,
    /// Records of created and removed cgroups that were not processed yet.
    pub(crate) cgroups: Vec<CgroupRecord>,
    /// When to check the cgroups that are pending again.
    pub(crate) look_at: Option<Instant>,
    /// Number of unreported cgroups that were found by other means.
    pub(crate) caught_up: u64,
    /// Watches what the trace costs.
    pub(crate) watch: Watch<'a>,
}

/// What reading needs in addition to [`ReadingState`].
pub(crate) struct Reading<'a> {
    pub(crate) functions: &'a [TracedFunction],
    pub(crate) policy: &'a BackendPolicy,
    pub(crate) traced: &'a Traced,
    pub(crate) workloads: &'a WorkloadResolver,
    /// File descriptors that become readable when the reader must check its state at once.
    pub(crate) wakers: &'a [BorrowedFd<'a>],
    /// Files of containers that start and end meanwhile.
    pub(crate) later: LaterFiles,
}

impl Reading<'_> {
    /// Reads records until the run is over, and attaches, detaches and updates the scope as needed.
    ///
    /// # Errors
    /// Fails if the ring buffer cannot be read or no entry function is left.
    pub(crate) fn until_over(
        mut self,
        run: &mut ReadingState<'_>,
        tracer: &mut Tracer<'_>,
        scoping: &mut Scoping,
    ) -> Result<()> {
        loop {
            tracer.poll(run, self.wakers)?;
            if run.is_over() {
                return Ok(());
            }
            for record in run.cgroups.drain(..) {
                scoping.made(&record);
                self.workloads.made(&record);
                if !record.is_made {
                    self.later.gone(record.id, tracer, run.diag);
                }
            }
            scoping.look(tracer, run.diag);
            for container in scoping.take_arrived() {
                self.later.started(container);
            }
            let diag = run.diag;
            self.later
                .step(tracer, run, self.functions, self.policy, diag);
            run.look_at = [scoping.due(tracer), self.later.due()]
                .into_iter()
                .flatten()
                .min();
            run.caught_up = scoping.caught_up();
            self.detach_hot(run, tracer)?;
            self.attach_wanted(run, tracer)?;
        }
    }

    /// Detaches from the functions that the governor has chosen.
    fn detach_hot(&self, run: &mut ReadingState<'_>, tracer: &mut Tracer<'_>) -> Result<()> {
        let gone = run.watch.to_detach();
        if gone.is_empty() {
            return Ok(());
        }
        tracer.keep_alive(BUSY_LIFETIME)?;
        let detach = |tracer: &mut Tracer<'_>| tracer.detach_functions(&gone, self.functions);
        let attached = tracer.beside(run, detach).and_then(|attached| attached)?;
        run.watch.have_gone(&attached, self.traced, run.diag)
    }

    /// Attaches to the functions that were seen in stacks of failures.
    fn attach_wanted(&self, run: &mut ReadingState<'_>, tracer: &mut Tracer<'_>) -> Result<()> {
        let wanted = run.consumer.arming().take();
        let wanted: Vec<TracedFunction> = wanted
            .iter()
            .filter_map(|id| self.functions.get(id.index()).cloned())
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        tracer.keep_alive(BUSY_LIFETIME)?;
        let diag = run.diag;
        attach_more(tracer, run, &wanted, self.policy, self.traced, diag);
        Ok(())
    }
}

impl ReadingState<'_> {
    /// Returns true if the command has ended, the user stopped the run, or a limit is reached.
    pub(crate) fn is_over(&mut self) -> bool {
        let diag = self.diag;
        let has_ended = |command: &mut &mut SpawnedCommand| command.is_over(diag);
        self.command.as_mut().is_some_and(has_ended)
            || self.stop.is_raised()
            || self.consumer.is_done()
            || self.deadline.wait().is_none()
    }

    /// Returns true if it is time to check for new cgroups.
    fn has_to_look(&self, tracer: &Tracer<'_>) -> bool {
        match self.look_at {
            Some(at) => Instant::now() >= at,
            None => tracer.unreported_cgroups() > self.caught_up,
        }
    }

    /// Reads the records that are left in the ring buffer after tracing has stopped, and writes out
    /// the flight recorder if the end is a reason to.
    pub(crate) fn drain(&mut self, tracer: &Tracer<'_>) -> Result<()> {
        // The last words and the end of a command come after its last session.
        if self.consumer.counts().received < tracer.stats().shown || self.command.is_some() {
            self.draining = Some(Draining::default());
            tracer.poll(self, &[])?;
        }
        let status = self.command.as_mut().and_then(|command| command.status());
        self.consumer.conclude(CommandOutcome {
            status,
            is_stopped: self.stop.is_raised(),
        });
        if let Some(status) = status.filter(|status| *status != 0) {
            self.consumer
                .ask_for_flight(DumpReason::CommandStatus(status));
        }
        self.consumer.write_flight(tracer);
        Ok(())
    }
}

impl Sink for ReadingState<'_> {
    fn record(&mut self, bytes: &[u8]) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(bytes);
        }
        // A cgroup record is not shown, so it does not wait for the image.
        if let Some(record) = events::decode_cgroup(bytes) {
            self.cgroups.push(record);
            return;
        }
        // Nor is what a program says.
        if events::is_told(bytes) {
            self.consumer.record(bytes);
            return;
        }
        if let Err(error) = open_image(&mut self.image, self.symbolizer, self.diag) {
            self.diag.warning(format!("no source lines: {error:#}"));
        }
        self.consumer.record(bytes);
    }

    fn deliver(&mut self) {
        self.consumer.deliver();
    }

    fn wait(&mut self, tracer: &Tracer<'_>) -> Result<Option<Duration>> {
        self.consumer.deliver();
        if self.stop.takes_dump() {
            self.consumer.ask_for_flight(DumpReason::Signal);
        }
        self.consumer.write_flight(tracer);
        if let Some(draining) = &mut self.draining {
            let counts = self.consumer.counts();
            let is_over = draining.is_over(counts, tracer.stats().shown);
            return Ok((!is_over).then_some(Duration::from_millis(1)));
        }
        let is_wanted_elsewhere = self.is_over()
            || !self.cgroups.is_empty()
            || self.has_to_look(tracer)
            || self.consumer.arming().is_wanted()
            || self.watch.has_to_act(tracer)?;
        if is_wanted_elsewhere {
            return Ok(None);
        }
        self.consumer.tell_at_once();
        let until_look = self
            .look_at
            .map(|at| at.saturating_duration_since(Instant::now()));
        let due = self.consumer.due();
        let until_line = due.map(|due| due.saturating_duration_since(Instant::now()));
        let wait = self.deadline.wait();
        let sooner = [until_look, until_line].into_iter().flatten().min();
        Ok(wait.map(|wait| sooner.map_or(wait, |sooner| wait.min(sooner))))
    }
}

/// The progress of reading what was sent before the end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Draining {
    records: u64,
    /// Number of consecutive polls without a new record.
    idle: u32,
}

impl Draining {
    /// Number of idle polls before draining gives up. A program that was running when tracing
    /// stopped may send its record a moment later, and invalid records are not among the received
    /// ones.
    const PATIENCE: u32 = 10;

    /// Is called before each poll. `shown` is the number of sessions that were sent.
    fn is_over(&mut self, counts: Counts, shown: u64) -> bool {
        self.idle = if counts.records > self.records {
            0
        } else {
            self.idle + 1
        };
        self.records = counts.records;
        let is_complete = counts.received >= shown;
        self.idle > if is_complete { 1 } else { Self::PATIENCE }
    }
}

/// Waits for the source lines of the image the first time it is called.
fn open_image(
    image: &mut Option<PendingImage>,
    symbolizer: &Symbolizer,
    diag: &Diag,
) -> Result<()> {
    if let Some(mut image) = image.take()
        && let Some(lines) = image.join(diag)?
    {
        symbolizer.set_lines(lines);
        diag.phase("opened the kernel image");
    }
    Ok(())
}
