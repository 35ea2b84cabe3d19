// SPDX-License-Identifier: BSD-2-Clause
//! What is noted of refusals: which values explain one, and where they are in this kernel.

use std::collections::BTreeMap;

use super::arch;
use crate::bpf::wire::NOTE_BYTES;
use crate::bpf::{
    FACT_TEXT, Fact, FactBase, FactCondition, FactEnd, FactValue, LsmProgram, MAX_FACT_HOPS,
    MAX_FACT_VALUES, NOTE_STACK, NoteProbe,
};
use crate::kernel::btf::{Btf, MemberPath, PathEnd, TrampolineRules};
use crate::knowledge::refusals::{
    BPF_LSM, CAPABILITIES, LIMIT_PROBES, NotedWhen, REFUSAL_PROBES, RefusalProbe, RefusalValue,
    ShownAs,
};
use crate::spec::{FieldFormat, NoteField, NoteKind, NoteSource};
use crate::syscalls::{self, Abi};

/// The value whose numbers are names of capabilities.
const CAPABILITY: &str = "capability";

/// The value whose numbers are names of system calls.
const SYSTEM_CALL: &str = "syscall";

/// Hooks with BPF programs that are noted at most. Each takes a program of ours.
const MAX_HOOKS: usize = 64;

/// Returns the sources of refusals that this kernel has. A function that it does not have, or that
/// cannot be attached to, is left out: another one refuses then, or the reason remains unknown.
pub(super) fn refusals(btf: &Btf, rules: TrampolineRules) -> Vec<(NoteSource, NoteProbe)> {
    let probes = REFUSAL_PROBES.iter().chain(LIMIT_PROBES);
    probes
        .filter_map(|probe| refusal(probe, btf, rules))
        .collect()
}

fn refusal(
    probe: &RefusalProbe,
    btf: &Btf,
    rules: TrampolineRules,
) -> Option<(NoteSource, NoteProbe)> {
    let func = btf.func_id(probe.function)?;
    let shape = btf.shape(func)?;
    let is_call = probe.when == NotedWhen::Called;
    if !is_call && shape.obstacle(rules).is_some() {
        return None;
    }
    let mut layout = FactLayout::new(probe.has_stack);
    for value in probe.values {
        // A struct of this kernel may not have the value.
        let found = value
            .paths
            .iter()
            .find_map(|path| btf.member_path(func, path));
        if let Some(path) = found {
            layout.add(value, path, is_call);
        }
    }
    let condition = match probe.when {
        NotedWhen::Called => FactCondition::Always,
        NotedWhen::Failed => FactCondition::OnFailure(btf.result_type(probe.function, func)),
        NotedWhen::True => FactCondition::IfTrue,
    };
    let (fields, fact) = layout.finish(condition);
    let name = probe.function.to_owned();
    let noted = if is_call {
        NoteProbe::Call {
            addr: None,
            name: name.clone(),
            fact,
        }
    } else {
        NoteProbe::Return {
            addr: None,
            btf_id: func,
            arg_slots: u8::try_from(shape.arg_slots).ok()?,
            fact,
        }
    };
    let source = NoteSource {
        name,
        kind: NoteKind::Refusal,
        fields,
    };
    Some((source, noted))
}

/// Returns a source for each hook that BPF programs are at. Its fields are the programs: all of them
/// have the hook's result, which tells that one of them refused, and not which one.
pub(super) fn lsm_hooks(
    programs: &[LsmProgram],
    btf: &Btf,
    rules: TrampolineRules,
) -> Vec<(NoteSource, NoteProbe)> {
    let mut hooks: BTreeMap<u32, Vec<&LsmProgram>> = BTreeMap::new();
    for program in programs {
        hooks.entry(program.hook).or_default().push(program);
    }
    let hooks = hooks.into_iter().take(MAX_HOOKS);
    hooks
        .filter_map(|(hook, programs)| lsm_hook(hook, &programs, btf, rules))
        .collect()
}

fn lsm_hook(
    hook: u32,
    programs: &[&LsmProgram],
    btf: &Btf,
    rules: TrampolineRules,
) -> Option<(NoteSource, NoteProbe)> {
    let name = btf.func_name(hook)?;
    let shape = btf.shape(hook)?;
    if !name.starts_with(BPF_LSM) || shape.obstacle(rules).is_some() {
        return None;
    }
    let arg_slots = u8::try_from(shape.arg_slots).ok()?;
    let result = FactValue {
        base: FactBase::Context(8 * u32::from(arg_slots)),
        hops: Vec::new(),
        end: FactEnd::Number,
        at: 0,
    };
    let field = |program: &&LsmProgram| NoteField {
        name: format!("{} ({})", program.id, program.name),
        offset: 0,
        size: 4,
        format: FieldFormat::Signed,
    };
    let source = NoteSource {
        name: name.to_owned(),
        kind: NoteKind::Refusal,
        fields: programs.iter().map(field).collect(),
    };
    let fact = Fact {
        condition: FactCondition::OnFailure(btf.result_type(name, hook)),
        values: vec![result],
        len: NOTE_BYTES,
        has_stack: false,
    };
    let probe = NoteProbe::Return {
        addr: None,
        btf_id: hook,
        arg_slots,
        fact,
    };
    Some((source, probe))
}

/// Places values in a note: numbers from the start, texts in the blocks behind them, and the stack
/// at the end.
struct FactLayout {
    numbers_end: u32,
    /// Offset of the next text. Texts are placed downwards.
    texts_end: u32,
    has_stack: bool,
    fields: Vec<NoteField>,
    values: Vec<FactValue>,
}

impl FactLayout {
    fn new(has_stack: bool) -> Self {
        Self {
            numbers_end: 0,
            texts_end: if has_stack { NOTE_STACK } else { NOTE_BYTES },
            has_stack,
            fields: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds a value; leaves it out if there is no room, or if it cannot be read at a call.
    fn add(&mut self, value: &RefusalValue, path: MemberPath, is_call: bool) {
        let Some(base) = base(&path, is_call) else {
            return;
        };
        if self.values.len() == MAX_FACT_VALUES || path.hops.len() > MAX_FACT_HOPS {
            return;
        }
        let is_text = matches!(path.end, PathEnd::Text(_));
        let free = self.texts_end.saturating_sub(self.numbers_end);
        if free < if is_text { FACT_TEXT } else { 8 } {
            return;
        }
        let (at, size, end) = match &path.end {
            PathEnd::Text(add) => {
                self.texts_end -= FACT_TEXT;
                (self.texts_end, FACT_TEXT, FactEnd::Text(*add))
            }
            PathEnd::Number { size, .. } => {
                self.numbers_end += 8;
                (self.numbers_end - 8, *size, FactEnd::Number)
            }
        };
        self.fields.push(NoteField {
            name: value.name.to_owned(),
            offset: at,
            size,
            format: format(value, path.end),
        });
        self.values.push(FactValue {
            base,
            hops: path.hops,
            end,
            at,
        });
    }

    fn finish(mut self, condition: FactCondition) -> (Vec<NoteField>, Fact) {
        if self.has_stack {
            self.fields.push(NoteField {
                name: "stack".to_owned(),
                offset: NOTE_STACK,
                size: NOTE_BYTES - NOTE_STACK,
                format: FieldFormat::Stack,
            });
        }
        let fact = Fact {
            condition,
            values: self.values,
            len: NOTE_BYTES,
            has_stack: self.has_stack,
        };
        (self.fields, fact)
    }
}

fn base(path: &MemberPath, is_call: bool) -> Option<FactBase> {
    Some(match path.slot {
        None => FactBase::Task,
        Some(slot) if is_call => FactBase::Context(arch::argument_offset(slot)?),
        Some(slot) => FactBase::Context(8 * u32::from(slot)),
    })
}

fn format(value: &RefusalValue, end: PathEnd) -> FieldFormat {
    match (end, value.shown) {
        (PathEnd::Text(_), _) => FieldFormat::Text,
        (PathEnd::Number { .. }, ShownAs::Octal) => FieldFormat::Octal,
        (PathEnd::Number { .. }, ShownAs::Hex) => FieldFormat::Hex,
        (PathEnd::Number { .. }, ShownAs::Type) if value.name == CAPABILITY => {
            let names = (0..).zip(CAPABILITIES.map(str::to_owned));
            FieldFormat::Named(names.collect())
        }
        (PathEnd::Number { .. }, ShownAs::Type) if value.name == SYSTEM_CALL => {
            let names = syscalls::names(Abi::Native);
            FieldFormat::Named(
                names
                    .map(|(number, name)| (number, name.to_owned()))
                    .collect(),
            )
        }
        (PathEnd::Number { names, .. }, ShownAs::Type) if !names.is_empty() => {
            FieldFormat::Named(names)
        }
        (
            PathEnd::Number {
                is_pointer: true, ..
            },
            ShownAs::Type,
        ) => FieldFormat::Hex,
        (
            PathEnd::Number {
                is_signed: true, ..
            },
            ShownAs::Type,
        ) => FieldFormat::Signed,
        (PathEnd::Number { .. }, ShownAs::Type) => FieldFormat::Unsigned,
    }
}
