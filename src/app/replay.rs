// SPDX-License-Identifier: BSD-2-Clause
//! Replays a recorded run: the same records pass through the same stages, with recorded facts
//! instead of a kernel's.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::capture::Recording;
use crate::config::OutputFormat;
use crate::live::roles::Roles;
use crate::live::trails::RecordedTrails;
use crate::render::{Clock, RenderContext};
use crate::run::consumer::{Consumer, FactSources};
use crate::session::{AddrRole, ErrorFilter};
use crate::spec::Addr;
use crate::symbolize::{Level, LineSource, Symbolizer};

/// The result of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Number of sessions that were written.
    pub shown: u64,
    /// Number of records that could not be decoded or assembled.
    pub undecodable: u64,
}

/// Writes the output of a recorded run, without its summary.
///
/// # Errors
/// Fails if the recording contradicts itself, or if writing fails. An invalid record is not an
/// error: it is counted, as in a run.
pub fn replay(
    recording: &Recording,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<Replayed> {
    let functions = recording.functions()?;
    let kallsyms = Arc::new(recording.kallsyms()?);
    let lines = LineSource::recorded(recording.answers());
    let symbolizer = Symbolizer::new(Arc::clone(&kallsyms), Level::Inlines, Some(lines));
    let context = RenderContext {
        functions: &functions,
        sources: &recording.note_sources,
        clock: Clock {
            realtime_offset_ns: recording.realtime_offset_ns,
            utc_offset_seconds: recording.utc_offset_seconds,
        },
        width: None,
        color: false,
        verbosity: 0,
    };
    let roles = Roles::default();
    let role = |addr: Addr| roles.role(&kallsyms, addr).unwrap_or(AddrRole::Code);
    let filter = ErrorFilter::default();
    let trails = RecordedTrails::of(recording)?;
    let facts = FactSources {
        symbolizer: &symbolizer,
        role: &role,
        trails: &trails,
        traced: &trails.traced,
        workload: &|_| None,
    };
    let mut consumer = Consumer::new(&functions, context, filter, format, None, facts, out);
    for record in recording.records()? {
        consumer.record(&record);
    }
    let counts = consumer.counts();
    match consumer.take_failure() {
        Some(error) => Err(error).context("failed to write"),
        None => Ok(Replayed {
            shown: counts.shown,
            undecodable: counts.undecodable,
        }),
    }
}
