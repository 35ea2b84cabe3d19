// SPDX-License-Identifier: BSD-2-Clause
//! A running trace: attached links, the ring buffer, the counters. Dropping it detaches all.

use std::cell::RefCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use libbpf_rs::{ErrorKind, OpenObject, RingBufferBuilder};

use super::attach::{BackendKind, Links, Progress, Refused};
use super::detach::STALLED_AFTER;
use super::kernel_stats::{KernelStats, Misses};
use super::object::{self, Loaded};
use super::patch::{Copy, patched};
use super::program;
use super::settings::Settings;
use super::sys::{self, ProgramKind};
use crate::select::TracedFunction;

/// Where the BPF object lives: a local of whoever runs the trace, so that nothing has to be
/// leaked or to refer to itself.
pub struct ObjectStorage(MaybeUninit<OpenObject>);

/// A loaded and, after [`Tracer::attach`], attached set of programs.
pub struct Tracer<'obj> {
    pub(super) loaded: Loaded<'obj>,
    pub(super) backend: BackendKind,
    pub(super) links: Links,
    /// The link and program that end sessions with their tasks.
    task_exit: Option<[OwnedFd; 2]>,
}

/// Takes the records of a run.
pub trait Sink {
    /// One record of the ring buffer.
    fn record(&mut self, bytes: &[u8]);

    /// How long to wait for the next ones; `None` ends the reading.
    fn wait(&mut self) -> Option<Duration>;
}

/// What attaching came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Functions that are traced.
    pub n_functions: usize,
    /// Functions that the kernel refused.
    pub refused: Vec<Refused>,
}

impl ObjectStorage {
    /// An empty place.
    #[must_use]
    pub fn new() -> Self {
        Self(MaybeUninit::uninit())
    }
}

impl Default for ObjectStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ObjectStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStorage").finish_non_exhaustive()
    }
}

impl fmt::Debug for Tracer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl<'obj> Tracer<'obj> {
    /// Makes the maps; `backend` says how [`Self::attach`] will attach.
    ///
    /// # Errors
    /// When the kernel refuses the maps or programs (permission, lockdown, verifier).
    pub fn load(
        storage: &'obj mut ObjectStorage,
        settings: &Settings,
        backend: BackendKind,
    ) -> Result<Self> {
        let loaded = object::load(&mut storage.0, settings)?;
        Ok(Self {
            loaded,
            backend,
            links: Links::default(),
            task_exit: None,
        })
    }

    /// Attaches to all functions that the kernel lets us.
    ///
    /// # Errors
    /// When nothing could be attached, or no entry function, or when `progress` says to stop.
    pub fn attach(
        &mut self,
        functions: &[TracedFunction],
        progress: Progress<'_>,
    ) -> Result<Attached> {
        self.task_exit = Some(self.attach_task_exit()?);
        let functions: Vec<&TracedFunction> = functions.iter().collect();
        self.links = self
            .backend
            .implementation()
            .attach(&self.loaded, &functions, progress)
            .with_context(|| format!("failed to attach with back end `{}`", self.backend))?;
        self.check_entries(&functions)?;
        Ok(Attached {
            n_functions: self.links.n_attached,
            refused: self.links.refused.clone(),
        })
    }

    /// Attaches to more functions, while the trace runs.
    ///
    /// # Errors
    /// When nothing could be attached.
    pub fn attach_more(&mut self, functions: &[TracedFunction]) -> Result<Attached> {
        let functions: Vec<&TracedFunction> = functions.iter().collect();
        let more = self
            .backend
            .implementation()
            .attach(&self.loaded, &functions, &mut |_, _| true)
            .with_context(|| format!("failed to attach with back end `{}`", self.backend))?;
        let attached = Attached {
            n_functions: more.n_attached,
            refused: more.refused.clone(),
        };
        self.links.links.extend(more.links);
        self.links.programs.extend(more.programs);
        self.links.refused.extend(more.refused);
        self.links.n_attached += more.n_attached;
        Ok(attached)
    }

    fn attach_task_exit(&self) -> Result<[OwnedFd; 2]> {
        let template = &self.loaded.templates.task_exit;
        let insns = patched(template, &self.loaded.layout, Copy::default());
        let program = program::load(c"task_exit", &insns, ProgramKind::RawTracepoint)?;
        let link = sys::attach_raw_tracepoint(c"sched_process_exit", program.as_fd())
            .context("failed to attach to the tracepoint `sched_process_exit`")?;
        Ok([link, program])
    }

    fn check_entries(&self, functions: &[&TracedFunction]) -> Result<()> {
        let refused = |function: &TracedFunction| {
            self.links
                .refused
                .iter()
                .any(|refused| refused.func == function.id)
        };
        let opens = |function: &&&TracedFunction| function.entry.is_some();
        if functions
            .iter()
            .filter(opens)
            .all(|function| refused(function))
        {
            let first = self.links.refused.first();
            let why = first.map_or("none was selected", |refused| refused.why.as_str());
            bail!("the kernel lets us attach to none of the entry functions: {why}");
        }
        Ok(())
    }

    /// Hands records to `sink` until it has enough.
    ///
    /// # Errors
    /// When the ring buffer cannot be read.
    pub fn poll(&self, sink: &mut dyn Sink) -> Result<()> {
        let sink = RefCell::new(sink);
        let mut builder = RingBufferBuilder::new();
        builder.add(&self.loaded.skel.maps.events, |bytes| {
            sink.borrow_mut().record(bytes);
            0
        })?;
        let ring = builder.build().context("failed to open the ring buffer")?;
        loop {
            // Two statements, or the borrow would last through the poll.
            let wait = sink.borrow_mut().wait();
            let Some(timeout) = wait else { return Ok(()) };
            self.keep_alive(STALLED_AFTER)?;
            match ring.poll(timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("failed to read the ring buffer"),
            }
        }
    }

    /// Starts to trace: from now on entry functions open sessions.
    ///
    /// # Errors
    /// Never in practice: the programs' data is always mapped.
    pub fn start(&mut self) -> Result<()> {
        // Before the first look at the buffer, too.
        self.keep_alive(STALLED_AFTER)?;
        let bss = self
            .loaded
            .skel
            .maps
            .bss_data
            .as_deref_mut()
            .context("no .bss")?;
        bss.ready = 1;
        Ok(())
    }

    /// Stops tracing: no session opens any more; open ones are left to the counters.
    pub fn stop(&mut self) {
        if let Some(bss) = self.loaded.skel.maps.bss_data.as_deref_mut() {
            bss.ready = 0;
        }
    }

    /// Sessions by their fate so far.
    #[must_use]
    pub fn stats(&self) -> KernelStats {
        let Some(bss) = self.loaded.skel.maps.bss_data.as_deref() else {
            return KernelStats::default();
        };
        let stats = &bss.stats;
        KernelStats {
            started: stats.started,
            shown: stats.shown,
            succeeded: stats.succeeded,
            too_short: stats.too_short,
            ring_full: stats.ring_full,
            task_exit: stats.task_exit,
            abandoned: stats.abandoned,
            no_slot: stats.no_slot,
            stack_ring_full: stats.stack_ring_full,
            stalled: stats.stalled,
        }
    }

    /// Events that the kernel withheld from our programs so far.
    #[must_use]
    pub fn misses(&self) -> Misses {
        let programs = self.links.programs.iter();
        let recursion = programs
            .map(|program| sys::recursion_misses(program.as_fd()))
            .sum();
        let probes = match self.backend {
            BackendKind::Trampoline => 0,
            _ => self
                .links
                .links
                .iter()
                .map(|link| sys::link_misses(link.fd.as_fd()))
                .sum(),
        };
        Misses { recursion, probes }
    }
}
