// SPDX-License-Identifier: BSD-2-Clause
//! A traced run: load, attach, read until it ends, sum up.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use anyhow::{Context, Result};

use super::arming::{Arming, attach_more};
use super::attaching::{attach, detach};
use super::behind::{self, Behind};
use super::commanded::Commanded;
use super::consumer::{Consumer, Counts, Facts};
use super::failure::Failure;
use super::gather::Prepared;
use super::known::{Knowing, Known};
use super::lines::of_modules;
use super::live::LiveSymbols;
use super::on_load::placement;
use super::output::Output;
use super::reading::Run;
use super::record::Recorder;
use super::scope::Scoping;
use super::settings::settings;
use super::stop::{Deadline, StopFlag};
use super::surroundings::Neighbourhood;
use super::terminal;
use super::totals::{Over, sum_up};
use super::trails::{LiveText, LiveTrails, ResultTypes, Traced};
use super::watch::{BUSY, Watch};
use crate::bpf::{ObjectStorage, Tracer, is_forbidden};
use crate::code::{Code, Trails};
use crate::config::Config;
use crate::diag::Diag;
use crate::kernel::facts::KernelFiles;
use crate::render::RenderContext;
use crate::select::{TracedFunction, assign};
use crate::session::{ErrorFilter, TaskContext};
use crate::symbolize::Symbolizer;

/// Traces until something ends it.
pub(super) fn trace(
    prepared: Prepared,
    config: &Config,
    files: &KernelFiles,
    mut command: Option<&mut Commanded>,
    stop: &StopFlag,
    diag: &Diag,
) -> Result<()> {
    stop.prepared();
    let mut out = Output::open(config, stop, diag)?;
    let recorder = config
        .record_raw
        .as_deref()
        .map(Recorder::create)
        .transpose()?;
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
    let mut scoping = Scoping::resolve(config, diag)?;
    let settings = settings(
        config,
        layout,
        functions.len(),
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
    scoping.enter(&mut tracer)?;
    diag.phase("attached");
    let knowing = Knowing::before_start(known, image, files, diag)?;
    // Control groups may be gone by the time that a session of theirs is shown.
    let neighbourhood = Neighbourhood::new(&config.scope.host_root);
    neighbourhood.walk();
    tracer.start()?;
    let started = Instant::now();
    diag.info(0, "Receiving data...");
    // Until we read, what a command starts may leave us little of the processor.
    tracer.keep_alive(BUSY)?;
    if let Some(command) = &mut command {
        command.release(stop)?;
    }

    if let Err(error) = tracer.watch_cgroups() {
        diag.info(
            1,
            format!("control groups of sessions may not be known: {error:#}"),
        );
    }
    // What comes meanwhile waits in the buffer.
    if let Some(memory) = &memory {
        memory.keep(&functions, &attached, layout, files);
    }
    if let (Some(command), None) = (&mut command, &recorder)
        && command.is_over_unseen(|| tracer.stats().shown > 0, diag)
    {
        tracer.stop();
        if tracer.stats().shown == 0 {
            let over = Over {
                tracer: &tracer,
                scoping: &scoping,
                counts: Counts::default(),
                detached: Vec::new(),
                run_time: started.elapsed(),
            };
            sum_up(over, config.run.format, &mut out, diag)?;
            detach(tracer, true, stop, diag);
            return Ok(());
        }
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
    if let Some(memory) = &memory {
        memory.check(&functions, &kallsyms)?;
    }
    let symbolizer =
        Symbolizer::new(kallsyms.clone(), image.level(), lines).with_memory(image.most_bytes());
    if let Ok(modules) = of_modules(files) {
        symbolizer.set_modules(modules.with_absent(symbols.expected()));
    }
    image.begin(&kallsyms, true)?;
    let live = LiveSymbols::new(&symbols, &symbolizer, kallsyms);
    let context = RenderContext {
        functions: &functions,
        symbolizer: &symbolizer,
        clock: terminal::clock(),
        width: terminal::width(out.stream()),
        color: terminal::color(config.run.color, out.stream()),
        verbosity: config.run.verbosity,
    };
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
    let surroundings = |context: &TaskContext| neighbourhood.of(context);
    let hold = out.takes_at_once();
    let mut consumer = Consumer::new(
        &functions,
        context,
        filter(config),
        config.run.format,
        config.run.max_events,
        Facts {
            role: &role,
            trails: &trails,
            traced: &traced,
            surroundings: &surroundings,
        },
        &mut out,
    );
    consumer.hold(hold);
    let command_end = command.as_deref().and_then(Commanded::end);
    let wakers: Vec<BorrowedFd<'_>> = [stop.wakes()]
        .into_iter()
        .chain(command_end.as_ref().map(AsFd::as_fd))
        .collect();
    let mut run = Run {
        consumer,
        recorder,
        image: Some(image),
        symbolizer: &symbolizer,
        diag,
        stop,
        deadline: Deadline::after(config.run.duration),
        command,
        draining: None,
        cgroups: Vec::new(),
        look_at: None,
        caught_up: scoping.caught_up(),
        watch: Watch::new(config, &functions),
    };
    arming.look_behind(&behind);
    run.consumer.arm(arming);
    run.consumer
        .place(placement(live.expected(), &live.kallsyms()));
    if tracer.stats().started == 0 {
        // Nothing waits to be shown: what the first culprit needs can be made ready.
        types.prepare();
    }
    loop {
        tracer.poll(&mut run, &wakers)?;
        if run.is_over() {
            break;
        }
        for record in run.cgroups.drain(..) {
            scoping.made(&record);
            neighbourhood.made(&record);
        }
        scoping.look(&mut tracer, diag)?;
        run.look_at = scoping.due(&tracer);
        run.caught_up = scoping.caught_up();
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
        return Err(error).with_context(|| format!("failed to write to {}", out.name()));
    }
    for problem in symbolizer.take_module_problems() {
        diag.info(1, format!("no source lines of module {problem}"));
    }
    let over = Over {
        tracer: &tracer,
        scoping: &scoping,
        counts,
        detached: run.watch.detached(),
        run_time,
    };
    sum_up(over, config.run.format, &mut out, diag)?;
    detach(tracer, config.command.is_some(), stop, diag);
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

fn filter(config: &Config) -> ErrorFilter {
    let errors = &config.sessions.errors;
    ErrorFilter {
        only: errors.allow.clone(),
        never: errors.deny.clone(),
    }
}
