// SPDX-License-Identifier: BSD-2-Clause
//! A traced run: load the programs, attach, read until the end, report the totals.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};

use super::arming::Arming;
use super::attaching::{attach, detach};
use super::consumer::{Consumer, Counts, FactSources};
use super::reading::{Reading, Run};
use super::record::Recorder;
use super::settings::settings;
use super::spawned::SpawnedCommand;
use super::totals::{FinishedRun, sum_up};
use super::watch::{BUSY, Watch};
use crate::bpf::{Attached, ObjectStorage, Tracer, is_forbidden};
use crate::code::{Code, Trails};
use crate::config::Config;
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::kernel::symbols::SymbolReader;
use crate::live::behind::{self, Behind};
use crate::live::kernel_symbols::DeferredSymbols;
use crate::live::lines::{PendingImage, of_modules};
use crate::live::symbols::LiveSymbols;
use crate::live::trails::{LiveText, LiveTrails, ResultTypes, Traced};
use crate::live::workloads::WorkloadResolver;
use crate::output::stop::StopFlag;
use crate::output::stream::Output;
use crate::output::terminal;
use crate::prepare::gather::Prepared;
use crate::prepare::on_load::placement;
use crate::prepare::preflight::Processes;
use crate::render::{Detached, RenderContext};
use crate::scope::Scoping;
use crate::select::{TracedFunction, assign};
use crate::session::{ErrorFilter, TaskContext};
use crate::symbolize::Symbolizer;

/// The inputs of a run besides its configuration.
pub(crate) struct Start<'a> {
    /// The processes of `-p`.
    pub(crate) processes: Processes,
    pub(crate) command: Option<&'a mut SpawnedCommand>,
    pub(crate) stop: &'a StopFlag,
}

/// Traces until the run ends. Once functions are attached there is one way to end, with or without
/// an error: write the summary, detach, then return the error.
pub(crate) fn trace(
    prepared: Prepared,
    config: &Config,
    files: &KernelFiles,
    start: Start<'_>,
    diag: &Diag,
) -> Result<()> {
    let Start {
        processes,
        command,
        stop,
    } = start;
    // Opening a FIFO may block forever, so signals keep their default action until then.
    let mut out = Output::open(config, stop, diag)?;
    let recorder = config
        .record_raw
        .as_deref()
        .map(Recorder::create)
        .transpose()?;
    stop.prepared();
    let armed: Vec<TracedFunction> = prepared.selection.armed().cloned().collect();
    let assigned = assign(&armed, &prepared.policy);
    let mut storage = ObjectStorage::new();
    let mut scoping = Scoping::resolve(config, diag)?;
    let settings = settings(
        config,
        prepared.layout,
        prepared.selection.functions.len(),
        command.as_deref(),
        &scoping,
        files,
    );
    let mut tracer = Tracer::load(&mut storage, &settings).map_err(explain_refusal)?;
    diag.phase("loaded programs");
    let attached = match attach(&mut tracer, &armed, &assigned, stop, diag) {
        Ok(attached) => attached,
        Err(error) => {
            detach(tracer, false, stop, diag);
            return Err(error);
        }
    };
    let began = Instant::now();
    let mut ended = Ended::default();
    let following = Following {
        config,
        files,
        stop,
        diag,
        processes,
        command,
        recorder,
        armed,
        attached,
    };
    let result = following.follow(prepared, &mut tracer, &mut scoping, &mut out, &mut ended);
    tracer.stop();
    let run_time = ended.started.unwrap_or(began).elapsed();
    let over = FinishedRun {
        tracer: &tracer,
        scoping: &scoping,
        counts: ended.counts,
        detached: ended.detached,
        run_time: ended.run_time.unwrap_or(run_time),
    };
    let summed_up = sum_up(over, config.run.format, &mut out, diag);
    // With a command or after an error, the user must not wait long for detaching. It may then
    // continue in the background.
    let is_waited_for = config.command.is_some() || result.is_err();
    detach(tracer, is_waited_for, stop, diag);
    // If the command could not be executed, what was traced of it is shown before that error.
    result
        .and(ended.not_started.map_or(Ok(()), Err))
        .and(summed_up)
}

/// The results of a run, however far it got.
#[derive(Default)]
struct Ended {
    counts: Counts,
    /// Functions that the governor detached from.
    detached: Vec<Detached>,
    /// When tracing started; `None` if it did not.
    started: Option<Instant>,
    run_time: Option<Duration>,
    /// Why the command was not started; `None` if it was, or if there is none.
    not_started: Option<Error>,
}

impl Ended {
    /// Stops tracing, reads what is left in the ring buffer, and stores the counters.
    fn drain(&mut self, run: &mut Run<'_>, tracer: &mut Tracer<'_>) -> Result<()> {
        tracer.stop();
        let drained = run.drain(tracer);
        self.run_time = self.started.map(|started| started.elapsed());
        self.counts = run.consumer.counts();
        self.detached = run.watch.detached();
        drained
    }
}

/// A run whose functions are attached.
struct Following<'a> {
    config: &'a Config,
    files: &'a KernelFiles,
    stop: &'a StopFlag,
    diag: &'a Diag,
    processes: Processes,
    command: Option<&'a mut SpawnedCommand>,
    recorder: Option<Recorder>,
    armed: Vec<TracedFunction>,
    attached: Attached,
}

impl<'a> Following<'a> {
    /// Starts tracing, and shows sessions until the end.
    fn follow(
        mut self,
        prepared: Prepared,
        tracer: &mut Tracer<'_>,
        scoping: &mut Scoping,
        out: &mut Output<'_>,
        ended: &mut Ended,
    ) -> Result<()> {
        let Self {
            config,
            files,
            stop,
            diag,
            ..
        } = self;
        let Prepared {
            selection,
            policy,
            layout,
            image,
            known,
            cache,
        } = prepared;
        let mut arming = Arming::new(&selection);
        let deferred = behind::deferred(&selection);
        let functions = selection.functions;
        scoping.enter(tracer)?;
        diag.phase("attached");
        let deferred_symbols = DeferredSymbols::load_before_start(known, image, files, diag)?;
        let workloads = self.start(tracer, ended)?;
        // Records that arrive meanwhile wait in the ring buffer.
        if let Some(cache) = &cache {
            cache.store(&functions, &self.attached, layout, files);
        }
        if self.is_over_unseen(tracer) {
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
        let context = render_context(config, &functions, out);
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
        let mut consumer = consumer(config, context, facts, out);
        arming.look_behind(&behind);
        consumer.arm(arming);
        consumer.place(placement(live.absent_modules(), &live.kallsyms()));
        let command_end = self.command.as_deref().and_then(SpawnedCommand::end);
        let wakers: Vec<BorrowedFd<'_>> = [stop.wakes()]
            .into_iter()
            .chain(command_end.as_ref().map(AsFd::as_fd))
            .collect();
        let watch = Watch::new(config.limits, &functions);
        let mut run = self.run(consumer, image, &symbolizer, scoping, watch);
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
        }
        .until_over(&mut run, tracer, scoping);
        read.and(ended.drain(&mut run, tracer))?;
        let failure = run.consumer.take_failure();
        if let Some(recorder) = run.recorder.take() {
            recorder.finish(
                files.release()?,
                &functions,
                &symbolizer,
                &live.kallsyms(),
                &trails,
                context.clock,
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
        scoping: &Scoping,
        watch: Watch<'r>,
    ) -> Run<'r>
    where
        'a: 'r,
    {
        Run {
            consumer,
            recorder: self.recorder.take(),
            image: Some(image),
            symbolizer,
            diag: self.diag,
            stop: self.stop,
            deadline: self.stop.until(self.config.run.duration),
            command: self.command.take(),
            draining: None,
            cgroups: Vec::new(),
            look_at: None,
            caught_up: scoping.caught_up(),
            watch,
        }
    }

    /// Starts tracing and then the command. Stores in `ended` when tracing started and why the
    /// command was not started.
    ///
    /// # Errors
    /// Fails if a process of `-p` has ended meanwhile or the programs cannot be started.
    fn start(&mut self, tracer: &mut Tracer<'_>, ended: &mut Ended) -> Result<WorkloadResolver> {
        // Before the start, because a cgroup may be gone when its session is shown.
        let workloads = WorkloadResolver::new(&self.config.scope.host_root);
        workloads.walk();
        self.processes.check_again(self.files)?;
        ended.started = Some(Instant::now());
        tracer.start()?;
        self.diag.info(0, "Receiving data...");
        // The programs stop without a sign of life from us. A command may leave us little CPU time
        // until we read.
        tracer.keep_alive(BUSY)?;
        let stop = self.stop;
        let command = self.command.as_mut();
        ended.not_started = command.and_then(|command| command.release(stop).err());
        if let Err(error) = tracer.watch_cgroups() {
            self.diag.info(
                1,
                format!("control groups of sessions may not be known: {error:#}"),
            );
        }
        Ok(workloads)
    }

    /// Returns true if the command has ended already and no session is to be shown. In that case
    /// the kernel's symbols need not be read.
    fn is_over_unseen(&mut self, tracer: &mut Tracer<'_>) -> bool {
        if let (Some(command), None) = (&mut self.command, &self.recorder)
            && command.is_over_unseen(|| tracer.stats().shown > 0, self.diag)
        {
            tracer.stop();
            return tracer.stats().shown == 0;
        }
        false
    }

    fn traced(&self) -> Traced {
        let traced = Traced::default();
        for function in &self.armed {
            if !self.attached.has_refused(function.id) {
                traced.add(function.addr());
            }
        }
        traced
    }
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
    out: &'a mut Output<'_>,
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
    if config.sessions.success {
        consumer.show_successes();
    }
    consumer
}

/// Returns how sessions are written to `out`.
fn render_context<'a>(
    config: &Config,
    functions: &'a [TracedFunction],
    out: &Output<'_>,
) -> RenderContext<'a> {
    RenderContext {
        functions,
        clock: terminal::clock(),
        width: terminal::width(out.stream()),
        color: terminal::color(config.run.color, out.stream()),
        verbosity: config.run.verbosity,
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

fn filter(config: &Config) -> ErrorFilter {
    let errors = &config.sessions.errors;
    ErrorFilter {
        only: errors.allow.clone(),
        never: errors.deny.clone(),
        any: errors.allow_any.clone(),
        none: errors.deny_any.clone(),
    }
}
