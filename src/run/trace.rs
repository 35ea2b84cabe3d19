// SPDX-License-Identifier: BSD-2-Clause
//! The phases of a run: `Prepared` → `LoadedRun` → `AttachedRun` → `TracingRun` → `FinishedRun`.
//! Each owns what it needs. Once functions are attached there is one way to end, with or without an
//! error: write the summary, detach, then return the error.

use std::mem;
use std::time::Instant;

use anyhow::Result;

use super::again::Outlook;
use super::attaching::{attach, attach_notes, detach};
use super::record::Recorder;
use super::settings::{Sizes, settings};
use super::spawned::SpawnedCommand;
use super::totals::{Totals, sum_up};
use super::tracing::{RunResults, TracingRun};
use crate::bpf::{Attached, ObjectStorage, Tracer, entry_texts, is_forbidden};
use crate::config::{Config, Telling};
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::output::stop::StopFlag;
use crate::output::stream::SessionOutput;
use crate::prepare::gather::Prepared;
use crate::prepare::learnt;
use crate::prepare::preflight::RunningProcesses;
use crate::scope::Scoping;
use crate::select::{TracedFunction, assign};

/// What all phases share.
#[derive(Clone, Copy)]
pub(crate) struct RunContext<'a> {
    pub(crate) config: &'a Config,
    pub(crate) files: &'a KernelFiles,
    pub(crate) stop: &'a StopFlag,
    pub(crate) diag: &'a Diag,
}

/// Traces until the run ends. Returns what is open after a verdict.
pub(crate) fn trace(
    prepared: Prepared,
    processes: RunningProcesses,
    command: Option<&mut SpawnedCommand>,
    context: RunContext<'_>,
) -> Result<Option<Outlook>> {
    let mut storage = ObjectStorage::new();
    LoadedRun::load(&mut storage, prepared, processes, command, context)?
        .attach()?
        .trace()
        .end()
}

/// A run whose programs are loaded. Nothing is attached.
struct LoadedRun<'a, 'o> {
    context: RunContext<'a>,
    prepared: Prepared,
    processes: RunningProcesses,
    command: Option<&'a mut SpawnedCommand>,
    out: SessionOutput<'a>,
    recorder: Option<Recorder>,
    scoping: Scoping,
    tracer: Tracer<'o>,
}

/// A run whose functions are attached. No session opens yet.
struct AttachedRun<'a, 'o> {
    loaded: LoadedRun<'a, 'o>,
    armed: Vec<TracedFunction>,
    attached: Attached,
}

/// A run that traces no more, and is still attached.
struct FinishedRun<'a, 'o> {
    context: RunContext<'a>,
    out: SessionOutput<'a>,
    scoping: Scoping,
    tracer: Tracer<'o>,
    /// When it was attached.
    began: Instant,
    ended: RunResults,
    /// Names of the traced entry functions.
    entries: Vec<String>,
    result: Result<()>,
}

impl<'a, 'o> LoadedRun<'a, 'o> {
    fn load(
        storage: &'o mut ObjectStorage,
        mut prepared: Prepared,
        processes: RunningProcesses,
        command: Option<&'a mut SpawnedCommand>,
        context: RunContext<'a>,
    ) -> Result<Self> {
        let RunContext {
            config,
            files,
            stop,
            diag,
        } = context;
        // Opening a FIFO may block forever, so signals keep their default action until then.
        let out = SessionOutput::open(config, stop, diag)?;
        let recorder = config
            .record_raw
            .as_deref()
            .map(Recorder::create)
            .transpose()?;
        stop.prepared();
        let scoping = Scoping::resolve(config, diag)?;
        let has_texts = prepared
            .selection
            .entries()
            .filter(|it| entry_texts(it) != 0);
        let settings = settings(
            config,
            prepared.layout,
            Sizes {
                n_functions: prepared.selection.functions.len(),
                n_notes: prepared.notes.sources.len(),
                n_entry_texts: has_texts.count(),
                n_usdt_sites: prepared.user.n_sites(),
                n_errno_places: prepared.user.errno_places.len(),
            },
            command.as_deref(),
            &scoping,
            files,
        );
        let mut tracer = Tracer::load(storage, &settings).map_err(explain_refusal)?;
        let user = &mut prepared.user;
        tracer.set_user(mem::take(&mut user.files), mem::take(&mut user.probes))?;
        if settings.read.errno {
            tracer.set_errno_places(&user.errno_places)?;
        }
        if settings.read.arguments {
            tracer.set_entry_texts(&prepared.selection.functions)?;
        }
        diag.phase("loaded programs");
        Ok(Self {
            context,
            prepared,
            processes,
            command,
            out,
            recorder,
            scoping,
            tracer,
        })
    }

    fn attach(mut self) -> Result<AttachedRun<'a, 'o>> {
        let RunContext {
            config, stop, diag, ..
        } = self.context;
        let is_broad = config.globs.is_broad();
        let armed: Vec<TracedFunction> = self.prepared.selection.armed().cloned().collect();
        let assigned = assign(&armed, &self.prepared.policy);
        // The kernel takes a trampoline the longer, the more functions ftrace has to do with already.
        // Where functions are attached one by one, there are few.
        let is_slow = self.prepared.attaches_one_by_one();
        let notes = &self.prepared.notes;
        let noted = if is_slow {
            Ok(())
        } else {
            attach_notes(&mut self.tracer, notes, diag)
        };
        let attached = noted.and_then(|()| {
            let attached = attach(&mut self.tracer, &armed, &assigned, is_broad, stop, diag)?;
            if is_slow {
                attach_notes(&mut self.tracer, notes, diag)?;
            }
            Ok(attached)
        });
        diag.phase("attached to functions");
        match attached {
            Ok(attached) => Ok(AttachedRun {
                loaded: self,
                armed,
                attached,
            }),
            Err(error) => {
                detach(self.tracer, false, stop, diag);
                Err(error)
            }
        }
    }
}

impl<'a, 'o> AttachedRun<'a, 'o> {
    /// Traces until the end, whatever it is.
    fn trace(self) -> FinishedRun<'a, 'o> {
        let LoadedRun {
            context,
            prepared,
            processes,
            command,
            mut out,
            recorder,
            mut scoping,
            mut tracer,
        } = self.loaded;
        let began = Instant::now();
        let is_entry =
            |of: &&TracedFunction| of.entry.is_some() && !self.attached.has_refused(of.id);
        let entries = self.armed.iter().filter(is_entry);
        let entries = entries.map(|of| of.name.clone()).collect();
        let mut ended = RunResults::default();
        let tracing = TracingRun {
            context,
            scoping: &mut scoping,
            processes,
            command,
            recorder,
            armed: self.armed,
            attached: self.attached,
        };
        let result = tracing.follow(prepared, &mut tracer, &mut out, &mut ended);
        tracer.stop();
        FinishedRun {
            context,
            out,
            scoping,
            tracer,
            began,
            ended,
            entries,
            result,
        }
    }
}

impl FinishedRun<'_, '_> {
    /// Writes the summary and detaches.
    ///
    /// # Errors
    /// Returns the error that ended the run, why the command was not started, or why the summary
    /// could not be written.
    fn end(self) -> Result<Option<Outlook>> {
        let Self {
            context,
            mut out,
            scoping,
            tracer,
            began,
            ended,
            entries,
            result,
        } = self;
        let RunContext {
            config,
            files,
            stop,
            diag,
        } = context;
        let names = ended.detached.iter().map(|gone| &gone.function);
        let inner = names.filter(|name| !entries.contains(name));
        learnt::remember(config, files, inner.cloned().collect());
        let run_time = ended.started.unwrap_or(began).elapsed();
        let totals = Totals {
            tracer: &tracer,
            scoping: &scoping,
            counts: ended.counts,
            detached: ended.detached,
            run_time: ended.run_time.unwrap_or(run_time),
            entries,
            command_failed: ended.command_failed,
            has_verdict: config.run.telling != Telling::AsTheyCome,
        };
        let summed_up = sum_up(totals, config.run.format, &mut out, diag);
        // With a command or after an error, the user must not wait long for detaching. It may then
        // continue in the background.
        let is_waited_for = config.command.is_some() || result.is_err();
        detach(tracer, is_waited_for, stop, diag);
        // If the command could not be executed, what was traced of it is shown before that error.
        result
            .and(ended.not_started.map_or(Ok(()), Err))
            .and(summed_up)
            .map(|()| ended.outlook)
    }
}

/// Adds a hint to a refusal, because the kernel's `EPERM` does not say why.
fn explain_refusal(error: anyhow::Error) -> anyhow::Error {
    if is_forbidden(&error) {
        return Failure::hinted(
            format!("{error:#}"),
            "the kernel forbids tracing programs here: a container without privileges, a \
             hardened kernel, or lockdown; `-Vv` shows what it offers",
        );
    }
    error
}
