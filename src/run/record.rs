// SPDX-License-Identifier: BSD-2-Clause
//! `--record-raw`: stores the records of a run with the facts that a replay in tests needs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::capture::{
    RecordedFate, RecordedFunction, RecordedLine, RecordedSymbol, RecordedTrail, Recording,
};
use crate::events::{self, Event};
use crate::kernel::kallsyms::Kallsyms;
use crate::live::trails::LiveTrails;
use crate::render::Clock;
use crate::select::TracedFunction;
use crate::spec::{Addr, Ip, NoteSource, NoteValue};
use crate::symbolize::Symbolizer;

/// A recording in progress. Its file is created at the start, so that an invalid path is an error
/// before anything is traced.
pub(crate) struct Recorder {
    path: PathBuf,
    file: File,
    records: Vec<Vec<u8>>,
    note_sources: Vec<NoteSource>,
}

impl Recorder {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("failed to create `{}`", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            records: Vec::new(),
            note_sources: Vec::new(),
        })
    }

    /// Sets the sources of notes.
    pub(crate) fn with_sources(mut self, sources: &[NoteSource]) -> Self {
        self.note_sources = sources.to_vec();
        self
    }

    pub(crate) fn record(&mut self, bytes: &[u8]) {
        self.records.push(bytes.to_vec());
    }

    /// Writes the records and the facts about the addresses that occur in them.
    pub(crate) fn finish(
        mut self,
        release: String,
        functions: &[TracedFunction],
        symbolizer: &Symbolizer,
        kallsyms: &Kallsyms,
        trails: &LiveTrails<'_>,
        clock: Clock,
    ) -> Result<()> {
        let mut recording = Recording::new(release);
        recording.realtime_offset_ns = clock.realtime_offset_ns;
        recording.utc_offset_seconds = clock.utc_offset_seconds;
        let mut addrs = BTreeSet::new();
        let mut called = BTreeSet::new();
        for record in &self.records {
            recording.push_record(record);
            match events::decode(record) {
                Ok(Event::Stack(stack)) => {
                    // A replay asks for return addresses (at `addr - 1`) and for exact ones.
                    addrs.extend(stack.addrs.iter().flat_map(|addr| [*addr, before(*addr)]));
                }
                Ok(Event::Session(session)) => {
                    called.extend(session.calls.iter().map(|call| call.func as usize));
                    let sites = session.calls.iter().map(|call| Addr(call.call_site));
                    addrs.extend(sites.flat_map(|addr| [addr, before(addr)]));
                }
                Ok(Event::Note(note)) => {
                    let source = self.note_sources.get(note.source as usize);
                    let values = source.map(|source| source.decode(&note.data, note.unread));
                    let noted = values.iter().flatten().flat_map(stack_of);
                    addrs.extend(noted.flat_map(|addr| [*addr, before(*addr)]));
                }
                Ok(
                    Event::Context(_)
                    | Event::Cgroup(_)
                    | Event::Syscall(_)
                    | Event::Arguments(_)
                    | Event::Output(_)
                    | Event::Exit(_),
                )
                | Err(_) => {}
            }
        }
        let called: Vec<&TracedFunction> = called
            .into_iter()
            .filter_map(|func| functions.get(func))
            .collect();
        let of_kernel = called.iter().filter(|function| !function.hook.is_of_user());
        addrs.extend(of_kernel.map(|function| function.addr()));
        recording.functions = called
            .iter()
            .map(|function| RecordedFunction::of(function))
            .collect();
        recording.note_sources = self.note_sources;
        recording.symbols = symbols(kallsyms, &addrs);
        recording.lines = lines(symbolizer, &addrs);
        let asked = trails.trails.asked();
        recording.trails = asked
            .iter()
            .map(|(addr, facts)| RecordedTrail::of(*addr, facts, |addr| trails.traced.since(addr)))
            .collect();
        recording.fates = trails.flows.asked().iter().map(RecordedFate::of).collect();
        self.file
            .write_all(recording.to_json()?.as_bytes())
            .with_context(|| format!("failed to write `{}`", self.path.display()))
    }
}

/// The stack in a note, which tells who asked for a permission.
fn stack_of(value: &NoteValue) -> &[Addr] {
    match value {
        NoteValue::Stack(addrs) => addrs,
        _ => &[],
    }
}

fn before(addr: Addr) -> Addr {
    Addr(addr.0.wrapping_sub(1))
}

/// Returns the symbol of each address, and the symbol that follows it: a symbol ends where the next
/// one starts.
fn symbols(kallsyms: &Kallsyms, addrs: &BTreeSet<Addr>) -> Vec<RecordedSymbol> {
    let mut symbols: Vec<RecordedSymbol> = Vec::new();
    let mut add = |addr: u64, name: &str, module: Option<&str>| {
        symbols.push(RecordedSymbol {
            addr,
            name: name.to_owned(),
            module: module.map(str::to_owned),
        });
    };
    for addr in addrs {
        if let Some((symbol, _)) = kallsyms.resolve(*addr) {
            add(symbol.addr.0, symbol.name, symbol.module);
            if let Some((next, _)) = kallsyms.resolve(Addr(symbol.addr.0 + symbol.size)) {
                add(next.addr.0, next.name, next.module);
            }
        }
    }
    symbols.sort_by(|left, right| (left.addr, &left.name).cmp(&(right.addr, &right.name)));
    symbols.dedup();
    symbols
}

fn lines(symbolizer: &Symbolizer, addrs: &BTreeSet<Addr>) -> Vec<RecordedLine> {
    addrs
        .iter()
        .map(|addr| (*addr, symbolizer.frame(Ip::exact(*addr))))
        .filter(|(_, frame)| frame.source.is_some())
        .map(|(addr, frame)| RecordedLine::of(addr, frame.source.as_ref(), &frame.inlined))
        .collect()
}
