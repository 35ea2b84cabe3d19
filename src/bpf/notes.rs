// SPDX-License-Identifier: BSD-2-Clause
//! Attaches the programs that add notes to sessions.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::attach::result_class;
use super::body::Body;
use super::note_probes::{
    Fact, FactBase, FactCondition, FactEnd, FactValue, MAX_FACT_HOPS, MAX_FACT_VALUES, NoteProbe,
};
use super::object::LoadedObject;
use super::patch::{Copy, Single, for_single};
use super::program;
use super::skel::types;
use super::sys::{self, ProgramKind, TRACE_FEXIT};
use super::tracer::Tracer;

/// `FACT_TASK` of `note_programs.bpf.h`.
const FACT_TASK: u32 = 0xffff;

/// A program that adds notes, and what attaches it. Closing `links` detaches it.
#[derive(Debug)]
pub(super) struct NoteLink {
    links: Vec<OwnedFd>,
    program: OwnedFd,
}

/// What the kernel refused of the places whose passing is noted.
#[derive(Debug, Default)]
pub struct AttachedNotes {
    /// The index of each probe that is not noted, and why.
    pub failed: Vec<(usize, String)>,
    /// Why each function got programs of its own, though the kernel lets functions share them.
    pub one_by_one: Option<String>,
}

impl Tracer<'_> {
    /// Attaches to the places whose passing is noted. The index of a probe is its source. Returns
    /// what the kernel refused.
    ///
    /// # Errors
    /// If the programs cannot be told what to read.
    pub fn attach_notes(&mut self, probes: &[NoteProbe]) -> Result<AttachedNotes> {
        for (source, probe) in probes.iter().enumerate() {
            if let Some(fact) = probe.fact() {
                self.store_fact(source, fact)?;
            }
        }
        let mut attached = AttachedNotes::default();
        let noted = match self.loaded.attach_shared_notes(probes) {
            Ok((links, noted)) => {
                self.notes.extend(links);
                noted
            }
            Err(error) => {
                attached.one_by_one = Some(format!("{error:#}"));
                HashSet::new()
            }
        };
        for (source, probe) in probes.iter().enumerate() {
            if noted.contains(&source) {
                continue;
            }
            match self.loaded.attach_note(source as u32, probe) {
                Ok(link) => self.notes.push(link),
                Err(error) => attached.failed.push((source, format!("{error:#}"))),
            }
        }
        if !self.notes.is_empty() {
            // These programs run inside helpers that the others call, and the others inside theirs.
            self.raise_guard()?;
        }
        Ok(attached)
    }

    /// Stores what the program of a source reads.
    fn store_fact(&self, source: usize, fact: &Fact) -> Result<()> {
        self.loaded
            .skel
            .maps
            .facts
            .update(
                &(source as u32).to_ne_bytes(),
                &fact.to_bytes(),
                MapFlags::ANY,
            )
            .context("failed to store what is read of a refusal")
    }
}

impl LoadedObject<'_> {
    fn attach_note(&self, source: u32, probe: &NoteProbe) -> Result<NoteLink> {
        match probe {
            NoteProbe::Tracepoint { event, size } => {
                let template = &self.templates.note_event;
                let body = self.note_body(template, source, size / 8);
                let program = load(c"retsnoop_note_event", &body, ProgramKind::Tracepoint)?;
                let event = sys::open_tracepoint(*event)
                    .context("failed to open the event of the tracepoint")?;
                sys::run_at_event(program.as_fd(), event.as_fd(), None)
                    .context("failed to attach to the event of the tracepoint")?;
                Ok(NoteLink::new(vec![event], program))
            }
            NoteProbe::RawTracepoint { name, n_args } => {
                let template = &self.templates.note_arguments;
                let body = self.note_body(template, source, *n_args);
                let program = load(c"retsnoop_note_raw", &body, ProgramKind::RawTracepoint)?;
                let link =
                    sys::attach_raw_tracepoint(&CString::new(name.as_str())?, program.as_fd())
                        .context("failed to attach to the raw tracepoint")?;
                Ok(NoteLink::new(vec![link], program))
            }
            NoteProbe::Return {
                btf_id, arg_slots, ..
            } => {
                let template = &self.templates.note_return;
                let body = self.note_body(template, source, u32::from(*arg_slots));
                let kind = ProgramKind::Trampoline {
                    attach_type: TRACE_FEXIT,
                    btf_id: *btf_id,
                    module_btf: None,
                };
                let program = load(c"retsnoop_note_return", &body, kind)?;
                let link = sys::attach_tracing(program.as_fd())
                    .context("failed to attach to the return of the function")?;
                Ok(NoteLink::new(vec![link], program))
            }
            NoteProbe::Call { name, .. } => {
                let body = self.note_body(&self.templates.note_call, source, 0);
                let program = load(c"retsnoop_note_call", &body, ProgramKind::Kprobe(0))?;
                let pmu = self.copier.layout.kprobe_pmu;
                let pmu = pmu.context("the kernel has no PMU for kprobes")?;
                let event = sys::open_kprobe_at(pmu, &CString::new(name.as_str())?)
                    .context("failed to open a kprobe")?;
                sys::run_at_event(program.as_fd(), event.as_fd(), None)
                    .context("failed to attach to a kprobe")?;
                Ok(NoteLink::new(vec![event], program))
            }
        }
    }

    /// Returns the program of a source. The number of its fact is the same.
    fn note_body(&self, template: &Body, source: u32, arg_slots: u32) -> Body {
        let copy = self.copier.copy(template, Copy::default());
        let single = Single {
            tag: u64::from(source) | u64::from(source) << 32,
            arg_slots: arg_slots as u8,
        };
        for_single(&copy, single)
    }
}

impl NoteLink {
    pub(super) fn new(links: Vec<OwnedFd>, program: OwnedFd) -> Self {
        Self { links, program }
    }

    /// Returns the descriptors, in the order in which they are to be closed.
    pub(super) fn into_fds(self) -> Vec<OwnedFd> {
        let mut fds = self.links;
        fds.push(self.program);
        fds
    }
}

fn load(name: &CStr, body: &Body, kind: ProgramKind<'_>) -> Result<OwnedFd> {
    program::load(name, body, kind)
}

impl NoteProbe {
    fn fact(&self) -> Option<&Fact> {
        match self {
            Self::Return { fact, .. } | Self::Call { fact, .. } => Some(fact),
            Self::Tracepoint { .. } | Self::RawTracepoint { .. } => None,
        }
    }
}

impl Fact {
    /// Returns the `struct fact` of `note_programs.bpf.h`.
    fn to_bytes(&self) -> Vec<u8> {
        let (condition, class) = match self.condition {
            FactCondition::Always => (0, 0),
            FactCondition::OnFailure(result) => (1, result_class(result)),
            FactCondition::IfTrue => (2, 0),
            FactCondition::IfGiven => (3, 0),
        };
        let n_values = self.values.len().min(MAX_FACT_VALUES);
        let has_stack = u32::from(self.has_stack);
        let mut words = vec![
            n_values as u32,
            condition,
            u32::from(class),
            self.len,
            has_stack,
            0,
        ];
        for value in self.values.iter().take(MAX_FACT_VALUES) {
            value.push_words(&mut words);
        }
        words.resize(size_of::<types::fact>() / 4, 0);
        words.into_iter().flat_map(u32::to_ne_bytes).collect()
    }
}

impl FactValue {
    /// Appends the `struct fact_value`.
    fn push_words(&self, words: &mut Vec<u32>) {
        let mut hops = [0; MAX_FACT_HOPS];
        for (place, hop) in hops.iter_mut().zip(&self.hops) {
            *place = *hop as u32;
        }
        let (kind, add) = match self.end {
            FactEnd::Number => (0, 0),
            FactEnd::Text(add) => (1, add),
            FactEnd::LongText(add) => (2, add),
            FactEnd::FcLog { head, buffer } => {
                hops[0] = head as u32;
                (3, buffer)
            }
        };
        let base = match self.base {
            FactBase::Context(offset) => offset,
            FactBase::Task => FACT_TASK,
        };
        let n_hops = self.hops.len().min(MAX_FACT_HOPS);
        words.extend([base, kind, self.at, n_hops as u32]);
        words.extend(hops);
        words.extend([add as u32, 0]);
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::types;
    use crate::bpf::headers::value_of;
    use crate::bpf::note_probes::{
        FACT_TEXT, Fact, FactBase, FactCondition, FactEnd, FactValue, LONG_TEXT, MAX_FACT_HOPS,
        MAX_FACT_VALUES, NOTE_STACK,
    };
    use crate::bpf::wire::NOTE_BYTES;
    use crate::spec::ResultType;

    #[test]
    fn a_fact_has_the_layout_that_the_programs_read() {
        assert_eq!(value_of("MAX_FACT_VALUES"), MAX_FACT_VALUES as u64);
        assert_eq!(value_of("MAX_FACT_HOPS"), MAX_FACT_HOPS as u64);
        assert_eq!(value_of("FACT_TEXT"), u64::from(FACT_TEXT));
        assert_eq!(value_of("NOTE_STACK"), u64::from(NOTE_STACK));
        assert_eq!(value_of("NOTE_BYTES"), u64::from(NOTE_BYTES));
        assert_eq!(value_of("NOTE_BYTES"), u64::from(LONG_TEXT));
        let value = |base| FactValue {
            base,
            hops: vec![16, -8],
            end: FactEnd::Text(32),
            at: 64,
        };
        let fact = Fact {
            condition: FactCondition::OnFailure(ResultType::Signed(4)),
            values: vec![value(FactBase::Context(8)), value(FactBase::Task)],
            len: 128,
            has_stack: true,
        };
        let bytes = fact.to_bytes();
        assert_eq!(bytes.len(), size_of::<types::fact>());
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(offset_of!(types::fact, n_values)), 2);
        assert_eq!(word(offset_of!(types::fact, condition)), 1);
        assert_eq!(word(offset_of!(types::fact, class)), 4);
        assert_eq!(word(offset_of!(types::fact, len)), 128);
        assert_eq!(word(offset_of!(types::fact, has_stack)), 1);
        let second = offset_of!(types::fact, values) + size_of::<types::fact_value>();
        let of_second = |offset: usize| word(second + offset);
        assert_eq!(
            of_second(offset_of!(types::fact_value, base)),
            super::FACT_TASK
        );
        assert_eq!(of_second(offset_of!(types::fact_value, kind)), 1);
        assert_eq!(of_second(offset_of!(types::fact_value, at)), 64);
        assert_eq!(of_second(offset_of!(types::fact_value, n_hops)), 2);
        assert_eq!(
            of_second(offset_of!(types::fact_value, hops) + 4),
            -8_i32 as u32
        );
        assert_eq!(of_second(offset_of!(types::fact_value, add)), 32);
    }
}
