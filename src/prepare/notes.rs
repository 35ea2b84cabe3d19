// SPDX-License-Identifier: BSD-2-Clause
//! What is noted in sessions besides calls: the tracepoints that the user names, and refusals.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::messages::Speakers;
use super::{messages, refusals};
use crate::bpf::{MAX_EVENT_BYTES, NoteProbe, lsm_programs};
use crate::config::GlobUse;
use crate::failure::Failure;
use crate::kernel::btf::{Btf, NameSet, TrampolineRules};
use crate::kernel::facts::KernelFiles;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::trace_event::{parse_format, record_size};
use crate::knowledge::messages::{LOG_EVENT, NETLINK_EVENT};
use crate::knowledge::refusals::{BPF_LSM, REFUSAL_EVENTS};
use crate::select::TracedFunction;
use crate::spec::{
    Addr, EventGlob, FieldFormat, NoteField, NoteKind, NoteSource, TracedProbe, UsdtArgument,
    nearest,
};

/// The sources of notes of a run. Both lists are parallel, but for USDT probes, which are the last
/// sources and are attached to as functions are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NotePlan {
    pub(crate) sources: Vec<NoteSource>,
    pub(crate) probes: Vec<NoteProbe>,
}

/// Tracepoints that a run notes at most. Each has a program of its own.
const MAX_TRACEPOINTS: usize = 128;

impl NotePlan {
    /// Adds a source for each USDT probe. `functions` are indexed by the ids of their hooks.
    pub(crate) fn add_usdt(&mut self, probes: &mut [TracedProbe], functions: &[TracedFunction]) {
        for probe in probes {
            probe.source = self.sources.len() as u32;
            let function = functions.get(probe.id.index());
            // The types of the arguments are the same at all sites.
            let arguments = probe.sites.first().map(|site| &*site.site.arguments);
            let fields = (0..).zip(arguments.unwrap_or_default());
            self.sources.push(NoteSource {
                name: function.map_or_else(String::new, |function| function.name.clone()),
                kind: NoteKind::Usdt,
                fields: fields.map(argument_field).collect(),
            });
        }
    }

    /// Finds the addresses of the functions, so that one link can attach to all of them. BPF programs
    /// of LSM hooks are attached to by trampolines, and so is ours. `entries` are left out, too: newer
    /// kernels run the program of a trampoline first, which ends the session of an entry function.
    pub(crate) fn locate<'a>(
        &mut self,
        kallsyms: &Kallsyms,
        entries: impl Iterator<Item = &'a TracedFunction>,
    ) {
        let entries: HashSet<&str> = entries.map(|entry| &*entry.name).collect();
        let sources = self.sources.iter().zip(&mut self.probes);
        let wanted = sources.filter_map(|(source, probe)| Some((&*source.name, probe.addr_mut()?)));
        let wanted =
            wanted.filter(|(name, _)| !name.starts_with(BPF_LSM) && !entries.contains(name));
        let wanted: Vec<(&str, &mut Option<Addr>)> = wanted.collect();
        if wanted.is_empty() {
            return;
        }
        let names: NameSet<'_> = wanted.iter().map(|(name, _)| *name).collect();
        let mut found: HashMap<&str, Option<Addr>> = HashMap::new();
        for (index, name) in kallsyms.function_names() {
            if names.may_contain(name.as_bytes()) && names.contains(name) {
                // Which one of several is meant is not known.
                let unique = found.entry(name).and_modify(|addr| *addr = None);
                unique.or_insert_with(|| Some(kallsyms.symbol(index).addr));
            }
        }
        for (name, addr) in wanted {
            *addr = found.get(name).copied().flatten();
        }
    }

    /// Moves all addresses by `distance`, modulo 2^64.
    pub(crate) fn moved(mut self, distance: u64) -> Self {
        for addr in self.probes.iter_mut().filter_map(NoteProbe::addr_mut) {
            *addr = addr.map(|addr| Addr(addr.0.wrapping_add(distance)));
        }
        self
    }

    /// Looks up the numbers of events again, which another boot of the same kernel may have changed.
    /// An event that is gone is left out.
    pub(crate) fn renumbered(self, files: &KernelFiles) -> Self {
        let mut plan = Self::default();
        for (source, probe) in self.sources.into_iter().zip(self.probes) {
            if !matches!(probe, NoteProbe::Tracepoint { .. }) {
                plan.add(source, probe);
            } else if let Some((category, name)) = source.name.split_once(':')
                && let Ok((found, probe)) = tracepoint(category, name, files)
            {
                let kind = source.kind;
                plan.add(NoteSource { kind, ..found }, probe);
            }
        }
        plan
    }

    /// Adds the places where the kernel may say something in words while these functions run.
    pub(crate) fn add_messages<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a TracedFunction>,
        btf: &Btf,
        rules: TrampolineRules,
        files: &KernelFiles,
    ) {
        let speakers = Speakers::of_entries(entries.map(|entry| &*entry.name));
        let netlink = speakers.netlink.then_some(NETLINK_EVENT);
        let mut has_extack = false;
        for (category, name) in [Some(LOG_EVENT), netlink].into_iter().flatten() {
            // 5.10 does not have all of them.
            if let Ok((source, probe)) = tracepoint(category, name, files) {
                let kind = NoteKind::Message;
                has_extack |= netlink == Some((category, name));
                self.add(NoteSource { kind, ..source }, probe);
            }
        }
        for (source, probe) in messages::functions(speakers, btf, rules, has_extack) {
            self.add(source, probe);
        }
    }

    fn add(&mut self, source: NoteSource, probe: NoteProbe) {
        let is_known =
            |known: &NoteSource| (known.kind, &known.name) == (source.kind, &source.name);
        if !self.sources.iter().any(is_known) {
            self.sources.push(source);
            self.probes.push(probe);
        }
    }
}

/// Size of an argument in a note, in bytes. The programs extend it.
const ARGUMENT_SIZE: u32 = 8;

fn argument_field((index, argument): (u32, &UsdtArgument)) -> NoteField {
    NoteField {
        name: format!("arg{}", index + 1),
        offset: ARGUMENT_SIZE * index,
        size: ARGUMENT_SIZE,
        format: if argument.is_signed {
            FieldFormat::Signed
        } else {
            FieldFormat::Unsigned
        },
    }
}

/// Finds the tracepoints that the globs name, and what is noted of refusals if trampolines of these
/// rules may be used for it.
///
/// # Errors
/// If a glob matches none, if there are too many, or if tracefs cannot be read.
pub(crate) fn plan(
    globs: &[GlobUse],
    refusals: Option<TrampolineRules>,
    btf: &Btf,
    files: &KernelFiles,
) -> Result<NotePlan> {
    let mut plan = NotePlan::default();
    if let Some(rules) = refusals {
        for (source, probe) in refusals::refusals(btf, rules) {
            plan.add(source, probe);
        }
        for (source, probe) in refusals::lsm_hooks(&lsm_programs(), btf, rules) {
            plan.add(source, probe);
        }
        for (category, name) in REFUSAL_EVENTS {
            // Few kernels have all of them.
            if let Ok((source, probe)) = tracepoint(category, name, files) {
                let kind = NoteKind::Refusal;
                plan.add(NoteSource { kind, ..source }, probe);
            }
        }
    }
    for glob in globs {
        match glob.event() {
            Some(EventGlob::Tracepoint { category, name }) => {
                let events = events(files)?;
                let matches = |event: &&(String, String)| {
                    category.matches(&event.0) && name.matches(&event.1)
                };
                let found: Vec<&(String, String)> = events.iter().filter(matches).collect();
                if found.is_empty() {
                    let all = events
                        .iter()
                        .map(|(category, name)| format!("{category}:{name}"));
                    let wanted = format!("{}:{}", category.text(), name.text());
                    return Err(no_match(glob, &wanted, &all.collect::<Vec<_>>(), "tp:"));
                }
                check_number(glob, plan.sources.len() + found.len())?;
                for (category, name) in found {
                    let (source, probe) = tracepoint(category, name, files)?;
                    plan.add(source, probe);
                }
            }
            Some(EventGlob::RawTracepoint(name)) => {
                let found: Vec<&str> = btf
                    .raw_tracepoints()
                    .filter(|tracepoint| name.matches(tracepoint))
                    .collect();
                if found.is_empty() {
                    let all: Vec<String> = btf.raw_tracepoints().map(str::to_owned).collect();
                    return Err(no_match(glob, name.text(), &all, "rawtp:"));
                }
                check_number(glob, plan.sources.len() + found.len())?;
                for name in found {
                    if let Some((source, probe)) = raw_tracepoint(name, btf) {
                        plan.add(source, probe);
                    }
                }
            }
            None => {}
        }
    }
    Ok(plan)
}

/// Reads the list of events: category and name.
fn events(files: &KernelFiles) -> Result<Vec<(String, String)>> {
    let text = files.trace_events().map_err(|error| {
        let hint = "mount it: `mount -t tracefs tracefs /sys/kernel/tracing`";
        Failure::hinted(format!("{error:#}"), hint)
    })?;
    let split = |line: &str| {
        let (category, name) = line.split_once(':')?;
        Some((category.to_owned(), name.to_owned()))
    };
    Ok(text.lines().filter_map(split).collect())
}

/// The category of the events of system calls. The kernel gives programs a record without the texts
/// that the format of newer kernels has (`perf_call_bpf_enter()` in `kernel/trace/trace_syscalls.c`).
const SYSTEM_CALLS: &str = "syscalls";

/// Fails if the event is gone, or if its number or format cannot be read.
fn tracepoint(category: &str, name: &str, files: &KernelFiles) -> Result<(NoteSource, NoteProbe)> {
    let read = files.trace_event(category, name);
    let (event, format) =
        read.with_context(|| format!("failed to read the format of `tp:{category}:{name}`"))?;
    let mut fields = parse_format(&format);
    if category == SYSTEM_CALLS {
        fields.retain(|field| !field.is_elsewhere());
    }
    let probe = NoteProbe::Tracepoint {
        event,
        size: record_size(&fields, MAX_EVENT_BYTES),
    };
    let source = NoteSource {
        name: format!("{category}:{name}"),
        kind: NoteKind::Tracepoint,
        fields,
    };
    Ok((source, probe))
}

fn raw_tracepoint(name: &str, btf: &Btf) -> Option<(NoteSource, NoteProbe)> {
    let fields = btf.raw_tracepoint(name)?;
    let probe = NoteProbe::RawTracepoint {
        name: name.to_owned(),
        n_args: fields.len() as u32,
    };
    let source = NoteSource {
        name: name.to_owned(),
        kind: NoteKind::RawTracepoint,
        fields,
    };
    Some((source, probe))
}

fn check_number(glob: &GlobUse, n_tracepoints: usize) -> Result<()> {
    if n_tracepoints <= MAX_TRACEPOINTS {
        return Ok(());
    }
    Err(Failure::hinted(
        format!("{glob} matches too many tracepoints: at most {MAX_TRACEPOINTS} can be noted"),
        "narrow the glob, or give several",
    ))
}

fn no_match(glob: &GlobUse, wanted: &str, all: &[String], prefix: &str) -> anyhow::Error {
    let similar: Vec<String> = nearest(wanted, all.iter().map(String::as_str), 3)
        .into_iter()
        .map(|name| format!("`{prefix}{name}`"))
        .collect();
    let message = format!("{glob} matches no tracepoint of this kernel");
    if similar.is_empty() {
        Failure::hinted(message, "`available_events` in tracefs lists all events")
    } else {
        Failure::hinted(message, format!("similar ones are {}", similar.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{NotePlan, plan};
    use crate::bpf::NoteProbe;
    use crate::config::{GlobOrigin, GlobUse};
    use crate::kernel::btf::Btf;
    use crate::kernel::btf::builder::Builder;
    use crate::kernel::facts::KernelFiles;

    const FORMAT: &str = "\tfield:int code;\toffset:8;\tsize:4;\tsigned:1;\n\
        \tfield:__data_loc char[] text;\toffset:12;\tsize:4;\tsigned:0;\n";

    fn event(root: &Path, name: &str, number: u32) {
        let directory = root.join("sys/kernel/tracing/events").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("id"), format!("{number}\n")).unwrap();
        fs::write(directory.join("format"), FORMAT).unwrap();
    }

    fn planned(root: &Path, glob: &str) -> Result<NotePlan, String> {
        let events = "a:one\na:two\nsyscalls:sys_enter_open\n";
        fs::write(root.join("sys/kernel/tracing/available_events"), events).unwrap();
        let glob = GlobUse::new(glob.parse().unwrap(), GlobOrigin::Option);
        let btf = Btf::parse(Builder::kernel().build(), None).unwrap();
        let found = plan(&[glob], None, &btf, &KernelFiles::below(root));
        found.map_err(|error| format!("{error:#}"))
    }

    fn numbers(plan: &NotePlan) -> Vec<u64> {
        let number = |probe: &NoteProbe| match probe {
            NoteProbe::Tracepoint { event, .. } => *event,
            other => panic!("{other:?}"),
        };
        plan.probes.iter().map(number).collect()
    }

    #[test]
    fn events_are_found_and_their_numbers_are_looked_up_again() {
        let root = tempfile::tempdir().unwrap();
        event(root.path(), "a/one", 7);
        event(root.path(), "a/two", 8);
        let plan = planned(root.path(), "tp:a:*").unwrap();
        assert_eq!(numbers(&plan), [7, 8]);
        // After another boot one has another number, and the other one is gone.
        event(root.path(), "a/one", 9);
        fs::remove_dir_all(root.path().join("sys/kernel/tracing/events/a/two")).unwrap();
        let plan = plan.renumbered(&KernelFiles::below(root.path()));
        assert_eq!(numbers(&plan), [9]);
        assert_eq!((plan.sources.len(), &*plan.sources[0].name), (1, "a:one"));
    }

    #[test]
    fn an_event_that_cannot_be_read_is_an_error_if_it_was_asked_for() {
        let root = tempfile::tempdir().unwrap();
        event(root.path(), "a/one", 7);
        let why = planned(root.path(), "tp:a:t*").unwrap_err();
        assert!(why.contains("the format of `tp:a:two`"), "{why}");
        let why = planned(root.path(), "tp:a:three").unwrap_err();
        assert!(why.contains("matches no tracepoint"), "{why}");
    }

    #[test]
    fn records_of_system_calls_have_no_texts() {
        let root = tempfile::tempdir().unwrap();
        event(root.path(), "syscalls/sys_enter_open", 7);
        let plan = planned(root.path(), "tp:syscalls:*").unwrap();
        let names: Vec<&str> = plan.sources[0].fields.iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["code"]);
    }
}
