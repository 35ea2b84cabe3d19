// SPDX-License-Identifier: BSD-2-Clause
//! A running trace: attached links, the ring buffer, the counters. Dropping it detaches everything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use libbpf_rs::{OpenObject, RingBufferBuilder};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::attach::{AttachProgress, Links, LoadedProbes, Refused, implementation};
use super::detach::STALLED_AFTER;
use super::flight::FlightMemory;
use super::kernel_stats::{KernelStats, Misses};
use super::notes::NoteLink;
use super::object::{self, LoadedObject};
use super::refusal::is_forbidden;
use super::scope;
use super::settings::{ScopeEntry, ScopeSettings, Settings};
use super::sys;
use super::tasks::TaskProbe;
use super::usdt_sites;
use crate::select::{Assigned, TracedFunction};
use crate::spec::{BackendKind, HookId, TracedProbe};

/// If fewer records than this were read, we pause, so that the next ones arrive together. On a
/// machine with one CPU, being woken for each session costs its task as much as the stack. After
/// more records we do not pause.
const FEW_RECORDS: i32 = 64;
const GATHERING_PAUSE: Duration = Duration::from_millis(1);

/// The sink is asked after this many records at most. If records arrive faster than they are read,
/// the buffer never becomes empty.
pub(super) const MAX_RECORDS_PER_READ: usize = 1024;

/// Memory for the BPF object. The caller owns it, so that the tracer need neither leak it nor refer
/// to itself.
pub struct ObjectStorage(MaybeUninit<OpenObject>);

/// A loaded set of programs; after [`Tracer::attach`] they are attached.
pub struct Tracer<'obj> {
    pub(super) loaded: LoadedObject<'obj>,
    pub(super) links: Vec<(BackendKind, Links)>,
    /// Programs that follow tasks and cgroups: they close the sessions of exiting tasks, and add
    /// children to the scope.
    pub(super) tasks: Vec<TaskProbe>,
    pub(super) watches_cgroups: bool,
    /// Programs that add notes to sessions.
    pub(super) notes: Vec<NoteLink>,
    pub(super) scope: ScopeSettings,
    /// What links had missed that are closed by now.
    pub(super) missed_by_closed: u64,
}

/// Receives the records of a run.
pub trait Sink {
    /// Receives one record of the ring buffer.
    fn record(&mut self, bytes: &[u8]);

    /// Called when there are no more records for now. Output that was held back must be written.
    fn deliver(&mut self);

    /// Returns how long to wait for the next records; `None` ends the reading.
    ///
    /// # Errors
    /// An error ends the reading, and the run.
    fn wait(&mut self, tracer: &Tracer<'_>) -> Result<Option<Duration>>;
}

/// The result of attaching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Number of functions that were attached to.
    pub n_functions: usize,
    /// Functions that the kernel refused with every back end that was tried.
    pub refused: Vec<Refused>,
    /// Functions that one back end could not attach to, and for which another was tried.
    pub moved: Vec<Moved>,
}

/// A function that one back end could not attach to, and for which another was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The function, and why it was refused.
    pub refused: Refused,
    /// The back end that could not attach to it.
    pub from: BackendKind,
    /// The back end that was tried next.
    pub to: BackendKind,
}

impl Attached {
    /// Returns whether the kernel refused this function with every back end.
    #[must_use]
    pub fn has_refused(&self, func: HookId) -> bool {
        self.refused.iter().any(|refused| refused.func == func)
    }
}

impl ObjectStorage {
    /// Creates empty storage for one object.
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
            .field("n_back_ends", &self.links.len())
            .finish_non_exhaustive()
    }
}

impl<'obj> Tracer<'obj> {
    /// Opens and configures the object, and creates its maps. Programs are loaded by
    /// [`Tracer::attach`].
    ///
    /// # Errors
    /// If the kernel refuses the maps (permission, lockdown, limit of locked memory).
    pub fn load(storage: &'obj mut ObjectStorage, settings: &Settings) -> Result<Self> {
        let loaded = object::load(&mut storage.0, settings)?;
        Ok(Self {
            loaded,
            links: Vec::new(),
            tasks: Vec::new(),
            watches_cgroups: false,
            notes: Vec::new(),
            scope: settings.scope.clone(),
            missed_by_closed: 0,
        })
    }

    /// Sets the files of user functions and USDT probes, and what is attached to for the probes. The
    /// index of a file is its object id.
    ///
    /// # Errors
    /// If the sites of the probes do not fit into their map.
    pub fn set_user(&mut self, files: Vec<File>, probes: Vec<TracedProbe>) -> Result<()> {
        usdt_sites::fill(&self.loaded.skel, &probes)?;
        self.loaded.user_files = files.into_iter().map(Some).collect();
        self.loaded.probes = LoadedProbes::new(probes);
        Ok(())
    }

    /// Attaches to all functions that the kernel accepts, each by the first of its back ends that
    /// takes it. `assigned` is parallel to `functions`. A later call attaches to more functions.
    ///
    /// # Errors
    /// If nothing could be attached, or no entry function at the first call, or if `progress` says
    /// to stop.
    pub fn attach(
        &mut self,
        functions: &[TracedFunction],
        assigned: &[Assigned],
        progress: AttachProgress<'_>,
    ) -> Result<Attached> {
        let is_first = self.tasks.is_empty();
        if is_first {
            self.attach_tasks()?;
        }
        let mut attached = Attached {
            n_functions: 0,
            refused: Vec::new(),
            moved: Vec::new(),
        };
        if !is_first {
            self.prepare_for(assigned)?;
        }
        let mut waiting: Vec<PendingFunction<'_>> = functions
            .iter()
            .zip(assigned)
            .map(|(function, assigned)| PendingFunction {
                function,
                backends: &assigned.backends,
            })
            .collect();
        while let Some(backend) = next_backend(&waiting) {
            let (now, later): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|waiting| waiting.backends.first() == Some(&backend));
            waiting = later;
            let batch: Vec<&TracedFunction> = now.iter().map(|now| now.function).collect();
            let mut is_interrupted = false;
            let links = implementation(backend).attach(&self.loaded, &batch, &mut |done, all| {
                let goes_on = progress(done, all);
                is_interrupted |= !goes_on;
                goes_on
            });
            let links = match links {
                Ok(links) => links,
                // An operation that is forbidden is forbidden with every back end.
                Err(error)
                    if !is_interrupted
                        && !is_forbidden(&error)
                        && now.iter().any(|now| now.backends.len() > 1) =>
                {
                    Links::refused_all(&batch, &error)
                }
                Err(error) => {
                    let context = format!("failed to attach with back end `{backend}`");
                    return Err(error.context(context));
                }
            };
            attached.n_functions += links.n_attached;
            for refused in &links.refused {
                let rest = now
                    .iter()
                    .find(|now| now.function.id == refused.func)
                    .and_then(|now| Some((now.function, now.backends.get(1..)?)));
                match rest {
                    Some((function, backends @ [to, ..])) if !refused.is_final => {
                        attached.moved.push(Moved {
                            refused: refused.clone(),
                            from: backend,
                            to: *to,
                        });
                        waiting.push(PendingFunction { function, backends });
                    }
                    _ => attached.refused.push(refused.clone()),
                }
            }
            self.links.push((backend, links));
            if is_interrupted {
                bail!("interrupted");
            }
        }
        if is_first {
            check_entries(functions, &attached.refused)?;
        }
        if self.needs_guard() {
            self.raise_guard()?;
        }
        Ok(attached)
    }

    /// Returns the number of functions that are traced.
    #[must_use]
    pub fn n_functions(&self) -> usize {
        self.links.iter().map(|(_, links)| links.n_attached).sum()
    }

    /// Returns the number of functions that have links of their own, which are detached from one by
    /// one.
    #[must_use]
    pub fn n_one_by_one(&self) -> usize {
        let one_by_one = self
            .links
            .iter()
            .filter(|(backend, _)| backend.is_one_by_one());
        one_by_one.map(|(_, links)| links.n_attached).sum()
    }

    /// Adds a rule to the scope, before or while tracing. Counts rules for which there is no room.
    pub fn add_to_scope(&mut self, entry: ScopeEntry) {
        let added = scope::add(&mut self.loaded.skel, entry);
        self.loaded.left_out += u64::from(added.is_err());
    }

    /// Returns how many descendants or cgroups did not fit into the scope.
    #[must_use]
    pub fn left_out_of_scope(&self) -> u64 {
        let bss = self.loaded.skel.maps.bss_data.as_deref();
        self.loaded.left_out + bss.map_or(0, |bss| bss.scope_full)
    }

    /// Returns how many new cgroups may matter to the scope and were not reported, because the ring
    /// buffer was full.
    #[must_use]
    pub fn unreported_cgroups(&self) -> u64 {
        let bss = self.loaded.skel.maps.bss_data.as_deref();
        bss.map_or(0, |bss| bss.cgroups_unreported)
    }

    /// Passes records to `sink` until its `wait` returns `None`. `wait` is also called as soon as
    /// one of `wakers` becomes readable.
    ///
    /// # Errors
    /// If the ring buffer cannot be read, or `sink` returns an error.
    pub fn poll(&self, sink: &mut dyn Sink, wakers: &[BorrowedFd<'_>]) -> Result<()> {
        let sink = RefCell::new(sink);
        let mut builder = RingBufferBuilder::new();
        builder.add(&self.loaded.skel.maps.events, |bytes| {
            sink.borrow_mut().record(bytes);
            0
        })?;
        let ring = builder.build().context("failed to open the ring buffer")?;
        let fds = [self.loaded.skel.maps.events.as_fd()];
        let fds = fds.iter().chain(wakers);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        loop {
            // A statement of its own: otherwise the borrow would last through the poll.
            let wait = sink.borrow_mut().wait(self)?;
            let Some(timeout) = wait else { return Ok(()) };
            self.keep_alive(STALLED_AFTER)?;
            // Round up: with 0 this would be a busy loop during the last millisecond.
            let timeout = PollTimeout::try_from(timeout.as_micros().div_ceil(1000));
            match poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("failed to wait for records"),
            }
            let n_records = consumed(ring.consume_raw_n(MAX_RECORDS_PER_READ))?;
            if (1..FEW_RECORDS).contains(&n_records) {
                thread::sleep(GATHERING_PAUSE);
            }
        }
    }

    /// Starts tracing: from now on entry functions open sessions.
    ///
    /// # Errors
    /// Never in practice: the programs' data is always mapped.
    pub fn start(&mut self) -> Result<()> {
        // The programs need a deadline before the first poll.
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

    /// Enables the guard before functions are added to a running trace, if one of their programs
    /// needs it.
    fn prepare_for(&mut self, assigned: &[Assigned]) -> Result<()> {
        let backends = assigned.iter().flat_map(|assigned| &assigned.backends);
        let only_kprobes = backends.copied().all(BackendKind::is_of_kprobes)
            && self.used().all(|(backend, _)| backend.is_of_kprobes());
        if only_kprobes {
            return Ok(());
        }
        self.raise_guard()
    }

    fn used(&self) -> impl Iterator<Item = &(BackendKind, Links)> {
        let links = self.links.iter();
        links.filter(|(_, links)| links.n_attached > 0)
    }

    /// Enables the guard. It is never disabled again: a program that has entered it would not leave
    /// it.
    pub(super) fn raise_guard(&mut self) -> Result<()> {
        let bss = self.loaded.skel.maps.bss_data.as_deref_mut();
        bss.context("no .bss")?.guarded = 1;
        Ok(())
    }

    /// Returns whether our programs can run inside one another. Programs of kprobes do not run
    /// inside each other, and a program of trampolines does not run inside itself. All other
    /// combinations occur.
    fn needs_guard(&self) -> bool {
        let n_programs: usize = self.used().map(|(_, links)| links.programs.len()).sum();
        let of_trampolines = self.used().any(|(backend, _)| !backend.is_of_kprobes());
        of_trampolines && n_programs > 1
    }

    /// Stops tracing: no session opens any more. Sessions that are open stay open, and are counted
    /// as such.
    pub fn stop(&mut self) {
        if let Some(bss) = self.loaded.skel.maps.bss_data.as_deref_mut() {
            bss.ready = 0;
        }
    }

    /// Returns the memory of the flight recorder; `None` if it is off.
    #[must_use]
    pub fn flight(&self) -> Option<&FlightMemory> {
        self.loaded.flight.as_ref()
    }

    /// Returns the counters of sessions so far.
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
            other_errors: stats.other_errors,
            ring_full: stats.ring_full,
            task_exit: stats.task_exit,
            abandoned: stats.abandoned,
            no_slot: stats.no_slot,
            stack_ring_full: stats.stack_ring_full,
            stalled: stats.stalled,
            unrecognized: stats.unrecognized,
            failed_tail_calls: stats.failed_tail_calls,
            lost_slots: stats.lost_slots,
            called_before: stats.called_before,
        }
    }

    /// Returns how many calls and returns the kernel did not run our programs for so far.
    #[must_use]
    pub fn misses(&self) -> Misses {
        let mut misses = Misses {
            recursion: 0,
            probes: self.missed_by_closed,
        };
        for (backend, links) in &self.links {
            let programs = links.programs.iter();
            misses.recursion += programs
                .map(|program| sys::recursion_misses(program.as_fd()))
                .sum::<u64>();
            misses.probes += links
                .links
                .iter()
                .map(|link| sys::link_misses(*backend, link.fd.as_fd()))
                .sum::<u64>();
        }
        // A missed exit leaves a session open, and a missed fork leaves a child untraced.
        let of_tasks = self.tasks.iter().map(|probe| &probe.program);
        misses.recursion += of_tasks
            .map(|program| sys::recursion_misses(program.as_fd()))
            .sum::<u64>();
        misses
    }
}

/// Converts the result of reading the ring buffer: a number of records, or a negative errno.
pub(super) fn consumed(n_records: i32) -> Result<i32> {
    if n_records < 0 {
        let error = io::Error::from_raw_os_error(-n_records);
        return Err(error).context("failed to read the ring buffer");
    }
    Ok(n_records)
}

/// A function that is not attached to yet, and the back ends that are left to try.
struct PendingFunction<'a> {
    function: &'a TracedFunction,
    backends: &'a [BackendKind],
}

/// Returns the back end to try next. Back ends that attach to functions one by one come first, and
/// then the one with fewer functions. The verifier becomes several times slower once its own
/// functions (`*bpf*`) are traced.
fn next_backend(waiting: &[PendingFunction<'_>]) -> Option<BackendKind> {
    let mut n_waiting: BTreeMap<BackendKind, usize> = BTreeMap::new();
    for backend in waiting
        .iter()
        .filter_map(|waiting| waiting.backends.first())
    {
        *n_waiting.entry(*backend).or_default() += 1;
    }
    let next = n_waiting
        .into_iter()
        .min_by_key(|(backend, n_waiting)| (!backend.is_one_by_one(), *n_waiting));
    next.map(|(backend, _)| backend)
}

fn check_entries(functions: &[TracedFunction], refused: &[Refused]) -> Result<()> {
    let is_refused = |id: HookId| refused.iter().any(|refused| refused.func == id);
    let mut entries = functions.iter().filter(|function| function.entry.is_some());
    if entries.all(|function| is_refused(function.id)) {
        let why = refused
            .first()
            .map_or("none was selected", |refused| refused.why.as_str());
        bail!("the kernel lets us attach to none of the entry functions: {why}");
    }
    Ok(())
}
