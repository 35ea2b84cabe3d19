// SPDX-License-Identifier: BSD-2-Clause
//! The phase of a run in which functions are attached: tracing starts, and sessions are shown until
//! the end.

use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};

use super::again::Outlook;
use super::arming::{Arming, takes_common_calls};
use super::consumer::{Consumer, Counts, FactSources};
use super::flight::FlightRecorder;
use super::later_files::LaterFiles;
use super::reading::{Reading, ReadingState};
use super::record::Recorder;
use super::spawned::SpawnedCommand;
use super::telling::Teller;
use super::trace::RunContext;
use super::watch::{BUSY_LIFETIME, Watch};
use crate::bpf::{Attached, Tracer};
use crate::code::{Code, Trails};
use crate::config::{Config, Limits, Telling};
use crate::diag::Diag;
use crate::kernel::facts::KernelFiles;
use crate::kernel::symbols::SymbolReader;
use crate::live::behind::{self, Behind};
use crate::live::kernel_symbols::DeferredSymbols;
use crate::live::lines::{PendingImage, of_modules};
use crate::live::symbols::LiveSymbols;
use crate::live::trails::{LiveText, LiveTrails, ResultTypes, Traced};
use crate::live::workloads::WorkloadResolver;
use crate::output::stream::SessionOutput;
use crate::output::terminal;
use crate::prepare::gather::Prepared;
use crate::prepare::on_load::placement;
use crate::prepare::preflight::RunningProcesses;
use crate::render::{Detached, RenderContext};
use crate::scope::Scoping;
use crate::select::{Selection, TracedFunction};
use crate::session::{ErrorFilter, TaskContext};
use crate::spec::NoteSource;
use crate::symbolize::Symbolizer;

/// What a run owns while it traces, besides the programs and the output.
pub(super) struct TracingRun<'a, 's> {
    pub(super) context: RunContext<'a>,
    pub(super) scoping: &'s mut Scoping,
    pub(super) processes: RunningProcesses,
    pub(super) command: Option<&'a mut SpawnedCommand>,
    pub(super) recorder: Option<Recorder>,
    pub(super) armed: Vec<TracedFunction>,
    pub(super) attached: Attached,
}

/// The results of a run, however far it got.
#[derive(Default)]
pub(super) struct RunResults {
    pub(super) counts: Counts,
    /// Functions that the governor detached from.
    pub(super) detached: Vec<Detached>,
    /// When tracing started; `None` if it did not.
    pub(super) started: Option<Instant>,
    pub(super) run_time: Option<Duration>,
    /// Why the command was not started; `None` if it was, or if there is none.
    pub(super) not_started: Option<Error>,
    /// Whether the command has ended with another status than 0.
    pub(super) command_failed: bool,
    /// What is open about the failure that is the reason; `None` without a verdict.
    pub(super) outlook: Option<Outlook>,
}

impl RunResults {
    /// Stops tracing, reads what is left in the ring buffer, and stores the counters.
    fn drain(&mut self, run: &mut ReadingState<'_>, tracer: &mut Tracer<'_>) -> Result<()> {
        tracer.stop();
        let drained = run.drain(tracer);
        self.command_failed = has_failed(run.command.as_deref_mut());
        self.run_time = self.started.map(|started| started.elapsed());
        self.counts = run.consumer.counts();
        self.outlook = run.consumer.take_outlook();
        self.detached = run.watch.detached();
        drained
    }
}

impl<'a> TracingRun<'a, '_> {
    /// Starts tracing, and shows sessions until the end.
    pub(super) fn follow(
        mut self,
        prepared: Prepared,
        tracer: &mut Tracer<'_>,
        out: &mut SessionOutput<'_>,
        ended: &mut RunResults,
    ) -> Result<()> {
        let RunContext {
            config,
            files,
            stop,
            diag,
        } = self.context;
        let Prepared {
            selection,
            user,
            notes,
            policy,
            layout,
            image,
            known,
            cache,
        } = prepared;
        let mut arming = Arming::new(&selection);
        let (deferred, has_inner) = (behind::deferred(&selection), self.has_inner(&selection));
        let functions = selection.functions;
        self.scoping.enter(tracer)?;
        diag.phase("attached");
        let deferred_symbols = DeferredSymbols::load_before_start(known, image, files, diag)?;
        let workloads = self.start(tracer, ended)?;
        // Records that arrive meanwhile wait in the ring buffer.
        if let Some(cache) = &cache {
            cache.store(&functions, &self.attached, layout, &notes, files);
        }
        if self.is_over_unseen(tracer, ended) {
            return Ok(());
        }
        let (kernel, mut image, lines) = deferred_symbols.load_after_start(files, diag)?;
        let kallsyms = kernel.kallsyms;
        if let Some(cache) = &cache {
            cache.check(&functions, &kallsyms)?;
        }
        let symbolizer =
            Symbolizer::new(kallsyms.clone(), image.level(), lines).with_memory(image.most_bytes());
        set_modules(&symbolizer, &kernel.symbols, files);
        image.begin(&kallsyms, true)?;
        let live = LiveSymbols::new(&kernel.symbols, &symbolizer, kallsyms);
        let sources = &notes.sources;
        let rendering = render_context(config, &functions, sources, out);
        let role = |addr| live.role(addr);
        let traced = self.traced();
        let (symbols, text) = (live.kallsyms(), LiveText::new(files));
        let types = ResultTypes::new(&kernel.btf, files);
        let type_of = |name: &str, module: Option<&str>| types.of(name, module);
        let code = Code::new(&symbols, &text);
        let trails = LiveTrails::new(Trails::new(code, &type_of), &traced);
        let behind = Behind::new(&trails, &text, &functions, deferred);
        let workload = |context: &TaskContext| workloads.of(context);
        let output_name = out.name().to_owned();
        let facts = FactSources {
            symbolizer: &symbolizer,
            role: &role,
            trails: &trails,
            traced: &traced,
            workload: &workload,
        };
        let mut consumer = consumer(config, rendering, facts, has_inner, out);
        arming.look_behind(&behind);
        consumer.arm(arming);
        consumer.place(placement(live.absent_modules(), &live.kallsyms()));
        if let Some(flight) = &config.flight {
            consumer.fly(FlightRecorder::new(flight, &functions, &workload, files));
        }
        let command_end = self.command.as_deref().and_then(SpawnedCommand::end);
        let wakers: Vec<BorrowedFd<'_>> = [stop.wakes()]
            .into_iter()
            .chain(command_end.as_ref().map(AsFd::as_fd))
            .collect();
        let watch = Watch::new(limits(config), &functions).begin(tracer);
        let mut run = self.run(consumer, image, &symbolizer, watch);
        if tracer.stats().started == 0 {
            // No session waits to be shown, so there is time to prepare what the first culprit
            // needs.
            types.prepare();
        }
        let read = Reading {
            functions: &functions,
            policy: &policy,
            traced: &traced,
            workloads: &workloads,
            wakers: &wakers,
            later: LaterFiles::start(config, &user, &functions)?,
        }
        .until_over(&mut run, tracer, self.scoping);
        read.and(ended.drain(&mut run, tracer))?;
        let failure = run.consumer.take_failure();
        if let Some(recorder) = run.recorder.take() {
            recorder.with_sources(sources).finish(
                files.release()?,
                &functions,
                &symbolizer,
                &live.kallsyms(),
                &trails,
                rendering.clock,
            )?;
        }
        let written = failure.map_or(Ok(()), Err);
        written.with_context(|| format!("failed to write to {output_name}"))?;
        say_module_problems(&symbolizer, diag);
        Ok(())
    }

    /// Builds the state of reading. Takes the recorder and the command out of `self`.
    fn run<'r>(
        &mut self,
        consumer: Consumer<'r>,
        image: PendingImage,
        symbolizer: &'r Symbolizer,
        watch: Watch<'r>,
    ) -> ReadingState<'r>
    where
        'a: 'r,
    {
        let RunContext {
            config, stop, diag, ..
        } = self.context;
        ReadingState {
            consumer,
            recorder: self.recorder.take(),
            image: Some(image),
            symbolizer,
            diag,
            stop,
            deadline: stop.until(config.run.duration),
            command: self.command.take(),
            draining: None,
            cgroups: Vec::new(),
            look_at: None,
            caught_up: self.scoping.caught_up(),
            watch,
        }
    }

    /// Starts tracing and then the command. Stores in `ended` when tracing started and why the
    /// command was not started.
    ///
    /// # Errors
    /// Fails if a process of `-p` has ended meanwhile or the programs cannot be started.
    fn start(
        &mut self,
        tracer: &mut Tracer<'_>,
        ended: &mut RunResults,
    ) -> Result<WorkloadResolver> {
        // Before the start, because a cgroup may be gone when its session is shown.
        let workloads = WorkloadResolver::new(&self.context.config.scope.host_root);
        workloads.walk();
        self.processes.check_again(self.context.files)?;
        ended.started = Some(Instant::now());
        tracer.start()?;
        self.context.diag.info(0, "Receiving data...");
        // The programs stop without a sign of life from us. A command may leave us little CPU time
        // until we read.
        tracer.keep_alive(BUSY_LIFETIME)?;
        let stop = self.context.stop;
        let command = self.command.as_mut();
        ended.not_started = command.and_then(|command| command.release(stop).err());
        if let Err(error) = tracer.watch_cgroups() {
            self.context.diag.info(
                1,
                format!("control groups of sessions may not be known: {error:#}"),
            );
        }
        Ok(workloads)
    }

    /// Returns true if the command has ended already and no session is to be shown. In that case
    /// the kernel's symbols need not be read.
    fn is_over_unseen(&mut self, tracer: &mut Tracer<'_>, ended: &mut RunResults) -> bool {
        let config = self.context.config;
        let has_flight = config.flight.is_some();
        if config.run.telling != Telling::AsTheyCome {
            return false;
        }
        if let (Some(command), None) = (&mut self.command, &self.recorder)
            && command.is_over_unseen(|| tracer.stats().shown > 0, self.context.diag)
            // Otherwise there are calls to be written out.
            && (!has_flight || command.status() == Some(0))
        {
            tracer.stop();
            ended.command_failed = has_failed(Some(command));
            return tracer.stats().shown == 0;
        }
        false
    }

    /// Whether inner functions are traced, and all of those that were chosen. Not so where only those
    /// are attached to that often decide: then another run may trace what the failing call reaches.
    fn has_inner(&self, selection: &Selection) -> bool {
        let takes_common = takes_common_calls(&self.context.config.globs);
        let has_all = !takes_common || selection.deferred.is_empty();
        has_all && self.armed.iter().any(|function| function.entry.is_none())
    }

    fn traced(&self) -> Traced {
        let traced = Traced::default();
        for function in &self.armed {
            let is_of_kernel = !function.hook.is_of_user();
            if is_of_kernel && !self.attached.has_refused(function.id) {
                traced.add(function.addr());
            }
        }
        traced
    }
}

fn has_failed(command: Option<&mut SpawnedCommand>) -> bool {
    let status = command.and_then(SpawnedCommand::status);
    status.is_some_and(|status| status != 0)
}

/// Enables source lines of modules, including those of `--on-load`.
fn set_modules(symbolizer: &Symbolizer, symbols: &SymbolReader, files: &KernelFiles) {
    if let Ok(modules) = of_modules(files) {
        symbolizer.set_modules(modules.with_absent(symbols.absent_modules()));
    }
}

fn say_module_problems(symbolizer: &Symbolizer, diag: &Diag) {
    for problem in symbolizer.take_module_problems() {
        diag.info(1, format!("no source lines of module {problem}"));
    }
}

/// Creates the consumer of the records of a run.
fn consumer<'a>(
    config: &Config,
    context: RenderContext<'a>,
    facts: FactSources<'a>,
    has_inner: bool,
    out: &'a mut SessionOutput<'_>,
) -> Consumer<'a> {
    let hold = out.takes_at_once();
    let mut consumer = Consumer::new(
        context.functions,
        context,
        filter(config),
        config.run.format,
        config.run.max_events,
        facts,
        out,
    );
    consumer.hold(hold);
    if let Some(teller) = Teller::new(config, has_inner) {
        consumer.keep_for_verdict(teller);
    }
    if config.sessions.success {
        consumer.show_successes();
    }
    consumer
}

/// Returns how sessions are written to `out`.
fn render_context<'a>(
    config: &Config,
    functions: &'a [TracedFunction],
    sources: &'a [NoteSource],
    out: &SessionOutput<'_>,
) -> RenderContext<'a> {
    RenderContext {
        functions,
        sources,
        clock: terminal::clock(),
        width: terminal::width(out.stream()),
        color: terminal::color(config.run.color, out.stream()),
        verbosity: config.run.verbosity,
    }
}

/// The share of the machine's CPU time that a run may cost others if the user named no functions.
const DEFAULT_BUDGET: f64 = 0.1;

/// Returns what the run may cost.
fn limits(config: &Config) -> Limits {
    let is_broad = config.globs.is_broad();
    if !is_broad || config.limits.budget.is_some() {
        return config.limits;
    }
    let n_cpus = thread::available_parallelism().map_or(1, NonZero::get);
    Limits {
        budget: Some(DEFAULT_BUDGET * n_cpus as f64),
        is_for_others: true,
        ..config.limits
    }
}

fn filter(config: &Config) -> ErrorFilter {
    let errors = &config.sessions.errors;
    let calls = |wanted: bool| {
        let calls = config.sessions.calls.iter();
        let chosen = calls.filter(|choice| choice.wanted == wanted);
        chosen.map(|choice| choice.what.clone()).collect()
    };
    ErrorFilter {
        only: errors.allow.clone(),
        never: errors.deny.clone(),
        any: errors.allow_any.clone(),
        none: errors.deny_any.clone(),
        calls: calls(true),
        no_calls: calls(false),
    }
}
