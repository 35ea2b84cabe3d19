// SPDX-License-Identifier: BSD-2-Clause
//! A running trace: attached links, the ring buffer, the counters. Dropping it detaches all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use libbpf_rs::{OpenObject, RingBufferBuilder};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::attach::{Links, Progress, Refused, implementation};
use super::detach::STALLED_AFTER;
use super::kernel_stats::{KernelStats, Misses};
use super::object::{self, Loaded};
use super::refusal::is_forbidden;
use super::scope;
use super::settings::{ScopeEntry, ScopeSettings, Settings};
use super::sys;
use super::tasks::TaskProbe;
use crate::select::{Assigned, TracedFunction};
use crate::spec::{BackendKind, FuncId};

/// How often the programs are told that somebody reads.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// After a few records we pause, so that the next ones come together: to be woken for each session
/// costs its task as much as the stack, where both have one processor. After many we do not.
const FEW_RECORDS: i32 = 64;
const PAUSE: Duration = Duration::from_millis(1);

/// After so many records the sink is asked, though there may be more: where they come faster than
/// they are read there is no end of them.
pub(super) const AT_ONCE: usize = 1024;

/// Where the BPF object lives: a local of whoever runs the trace, so that nothing has to be
/// leaked or to refer to itself.
pub struct ObjectStorage(MaybeUninit<OpenObject>);

/// A loaded and, after [`Tracer::attach`], attached set of programs.
pub struct Tracer<'obj> {
    pub(super) loaded: Loaded<'obj>,
    pub(super) links: Vec<(BackendKind, Links)>,
    /// What looks after tasks: their sessions end with them, their children are in scope.
    pub(super) tasks: Vec<TaskProbe>,
    pub(super) watches_cgroups: bool,
    pub(super) scope: ScopeSettings,
    /// What links had missed that are closed by now.
    pub(super) missed_by_closed: u64,
}

/// Takes the records of a run.
pub trait Sink {
    /// One record of the ring buffer.
    fn record(&mut self, bytes: &[u8]);

    /// No more records are there just now: what is held back is to be written.
    fn deliver(&mut self);

    /// How long to wait for the next ones; `None` ends the reading.
    ///
    /// # Errors
    /// What ends the reading, and the run.
    fn wait(&mut self, tracer: &Tracer<'_>) -> Result<Option<Duration>>;
}

/// What attaching came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// How many functions are traced since.
    pub n_functions: usize,
    /// Functions that the kernel refused at every back end that could take them.
    pub refused: Vec<Refused>,
    /// Functions that a back end refused and another took.
    pub moved: Vec<Moved>,
}

/// A function that a back end refused and another took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The function, and why it was refused.
    pub refused: Refused,
    /// By whom.
    pub from: BackendKind,
    /// Who was asked next.
    pub to: BackendKind,
}

impl Attached {
    /// Whether the kernel refused this function.
    #[must_use]
    pub fn has_refused(&self, func: FuncId) -> bool {
        self.refused.iter().any(|refused| refused.func == func)
    }
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
            .field("n_back_ends", &self.links.len())
            .finish_non_exhaustive()
    }
}

impl<'obj> Tracer<'obj> {
    /// Makes the maps.
    ///
    /// # Errors
    /// When the kernel refuses the maps or programs (permission, lockdown, verifier).
    pub fn load(storage: &'obj mut ObjectStorage, settings: &Settings) -> Result<Self> {
        let loaded = object::load(&mut storage.0, settings)?;
        Ok(Self {
            loaded,
            links: Vec::new(),
            tasks: Vec::new(),
            watches_cgroups: false,
            scope: settings.scope.clone(),
            missed_by_closed: 0,
        })
    }

    /// Attaches to all functions that the kernel lets us, each by the first of its back ends that
    /// takes it; `assigned` is parallel to `functions`. May be called again, for more of them.
    ///
    /// # Errors
    /// When nothing could be attached, or no entry function, or when `progress` says to stop.
    pub fn attach(
        &mut self,
        functions: &[TracedFunction],
        assigned: &[Assigned],
        progress: Progress<'_>,
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
        let mut waiting: Vec<Waiting<'_>> = functions
            .iter()
            .zip(assigned)
            .map(|(function, assigned)| Waiting {
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
                // What is forbidden is forbidden in every way.
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
                        waiting.push(Waiting { function, backends });
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

    /// How many functions are traced.
    #[must_use]
    pub fn n_functions(&self) -> usize {
        self.links.iter().map(|(_, links)| links.n_attached).sum()
    }

    /// How many of them were attached to one by one, and will be detached from so.
    #[must_use]
    pub fn n_one_by_one(&self) -> usize {
        let one_by_one = self
            .links
            .iter()
            .filter(|(backend, _)| backend.is_one_by_one());
        one_by_one.map(|(_, links)| links.n_attached).sum()
    }

    /// Adds a rule to the scope, also while tracing; counts those that find no room.
    pub fn add_to_scope(&mut self, entry: ScopeEntry) {
        let added = scope::add(&mut self.loaded.skel, entry);
        self.loaded.left_out += u64::from(added.is_err());
    }

    /// How many descendants or cgroups did not fit into the scope.
    #[must_use]
    pub fn left_out_of_scope(&self) -> u64 {
        let bss = self.loaded.skel.maps.bss_data.as_deref();
        self.loaded.left_out + bss.map_or(0, |bss| bss.scope_full)
    }

    /// How many new cgroups were not reported, because the ring buffer was full, that may matter
    /// to the scope.
    #[must_use]
    pub fn unreported_cgroups(&self) -> u64 {
        let bss = self.loaded.skel.maps.bss_data.as_deref();
        bss.map_or(0, |bss| bss.cgroups_unreported)
    }

    /// Hands records to `sink` until it has enough; it is asked at once when one of `wakers`
    /// becomes readable.
    ///
    /// # Errors
    /// When the ring buffer cannot be read; those of the sink.
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
        let mut told: Option<Instant> = None;
        loop {
            // Two statements, or the borrow would last through the poll.
            let wait = sink.borrow_mut().wait(self)?;
            let Some(timeout) = wait else { return Ok(()) };
            // Not for every record: the kernel runs no kprobe programs on a CPU where a task is
            // about to update a map, not even for others that take its turn.
            if told.is_none_or(|at| at.elapsed() >= SIGN_OF_LIFE) {
                self.keep_alive(STALLED_AFTER)?;
                told = Some(Instant::now());
            }
            // Rounded up, or the last millisecond would be waited for without end.
            let timeout = PollTimeout::try_from(timeout.as_micros().div_ceil(1000));
            match poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("failed to wait for records"),
            }
            let n_records = consumed(ring.consume_raw_n(AT_ONCE))?;
            if (1..FEW_RECORDS).contains(&n_records) {
                thread::sleep(PAUSE);
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

    /// Before functions are added to a running trace: the guard is up when their programs run.
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

    /// Never taken down again: a program that has entered would not leave it.
    fn raise_guard(&mut self) -> Result<()> {
        let bss = self.loaded.skel.maps.bss_data.as_deref_mut();
        bss.context("no .bss")?.guarded = 1;
        Ok(())
    }

    /// Whether our programs can run inside of one another. Programs of kprobes never run inside of
    /// each other, and a program of trampolines never inside of itself: but inside of any other.
    fn needs_guard(&self) -> bool {
        let n_programs: usize = self.used().map(|(_, links)| links.programs.len()).sum();
        let of_trampolines = self.used().any(|(backend, _)| !backend.is_of_kprobes());
        of_trampolines && n_programs > 1
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
        }
    }

    /// Calls and returns for which the kernel did not run our programs so far.
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
        // An end that is not told of leaves a session open, a start leaves a child untraced.
        let of_tasks = self.tasks.iter().map(|probe| &probe.program);
        misses.recursion += of_tasks
            .map(|program| sys::recursion_misses(program.as_fd()))
            .sum::<u64>();
        misses
    }
}

/// What reading the ring buffer came to: a number of records, or an error of the kernel's.
pub(super) fn consumed(n_records: i32) -> Result<i32> {
    if n_records < 0 {
        let error = io::Error::from_raw_os_error(-n_records);
        return Err(error).context("failed to read the ring buffer");
    }
    Ok(n_records)
}

/// A function that is not attached to yet, and the back ends that are left to try.
struct Waiting<'a> {
    function: &'a TracedFunction,
    backends: &'a [BackendKind],
}

/// The back end that is asked next: those for one by one before those for all at once, and of these
/// the one with fewer functions. The verifier takes several times as long once its own functions
/// (`*bpf*`) are traced.
fn next_backend(waiting: &[Waiting<'_>]) -> Option<BackendKind> {
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
    let is_refused = |id: FuncId| refused.iter().any(|refused| refused.func == id);
    let mut entries = functions.iter().filter(|function| function.entry.is_some());
    if entries.all(|function| is_refused(function.id)) {
        let why = refused
            .first()
            .map_or("none was selected", |refused| refused.why.as_str());
        bail!("the kernel lets us attach to none of the entry functions: {why}");
    }
    Ok(())
}
