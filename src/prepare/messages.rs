// SPDX-License-Identifier: BSD-2-Clause
//! What is noted of functions that say something in words: where their texts are in this kernel.

use super::arch;
use crate::bpf::{Fact, FactBase, FactCondition, FactEnd, FactValue, LONG_TEXT, NoteProbe};
use crate::kernel::btf::{Btf, PathEnd, TrampolineRules};
use crate::knowledge::messages::{
    BPF_LOG, BPF_LOG_TEXT, FS_LOG, NETLINK_ANSWER, NETLINK_ANSWER_TEXT,
};
use crate::spec::{FieldFormat, NoteField, NoteKind, NoteSource};

/// Returns the functions that this kernel has. `has_extack` tells whether an event has the texts of
/// answers to netlink requests.
pub(super) fn functions(
    btf: &Btf,
    rules: TrampolineRules,
    has_extack: bool,
) -> Vec<(NoteSource, NoteProbe)> {
    let answer = Some(NETLINK_ANSWER).filter(|_| !has_extack);
    [
        fs_log(btf),
        bpf_log(btf, rules),
        answer.and_then(|answer| netlink_answer(answer, btf)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn fs_log(btf: &Btf) -> Option<(NoteSource, NoteProbe)> {
    btf.func_id(FS_LOG)?;
    let offset = |member| i32::try_from(btf.member_offset("fc_log", member)?).ok();
    let end = FactEnd::FcLog {
        head: offset("head")?,
        buffer: offset("buffer")?,
    };
    // Without a log the text goes to the kernel's log.
    let first = FactBase::Context(arch::argument_offset(0)?);
    let fact = fact(first, Vec::new(), end, FactCondition::IfGiven);
    let name = FS_LOG.to_owned();
    Some((source(FS_LOG), NoteProbe::Call { name, fact }))
}

fn bpf_log(btf: &Btf, rules: TrampolineRules) -> Option<(NoteSource, NoteProbe)> {
    let func = btf.func_id(BPF_LOG)?;
    let shape = btf.shape(func)?;
    let path = btf.member_path(func, BPF_LOG_TEXT)?;
    let (Some(slot), PathEnd::Text(add)) = (path.slot, path.end) else {
        return None;
    };
    if shape.obstacle(rules).is_some() {
        return None;
    }
    let base = FactBase::Context(8 * u32::from(slot));
    let always = FactCondition::Always;
    let probe = NoteProbe::Return {
        btf_id: func,
        arg_slots: u8::try_from(shape.arg_slots).ok()?,
        fact: fact(base, path.hops, FactEnd::LongText(add), always),
    };
    Some((source(BPF_LOG), probe))
}

fn netlink_answer(name: &str, btf: &Btf) -> Option<(NoteSource, NoteProbe)> {
    let path = btf.member_path(btf.func_id(name)?, NETLINK_ANSWER_TEXT)?;
    let (Some(slot), PathEnd::Text(add)) = (path.slot, path.end) else {
        return None;
    };
    let base = FactBase::Context(arch::argument_offset(slot)?);
    let given = FactCondition::IfGiven;
    let probe = NoteProbe::Call {
        name: name.to_owned(),
        fact: fact(base, path.hops, FactEnd::LongText(add), given),
    };
    Some((source(name), probe))
}

fn fact(base: FactBase, hops: Vec<i32>, end: FactEnd, condition: FactCondition) -> Fact {
    Fact {
        condition,
        values: vec![FactValue {
            base,
            hops,
            end,
            at: 0,
        }],
        len: 0,
        has_stack: false,
    }
}

fn source(name: &str) -> NoteSource {
    NoteSource {
        name: name.to_owned(),
        kind: NoteKind::Message,
        fields: vec![NoteField {
            name: "text".to_owned(),
            offset: 0,
            size: LONG_TEXT,
            format: FieldFormat::Text,
        }],
    }
}
