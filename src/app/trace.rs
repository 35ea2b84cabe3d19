// SPDX-License-Identifier: BSD-2-Clause
//! A traced run: load, attach, read until it ends, sum up.

use std::io::{self, BufWriter};
use std::time::Instant;

use anyhow::{Context, Result};

use super::arming::{Arming, attach_more};
use super::attaching::{attach, detach};
use super::behind::{self, Behind};
use super::consumer::{Consumer, Facts};
use super::failure::Failure;
use super::gather::Prepared;
use super::known::{Knowing, Known};
use super::lines::of_modules;
use super::live::LiveSymbols;
use super::reading::Run;
use super::record::Recorder;
use super::stop::{Deadline, StopFlag};
use super::terminal;
use super::totals::{say_misses, summary, write_summary};
use super::trails::{LiveText, LiveTrails, ResultTypes, Traced};
use super::watch::{BUSY, Watch};
use crate::bpf::{Layout, ObjectStorage, Settings, Tracer, is_forbidden};
use crate::cli::Comm;
use crate::code::{Code, Trails};
use crate::config::Config;
use crate::diag::Diag;
use crate::kernel::facts::KernelFiles;
use crate::render::RenderContext;
use crate::select::{TracedFunction, assign};
use crate::session::ErrorFilter;
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
    for function in &armed {
        if !attached.has_refused(function.id) {
            traced.add(function.addr);
        }
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
        watch: Watch::new(config, &functions),
    };
    arming.look_behind(&behind);
    run.consumer.arm(arming);
    loop {
        tracer.poll(&mut run)?;
        if run.is_over() {
            break;
        }
        run.watch.act(&mut tracer, &traced, diag)?;
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
    for problem in symbolizer.take_module_problems() {
        diag.info(1, format!("no source lines of module {problem}"));
    }
    let stats = tracer.stats();
    let misses = tracer.misses();
    say_misses(misses, &stats, diag);
    let mut summary = summary(&stats, misses, counts, tracer.n_functions(), run_time);
    summary.detached = run.watch.detached();
    write_summary(&summary, config.run.format, &mut out, diag)?;
    detach(tracer, diag);
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
