// SPDX-License-Identifier: BSD-2-Clause
//! Functions of modules that are not loaded yet: kprobes by name, which the kernel keeps until the
//! module comes, and arms before it runs.
//!
//! Only probes that are made in tracefs wait like that; those that perf makes (`kprobe.rs`) are
//! refused with `ENOENT`, as every other back end needs an address or a loaded BTF object.
//! (Attaching when the loader says that a module comes is too late: nothing keeps it from running
//! the module's start before we are told.) Probes of tracefs outlive their makers, so a child
//! process watches over us and removes them however we end.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use super::super::object::Loaded;
use super::super::rlimit::those_that_fit;
use super::super::sys::{self, Guardian};
use super::kprobe::{Entries, attach_all};
use super::{Backend, Links, Progress};
use crate::select::TracedFunction;

pub(super) struct OnLoad;

/// As single kprobes.
const DESCRIPTORS: u64 = 4;

/// Groups of this process so far.
static N_GROUPS: AtomicU32 = AtomicU32::new(0);

impl Backend for OnLoad {
    fn attach(
        &self,
        loaded: &Loaded<'_>,
        functions: &[&TracedFunction],
        progress: Progress<'_>,
    ) -> Result<Links> {
        let mut refused = Vec::new();
        let functions = those_that_fit(functions, DESCRIPTORS, &mut refused)?;
        let tracefs = loaded.tracefs.as_deref().context("no tracefs")?;
        let probes = Probes::new(tracefs);
        let mut links = Links {
            guardian: Some(probes.watched(functions)?),
            refused,
            ..Links::default()
        };
        let templates = &loaded.templates;
        let entries = Entries {
            opening: (c"on_load_opening", &templates.on_load_opening),
            inner: (c"on_load_inner", &templates.on_load_inner),
        };
        let open = |function: &TracedFunction, is_return| {
            let id = probes.add(function, is_return)?;
            sys::open_tracepoint(id).map_err(Into::into)
        };
        attach_all(loaded, &entries, &open, functions, &mut links, progress)?;
        Ok(links)
    }
}

/// Probes of tracefs, in a group of their own.
struct Probes<'a> {
    tracefs: &'a Path,
    group: String,
}

impl<'a> Probes<'a> {
    fn new(tracefs: &'a Path) -> Self {
        let number = N_GROUPS.fetch_add(1, Ordering::Relaxed);
        Self {
            tracefs,
            group: format!("retsnoop_{}_{number}", process::id()),
        }
    }

    fn events(&self) -> PathBuf {
        self.tracefs.join("kprobe_events")
    }

    /// Has all probes that are going to be added removed when we are gone.
    fn watched(&self, functions: &[&TracedFunction]) -> Result<Guardian> {
        let removals = functions
            .iter()
            .flat_map(|function| [false, true].map(|is_return| self.name(function, is_return)))
            .map(|name| format!("-:{name}\n").into_bytes());
        let path = self.events();
        // Opening it to overwrite would remove the probes of everybody.
        let events = OpenOptions::new().append(true).open(&path);
        let events = events.with_context(|| format!("failed to open `{}`", path.display()))?;
        Guardian::start(events.into(), removals.collect())
            .context("failed to start the process that removes probes when this one is gone")
    }

    fn name(&self, function: &TracedFunction, is_return: bool) -> String {
        let kind = if is_return { 'r' } else { 'p' };
        format!("{}/{kind}{}", self.group, function.id.0)
    }

    /// Adds one; returns its number.
    fn add(&self, function: &TracedFunction, is_return: bool) -> Result<u64> {
        let kind = if is_return { 'r' } else { 'p' };
        let module = function.module.as_deref().context("of no module")?;
        let name = self.name(function, is_return);
        let line = format!("{kind}:{name} {module}:{}\n", function.name);
        let mut events = OpenOptions::new().append(true).open(self.events())?;
        events.write_all(line.as_bytes())?;
        let id = self.tracefs.join("events").join(name).join("id");
        let id = fs::read_to_string(id)?;
        id.trim().parse().context("an event without a number")
    }
}
