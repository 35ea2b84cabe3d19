// SPDX-License-Identifier: BSD-2-Clause
//! A traced run: load, attach, read until it ends, sum up.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::arming::{Arming, attach_more};
use super::attaching::{attach, detach};
use super::behind::{self, Behind};
use super::consumer::{Consumer, Counts, Facts};
use super::failure::Failure;
use super::gather::{Prepared, offered};
use super::known::{Knowing, Known};
use super::layout::{layout, support};
use super::lines::{PendingImage, of_modules};
use super::live::LiveSymbols;
use super::record::Recorder;
use super::stop::{Deadline, StopFlag};
use super::terminal;
use super::trails::{LiveText, LiveTrails, ResultTypes, Traced};
use super::watch::{BUSY, Watch};
use crate::bpf::{
    KernelStats, Layout, Misses, ObjectStorage, Settings, Sink, Tracer, is_forbidden,
};
use crate::cli::Comm;
use crate::code::{Code, Trails};
use crate::config::{Config, OutputFormat};
use crate::diag::Diag;
use crate::kernel::facts::KernelFiles;
use crate::render::{
    Drops, RenderContext, Summary, Withheld, write_summary_json, write_summary_text,
};
use crate::select::{BackendPolicy, BtfOrigin, EntryPoint, Prototype, TracedFunction, assign};
use crate::session::ErrorFilter;
use crate::spec::FuncId;
use crate::symbolize::Symbolizer;

/// Sessions that can be open at once. One takes 11 KB of the kernel's memory.
const MAX_SESSIONS: u32 = 2048;

/// Traces until something ends it.
pub(super) fn trace(
    prepared: Prepared,
    config: &Config,
    files: &KernelFiles,
    diag: &Diag,
) -> Result<()> {
    let stop = StopFlag::on_signals()?;
    let Prepared {
        selection,
        policy,
        layout,
        image,
        known,
        memory,
    } = prepared;
    let armed: Vec<TracedFunction> = selection.armed().cloned().collect();
    let mut arming = Arming::new(&selection);
    let deferred = behind::deferred(&selection);
    let assigned = assign(&armed, &policy);
    let functions = selection.functions;
    let mut storage = ObjectStorage::new();
    let settings = settings(config, layout, functions.len());
    let mut tracer = Tracer::load(&mut storage, &settings).map_err(explain_refusal)?;
    diag.phase("loaded programs");
    let attached = attach(&mut tracer, &armed, &assigned, &stop, diag)?;
    diag.phase("attached");
    let knowing = Knowing::before_start(known, image, files, diag)?;
    tracer.start()?;
    let started = Instant::now();
    diag.info(0, "Receiving data...");

    // What comes meanwhile waits in the buffer.
    if let Some(memory) = memory {
        memory.keep(&functions, layout, files);
    }
    let (
        Known {
            kallsyms,
            btf,
            symbols,
        },
        mut image,
        lines,
    ) = knowing.after_start(files, diag)?;
    let symbolizer = Symbolizer::new(kallsyms.clone(), image.level(), lines);
    if let Ok(modules) = of_modules(files) {
        symbolizer.set_modules(modules);
    }
    image.begin(&kallsyms, true)?;
    let live = LiveSymbols::new(&symbols, &symbolizer, kallsyms);
    let context = RenderContext {
        functions: &functions,
        symbolizer: &symbolizer,
        clock: terminal::clock(),
        width: terminal::width(),
        color: terminal::color(config.run.color),
        verbosity: config.run.verbosity,
    };
    let mut out = BufWriter::new(io::stdout());
    let role = |addr| live.role(addr);
    let traced = Traced::default();
    let is_refused = |function: &&TracedFunction| {
        let mut refused = attached.refused.iter();
        refused.any(|refused| refused.func == function.id)
    };
    for function in armed.iter().filter(|function| !is_refused(function)) {
        traced.add(function.addr);
    }
    let (symbols, text) = (live.kallsyms(), LiveText::new(files));
    let types = ResultTypes::new(&btf, files);
    let type_of = |name: &str, module: Option<&str>| types.of(name, module);
    let trails = LiveTrails {
        trails: Trails::new(Code::new(&symbols, &text), &type_of),
        traced: &traced,
    };
    let behind = Behind::new(&trails, &text, &functions, deferred);
    let consumer = Consumer::new(
        &functions,
        context,
        filter(config),
        config.run.format,
        config.run.max_events,
        Facts {
            role: &role,
            trails: &trails,
            traced: &traced,
        },
        &mut out,
    );
    let mut run = Run {
        consumer,
        recorder: config
            .record_raw
            .as_deref()
            .map(Recorder::create)
            .transpose()?,
        image: Some(image),
        symbolizer: &symbolizer,
        diag,
        stop: &stop,
        deadline: Deadline::after(config.run.duration),
        drain_until: None,
        look_at: None,
    };
    let mut watch = Watch::new(config, &functions);
    arming.look_behind(&behind);
    run.consumer.arm(arming);
    loop {
        run.look_at = watch.due();
        tracer.poll(&mut run)?;
        if run.is_over() {
            break;
        }
        watch.look(&mut tracer, &traced, diag)?;
        let wanted = run.consumer.arming().take();
        if wanted.is_empty() {
            continue;
        }
        tracer.keep_alive(BUSY)?;
        let wanted = wanted
            .iter()
            .filter_map(|id| functions.get(id.index()).cloned());
        let wanted: Vec<TracedFunction> = wanted.collect();
        attach_more(&mut tracer, &wanted, &policy, &traced, diag);
    }
    tracer.stop();
    run.drain(&tracer)?;
    let run_time = started.elapsed();
    let counts = run.consumer.counts();
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
    if let Some(error) = failure {
        return Err(error).context("failed to write to stdout");
    }
    let stats = tracer.stats();
    let misses = tracer.misses();
    say_misses(misses, &stats, diag);
    let mut summary = summary(&stats, misses, counts, tracer.n_functions(), run_time);
    summary.detached = watch.detached();
    write_summary(&summary, config.run.format, &mut out, diag)?;
    detach(tracer, diag);
    Ok(())
}

/// Whether this kernel lets us trace: attaches to one function, for a moment.
pub(super) fn probe(files: &KernelFiles) -> Result<()> {
    const FUNCTION: &str = "__x64_sys_bpf";
    super::preflight::check(files)?;
    let kallsyms = files.kallsyms()?;
    let symbol = kallsyms
        .named(FUNCTION)
        .next()
        .context("no symbol to try with")?;
    let btf = files.kernel_btf()?;
    let by_name = btf.functions_of_names(&[FUNCTION].into_iter().collect());
    let func = by_name
        .get(FUNCTION)
        .context("no BTF function to try with")?;
    let function = TracedFunction {
        id: FuncId(0),
        name: FUNCTION.to_owned(),
        module: None,
        addr: symbol.addr,
        size: symbol.size,
        entry: Some(EntryPoint::KernelFunction),
        result: btf.result_type(FUNCTION, func.id),
        prototype: Some(Prototype {
            origin: BtfOrigin::Vmlinux,
            btf_id: func.id,
            arg_slots: 1,
            trampoline_ok: true,
        }),
    };
    let support = support(Some(&btf), files);
    let functions = [function];
    let assigned = assign(&functions, &BackendPolicy::Auto(offered(support)));
    let mut storage = ObjectStorage::new();
    let settings = Settings {
        longer_ns: 0,
        show_success: false,
        pids_allowed: Vec::new(),
        pids_denied: Vec::new(),
        comms_allowed: Vec::new(),
        comms_denied: Vec::new(),
        ring_bytes: 4096,
        max_sessions: 1,
        max_depth: 64,
        n_functions: 1,
        layout: layout(&btf, &kallsyms, files, support)?,
    };
    let mut tracer = Tracer::load(&mut storage, &settings)?;
    tracer.attach(&functions, &assigned, &mut |_, _| true)?;
    Ok(())
}

/// The kernel's `EPERM` says nothing of why.
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

fn settings(config: &Config, layout: Layout, n_functions: usize) -> Settings {
    let names = |comms: &[Comm]| comms.iter().map(|comm| comm.as_str().to_owned()).collect();
    Settings {
        longer_ns: config.sessions.longer.map_or(0, |longer| {
            u64::try_from(longer.as_nanos()).unwrap_or(u64::MAX)
        }),
        show_success: config.sessions.success,
        pids_allowed: config.scope.pids.clone(),
        pids_denied: config.scope.no_pids.clone(),
        comms_allowed: names(&config.scope.comms),
        comms_denied: names(&config.scope.no_comms),
        ring_bytes: config.ringbuf_bytes,
        max_sessions: MAX_SESSIONS,
        max_depth: config.max_depth,
        n_functions: n_functions as u32,
        layout,
    }
}

fn filter(config: &Config) -> ErrorFilter {
    let errors = &config.sessions.errors;
    ErrorFilter {
        only: errors.allow.clone(),
        never: errors.deny.clone(),
    }
}

fn say_misses(misses: Misses, stats: &KernelStats, diag: &Diag) {
    if misses.probes > 0 {
        diag.warning(format_args!(
            "{} probes had no free slot for a return: chains may lack calls",
            misses.probes
        ));
        diag.hint(
            "functions that many tasks sleep in: leave them out (-d), or use --backend fentry",
        );
    }
    if misses.recursion > 0 {
        diag.info(
            1,
            format_args!(
                "{} calls or returns came while a program of ours ran on that CPU (most are \
                 traced helpers of our own), or where the kernel allows no kprobe programs",
                misses.recursion
            ),
        );
    }
    if stats.ring_full + stats.stack_ring_full > 0 {
        diag.hint("a larger buffer (--ringbuf-size), fewer functions or -x lose less");
    }
}

fn summary(
    stats: &KernelStats,
    misses: Misses,
    counts: Counts,
    n_functions: usize,
    run_time: Duration,
) -> Summary {
    Summary {
        started: stats.started + stats.no_slot + stats.stalled,
        shown: counts.shown,
        filtered: counts.filtered + stats.too_short,
        succeeded: stats.succeeded,
        dropped: Drops {
            ring_full: stats.ring_full,
            no_slot: stats.no_slot,
            stalled: stats.stalled,
            task_exited: stats.task_exit,
            abandoned: stats.abandoned,
            undecodable: counts.undecodable,
        },
        open_at_end: stats.open(),
        withheld: Withheld {
            recursion: misses.recursion,
            probes: misses.probes,
            stacks: stats.stack_ring_full,
        },
        functions: n_functions as u64,
        run_time,
        detached: Vec::new(),
    }
}

/// The JSON summary is data; the text one is talk.
fn write_summary(
    summary: &Summary,
    format: OutputFormat,
    out: &mut dyn Write,
    diag: &Diag,
) -> Result<()> {
    match format {
        OutputFormat::Json => write_summary_json(summary, out)
            .and_then(|()| out.flush())
            .context("failed to write to stdout"),
        OutputFormat::Text => {
            let mut line = Vec::new();
            write_summary_text(summary, &mut line)?;
            diag.info(0, String::from_utf8_lossy(&line).trim_end());
            Ok(())
        }
    }
}

/// Waits for the lines of the image, once.
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

/// What the ring buffer is read into, and until when.
struct Run<'a> {
    consumer: Consumer<'a>,
    /// The image that lines are read from: nobody waits for it before there is something to show.
    image: Option<PendingImage>,
    symbolizer: &'a Symbolizer,
    diag: &'a Diag,
    recorder: Option<Recorder>,
    stop: &'a StopFlag,
    deadline: Deadline,
    /// Set once tracing has stopped: read until so many session records are there.
    drain_until: Option<u64>,
    /// When the governor wants to look.
    look_at: Option<Instant>,
}

impl Run<'_> {
    /// Whether nothing more is to be read.
    fn is_over(&self) -> bool {
        self.stop.is_raised() || self.consumer.is_done() || self.deadline.wait().is_none()
    }

    /// Reads what is in the buffer still; a program that was running when tracing stopped may
    /// send its record a moment later.
    fn drain(&mut self, tracer: &Tracer<'_>) -> Result<()> {
        for _ in 0..10 {
            let sent = tracer.stats().shown;
            if self.consumer.counts().received >= sent {
                break;
            }
            self.drain_until = Some(sent);
            tracer.poll(self)?;
        }
        Ok(())
    }
}

impl Sink for Run<'_> {
    fn record(&mut self, bytes: &[u8]) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(bytes);
        }
        if let Err(error) = open_image(&mut self.image, self.symbolizer, self.diag) {
            self.diag.warning(format!("no source lines: {error:#}"));
        }
        self.consumer.record(bytes);
    }

    fn wait(&mut self) -> Option<Duration> {
        match self.drain_until {
            Some(0) => None,
            Some(_) => {
                // One turn that does not wait, then none.
                self.drain_until = Some(0);
                Some(Duration::from_millis(1))
            }
            None if self.is_over() || self.consumer.arming().is_wanted() => None,
            None if self.look_at.is_some_and(|at| Instant::now() >= at) => None,
            None => self.deadline.wait(),
        }
    }
}
