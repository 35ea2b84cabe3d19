// SPDX-License-Identifier: BSD-2-Clause
//! What is noted of functions that say something in words: where their texts are in this kernel.

use super::arch;
use crate::bpf::{Fact, FactBase, FactCondition, FactEnd, FactValue, LONG_TEXT, NoteProbe};
use crate::kernel::btf::{Btf, PathEnd, TrampolineRules};
use crate::knowledge::messages::{
    BPF_LOG, BPF_LOG_CALLS, BPF_LOG_TEXT, FS_LOG, FS_LOG_CALLS, NETLINK_ANSWER,
    NETLINK_ANSWER_TEXT, NETLINK_CALLS,
};
use crate::knowledge::requests::REQUESTS;
use crate::spec::{FieldFormat, NoteField, NoteKind, NoteSource};
use crate::syscalls::call_of_function;

/// Which places can say something while the entry functions of a run are called. Each place costs
/// time to attach to, up to a tenth of a second on 6.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Speakers {
    /// The log of changes of file systems.
    pub(super) fs_log: bool,
    /// The verifier of BPF programs.
    pub(super) bpf_log: bool,
    /// Answers to netlink requests.
    pub(super) netlink: bool,
}

impl Speakers {
    /// Returns the places for entry functions of these names.
    pub(super) fn of_entries<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut speakers = Self::default();
        for name in names {
            let call = call_of_function(name).map_or("", |(_, call)| call);
            speakers.fs_log |= FS_LOG_CALLS.contains(&call);
            speakers.bpf_log |= BPF_LOG_CALLS.contains(&call);
            speakers.netlink |= NETLINK_CALLS.contains(&call) || REQUESTS.contains(&name);
        }
        speakers
    }
}

/// Returns the functions of these places that this kernel has. `has_extack` tells whether an event
/// has the texts of answers to netlink requests.
pub(super) fn functions(
    speakers: Speakers,
    btf: &Btf,
    rules: TrampolineRules,
    has_extack: bool,
) -> Vec<(NoteSource, NoteProbe)> {
    let fs_log = speakers.fs_log.then(|| fs_log(btf));
    let bpf_log = speakers.bpf_log.then(|| bpf_log(btf, rules));
    let needs_answer = speakers.netlink && !has_extack;
    let answer = needs_answer.then(|| netlink_answer(NETLINK_ANSWER, btf));
    [fs_log, bpf_log, answer]
        .into_iter()
        .flatten()
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
    Some((
        source(FS_LOG),
        NoteProbe::Call {
            addr: None,
            name,
            fact,
        },
    ))
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
        addr: None,
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
        addr: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_say_something_is_attached_to() {
        let of = |name| {
            let Speakers {
                fs_log,
                bpf_log,
                netlink,
            } = Speakers::of_entries([name].into_iter());
            (fs_log, bpf_log, netlink)
        };
        assert_eq!(of("__x64_sys_fsconfig"), (true, false, false));
        assert_eq!(of("__x64_sys_bpf"), (false, true, false));
        assert_eq!(of("__x64_sys_sendto"), (false, false, true));
        assert_eq!(of("rtnetlink_rcv_msg"), (false, false, true));
        assert_eq!(of("__x64_sys_close"), (false, false, false));
        assert_eq!(of("vfs_open"), (false, false, false));
    }
}
