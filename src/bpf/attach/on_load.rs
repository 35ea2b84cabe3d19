// SPDX-License-Identifier: BSD-2-Clause
//! Functions of modules that are not loaded yet: kprobes by name. The kernel keeps these until the
//! module is loaded, and arms them before the module runs.
//!
//! Only probes that are created in tracefs wait like that. The kernel refuses the perf events of
//! `kprobe.rs` with `ENOENT`, and every other back end needs an address or a loaded BTF object. (To
//! attach when the module loader reports a new module would be too late: the module may run its
//! init function before we know of it.) Probes in tracefs outlive the process that created them. So
//! a child process waits for our end and removes them.

use std::collections::hash_map::RandomState;
use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use super::super::object::LoadedObject;
use super::super::rlimit::those_that_fit;
use super::super::sys::{self, Guardian};
use super::kprobe::{CallPrograms, attach_all};
use super::{AttachProgress, Backend, Links};
use crate::select::TracedFunction;

pub(super) struct OnLoadProbes;

/// Descriptors for one function, as for single kprobes: two events, and two links or programs.
const DESCRIPTORS_PER_FUNCTION: u64 = 4;

/// Number of probe groups that this process has created.
static N_GROUPS: AtomicU32 = AtomicU32::new(0);

impl Backend for OnLoadProbes {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let mut refused = Vec::new();
        let functions = those_that_fit(functions, DESCRIPTORS_PER_FUNCTION, &mut refused)?;
        let tracefs = loaded.tracefs.as_deref().context("no tracefs")?;
        remove_leftovers(tracefs);
        let probes = ProbeGroup::new(tracefs)?;
        let mut links = Links {
            guardian: Some(probes.watched(functions)?),
            refused,
            ..Links::default()
        };
        let templates = &loaded.templates;
        let entries = CallPrograms {
            opening: (c"retsnoop_on_load_opening", &templates.on_load_opening),
            inner: (c"retsnoop_on_load_inner", &templates.on_load_inner),
            returns: (c"retsnoop_kprobe_return", &templates.kprobe_return),
        };
        let open = |function: &TracedFunction, is_return| {
            let id = probes.add(function, is_return)?;
            sys::open_tracepoint(id).map_err(Into::into)
        };
        attach_all(loaded, &entries, &open, functions, &mut links, progress)?;
        Ok(links)
    }
}

/// Prefix of the names of probe groups. The process id follows.
const GROUP_PREFIX: &str = "retsnoop_";

/// Removes probes of processes that are gone, if their guardians were killed, too. Does so only in
/// the first PID namespace: in others, a living process may not be visible.
fn remove_leftovers(tracefs: &Path) {
    if !sys::is_in_first_pid_namespace() {
        return;
    }
    let path = tracefs.join("kprobe_events");
    let events = fs::read_to_string(&path).unwrap_or_default();
    let is_gone = |pid: u32| !Path::new("/proc").join(pid.to_string()).exists();
    for name in leftovers(&events, is_gone) {
        // The kernel refuses to remove a probe that is in use.
        let opened = OpenOptions::new().append(true).open(&path);
        let _ = opened.and_then(|mut events| events.write_all(format!("-:{name}\n").as_bytes()));
    }
}

/// Returns those of our probes in `kprobe_events` whose processes are gone.
fn leftovers(events: &str, is_gone: impl Fn(u32) -> bool) -> Vec<&str> {
    let names = events.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_whitespace().next()
    });
    let of_the_gone = names.filter(|name| {
        let process = name
            .strip_prefix(GROUP_PREFIX)
            .and_then(|rest| rest.split_once('_'));
        process.is_some_and(|(pid, _)| pid.parse().is_ok_and(&is_gone))
    });
    of_the_gone.collect()
}

/// Probes in tracefs, in a group of their own.
struct ProbeGroup<'a> {
    tracefs: &'a Path,
    group: String,
}

impl<'a> ProbeGroup<'a> {
    /// Chooses a unique name for the group.
    fn new(tracefs: &'a Path) -> Result<Self> {
        let number = N_GROUPS.fetch_add(1, Ordering::Relaxed);
        // If a probe of the same name existed, the kernel would add ours to it. The process id is
        // not enough, because containers that share tracefs may have the same ids.
        let random = RandomState::new().build_hasher().finish() as u32;
        let group = format!("{GROUP_PREFIX}{}_{random:08x}_{number}", sys::own_tgid());
        if tracefs.join("events").join(&group).exists() {
            bail!("tracefs has a group `{group}` already");
        }
        Ok(Self { tracefs, group })
    }

    fn events(&self) -> PathBuf {
        self.tracefs.join("kprobe_events")
    }

    /// Starts a child process that removes the probes of `functions` when it is dropped or when our
    /// process is gone.
    fn watched(&self, functions: &[&TracedFunction]) -> Result<Guardian> {
        let removals = functions
            .iter()
            .flat_map(|function| [false, true].map(|is_return| self.name(function, is_return)))
            .map(|name| format!("-:{name}\n").into_bytes());
        let path = self.events();
        // Open the file to append: opening it to overwrite would remove the probes of all users.
        let events = OpenOptions::new().append(true).open(&path);
        let events = events.with_context(|| format!("failed to open `{}`", path.display()))?;
        Guardian::start(events.into(), removals.collect())
            .context("failed to start the process that removes probes when this one is gone")
    }

    fn name(&self, function: &TracedFunction, is_return: bool) -> String {
        let kind = if is_return { 'r' } else { 'p' };
        format!("{}/{kind}{}", self.group, function.id.0)
    }

    /// Creates a probe and returns the id of its event.
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

#[cfg(test)]
mod tests {
    use super::leftovers;

    #[test]
    fn probes_of_processes_that_are_gone_are_found_and_no_others() {
        let events = "p:retsnoop_17_0_0/p5 null_blk:null_init\n\
            r8:retsnoop_17_89abcdef_0/r5 null_blk:null_init\n\
            p:retsnoop_18_89abcdef_0/p5 null_blk:null_init\n\
            p:kprobes/retsnoop_17_0 vfs_read\n\
            p:retsnoop_x_0/p5 vfs_read\n\nnonsense\n";
        let found = leftovers(events, |pid| pid == 17);
        assert_eq!(found, ["retsnoop_17_0_0/p5", "retsnoop_17_89abcdef_0/r5"]);
    }
}
