// SPDX-License-Identifier: BSD-2-Clause
//! What is noted in sessions besides calls: the tracepoints that the user names, and refusals.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::refusals;
use crate::bpf::{MAX_EVENT_BYTES, NoteProbe};
use crate::config::GlobUse;
use crate::failure::Failure;
use crate::kernel::btf::{Btf, TrampolineRules};
use crate::kernel::facts::KernelFiles;
use crate::kernel::trace_event::{parse_format, record_size};
use crate::knowledge::refusals::REFUSAL_EVENTS;
use crate::select::TracedFunction;
use crate::spec::{
    EventGlob, FieldFormat, NoteField, NoteKind, NoteSource, TracedProbe, UsdtArgument, nearest,
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

    fn add(&mut self, source: NoteSource, probe: NoteProbe) {
        if !self.sources.iter().any(|known| known.name == source.name) {
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
        for (category, name) in REFUSAL_EVENTS {
            if let Some((source, probe)) = tracepoint(category, name, files) {
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
                    if let Some((source, probe)) = tracepoint(category, name, files) {
                        plan.add(source, probe);
                    }
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

/// Returns `None` if the event is gone, or has no format.
fn tracepoint(category: &str, name: &str, files: &KernelFiles) -> Option<(NoteSource, NoteProbe)> {
    let (event, format) = files.trace_event(category, name)?;
    let fields = parse_format(&format);
    let probe = NoteProbe::Tracepoint {
        event,
        size: record_size(&fields, MAX_EVENT_BYTES),
    };
    let source = NoteSource {
        name: format!("{category}:{name}"),
        kind: NoteKind::Tracepoint,
        fields,
    };
    Some((source, probe))
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
