// SPDX-License-Identifier: BSD-2-Clause
//! Replaces the marked instructions of a program before it is loaded (`bpf/include/patched.bpf.h`).

use libbpf_sys::bpf_insn;

use super::arch::FURTHEST_PROBE;
use super::body::Body;
use super::settings::{KernelLayout, Preempt};

/// The marks. They must be the same as in the header.
const TAG_MARK: u64 = 0x7261_736e_6f6f_7021;
const PREEMPT_VAR_MARK: u64 = 0x7261_736e_6f6f_7022;
const RESULT_OFFSET_MARK: u64 = 0x7261_736e_6f6f_7023;
const OPENS_MARK: u64 = 0x7261_736e_6f6f_7024;
const ENTRY_BITS_MARK: u64 = 0x7261_736e_6f6f_7025;
const GENERATION_MARK: u64 = 0x7261_736e_6f6f_7026;
const ENTRY_BLOCK_MARK: u64 = 0x7261_736e_6f6f_7030;
const ENTRY_BLOCK_END: u64 = ENTRY_BLOCK_MARK + 8;
const IS_RETURN_MARK: i32 = 0x7a5e_5501;
const COOKIE_MARK: i32 = 0x7a5e_5502;

/// Opcodes: `BPF_LD | BPF_IMM | BPF_DW` and `BPF_JMP | BPF_CALL`.
const LOAD_IMM64: u8 = 0x18;
const CALL_OPCODE: u8 = 0x85;

/// Values of the source register field: `BPF_PSEUDO_BTF_ID` and `BPF_PSEUDO_KFUNC_CALL`.
const PSEUDO_BTF_ID: u8 = 3;
const PSEUDO_KFUNC_CALL: u8 = 2;

/// Constants that all programs made from one copy of a template share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copy {
    /// Whether any function of the program opens sessions (trampolines).
    pub(super) opens: bool,
    /// The entry functions among the program's functions (kprobe.session).
    pub(super) entries: EntryAddrs,
    /// The generation of the copy (kprobe.session).
    pub(super) generation: u32,
}

/// Entry functions, identified by the addresses that programs see. See `is_entry` in
/// `kprobes.bpf.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EntryAddrs {
    /// A Bloom filter: bit n is set for blocks with `block % 64 == n`.
    bits: u64,
    /// Numbers of blocks of 16 bytes. 0 is unused: no kernel address is in that block.
    blocks: [u64; 8],
}

impl EntryAddrs {
    /// Computes the blocks of the functions at `entries`. Returns `None` if there are more than 8
    /// blocks, or if a function of `others` is in one of them.
    pub(super) fn among(entries: &[u64], others: &[u64]) -> Option<Self> {
        let blocks_of = |addr: u64| [addr >> 4, (addr + FURTHEST_PROBE) >> 4];
        let mut told: Vec<u64> = entries.iter().copied().flat_map(blocks_of).collect();
        told.sort_unstable();
        told.dedup();
        let mut all = Self::default();
        for (place, block) in told.iter().enumerate() {
            *all.blocks.get_mut(place)? = *block;
            all.bits |= 1 << (block & 63);
        }
        let is_told = |addr: u64| blocks_of(addr).iter().any(|block| told.contains(block));
        (!others.iter().any(|addr| is_told(*addr))).then_some(all)
    }
}

/// Constants of the one function that a program is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Single {
    /// See `tag` in `attach`.
    pub(super) tag: u64,
    /// Number of argument slots, of 8 bytes each, before the result (trampolines).
    pub(super) arg_slots: u8,
}

/// Marks that are replaced by [`for_single`], which differ between the programs of one copy.
/// Specialization must not treat them as constants.
pub(super) const OF_SINGLE: [u64; 2] = [TAG_MARK, RESULT_OFFSET_MARK];

/// Returns a copy of `template` for this kernel. The marks of [`OF_SINGLE`] remain.
pub(super) fn patched(template: &[bpf_insn], layout: &KernelLayout, copy: Copy) -> Vec<bpf_insn> {
    let mut insns = template.to_vec();
    for index in 0..insns.len() {
        match constant(&insns, index) {
            Some(OPENS_MARK) => set_constant(&mut insns, index, u64::from(copy.opens)),
            Some(GENERATION_MARK) => set_constant(&mut insns, index, u64::from(copy.generation)),
            Some(ENTRY_BITS_MARK) => set_constant(&mut insns, index, copy.entries.bits),
            Some(mark @ ENTRY_BLOCK_MARK..ENTRY_BLOCK_END) => {
                let block = copy.entries.blocks[(mark - ENTRY_BLOCK_MARK) as usize];
                set_constant(&mut insns, index, block);
            }
            Some(PREEMPT_VAR_MARK) => set_variable(&mut insns, index, layout.preempt),
            _ => set_kfunc(&mut insns[index], layout),
        }
    }
    insns
}

/// Returns the program of one function: `copy` without the marks of [`OF_SINGLE`].
pub(super) fn for_single(copy: &Body, single: Single) -> Body {
    copy.replaced(singled(copy, single))
}

fn singled(copy: &[bpf_insn], single: Single) -> Vec<bpf_insn> {
    let mut insns = copy.to_vec();
    for index in 0..insns.len() {
        match constant(&insns, index) {
            Some(TAG_MARK) => set_constant(&mut insns, index, single.tag),
            Some(RESULT_OFFSET_MARK) => {
                set_constant(&mut insns, index, 8 * u64::from(single.arg_slots));
            }
            _ => {}
        }
    }
    insns
}

/// Returns the 64-bit constant that the two instructions at `index` load, or `None` if they load
/// none.
fn constant(insns: &[bpf_insn], index: usize) -> Option<u64> {
    let (low, high) = (insns[index], insns.get(index + 1)?);
    let is_constant = low.code == LOAD_IMM64 && low.src_reg() == 0;
    is_constant.then(|| u64::from(low.imm as u32) | u64::from(high.imm as u32) << 32)
}

fn set_constant(insns: &mut [bpf_insn], index: usize, value: u64) {
    insns[index].imm = value as i32;
    insns[index + 1].imm = (value >> 32) as i32;
}

/// Replaces the constant by the BTF id of the variable. Without a variable nothing is replaced: the
/// branch that loads the constant is dead.
fn set_variable(insns: &mut [bpf_insn], index: usize, preempt: Preempt) {
    if let Preempt::Variable { btf_id, .. } = preempt {
        insns[index].set_src_reg(PSEUDO_BTF_ID);
        set_constant(insns, index, u64::from(btf_id));
    }
}

/// Replaces a marked call by a call of the kernel's function. If the kernel has no such function,
/// the call remains an unknown helper, which the verifier rejects. Such programs are not loaded on
/// these kernels.
fn set_kfunc(insn: &mut bpf_insn, layout: &KernelLayout) {
    let btf_id = match (insn.code, insn.imm) {
        (CALL_OPCODE, IS_RETURN_MARK) => layout.session_is_return,
        (CALL_OPCODE, COOKIE_MARK) => layout.session_cookie,
        _ => None,
    };
    if let Some(btf_id) = btf_id {
        insn.set_src_reg(PSEUDO_KFUNC_CALL);
        insn.imm = btf_id as i32;
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use libbpf_rs::OpenObject;
    use libbpf_rs::skel::{OpenSkel, SkelBuilder};
    use libbpf_sys::bpf_insn;
    use object::{Object, ObjectSection};

    use super::{Copy, EntryAddrs, Single, patched, singled};
    use crate::bpf::settings::{
        FileLayout, KernelLayout, Preempt, PreemptMasks, TaskLayout, TracingMultiTypes,
    };
    use crate::bpf::skel::RetsnoopSkelBuilder;

    fn layout() -> KernelLayout {
        KernelLayout {
            task: TaskLayout::default(),
            files: FileLayout::default(),
            has_task_btf: true,
            finds_types_fast: true,
            preempt_masks: PreemptMasks::ADJACENT,
            stack_size: 16384,
            answer_at: 0,
            preempt: Preempt::Variable {
                btf_id: 77,
                offset: 0,
            },
            session_is_return: Some(88),
            session_cookie: Some(99),
            tracing_multi: TracingMultiTypes::default(),
            kprobe_pmu: None,
            uprobe_pmu: None,
            has_cookies: true,
        }
    }

    /// The instructions of the functions that programs call.
    fn functions() -> Vec<bpf_insn> {
        let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/retsnoop.bpf.o"));
        let object = object::File::parse(bytes).unwrap();
        let text = object.section_by_name(".text").unwrap();
        let insn = |bytes: &[u8]| {
            let mut insn = bpf_insn {
                code: bytes[0],
                off: i16::from_le_bytes([bytes[2], bytes[3]]),
                imm: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
                ..bpf_insn::default()
            };
            insn.set_dst_reg(bytes[1] & 0xf);
            insn.set_src_reg(bytes[1] >> 4);
            insn
        };
        text.data().unwrap().chunks(8).map(insn).collect()
    }

    /// Returns the instructions that are changed in the program of this name, and in the functions
    /// that programs call.
    fn changed(name: &str, copy: Copy, single: Single) -> [Vec<bpf_insn>; 2] {
        let mut storage = MaybeUninit::<OpenObject>::uninit();
        let open = RetsnoopSkelBuilder::default().open(&mut storage).unwrap();
        let program = open
            .open_object()
            .progs()
            .find(|program| program.name() == name)
            .unwrap();
        // At load time, the functions that a program calls follow it.
        [program.insns(), &functions()].map(|before| changes(before, copy, single))
    }

    fn changes(before: &[bpf_insn], copy: Copy, single: Single) -> Vec<bpf_insn> {
        let after = singled(&patched(before, &layout(), copy), single);
        let same = |(before, after): &(&bpf_insn, &bpf_insn)| {
            (before.code, before.off, before.imm, before.src_reg())
                == (after.code, after.off, after.imm, after.src_reg())
        };
        before
            .iter()
            .zip(&after)
            .filter(|pair| !same(pair))
            .map(|(_, after)| *after)
            .collect()
    }

    #[test]
    fn every_mark_of_the_session_program_is_found_in_the_object() {
        let changed =
            changed("retsnoop_session_inner", Copy::default(), Single::default()).concat();
        let kfuncs: Vec<i32> = changed
            .iter()
            .filter(|insn| insn.code == 0x85)
            .map(|insn| insn.imm)
            .collect();
        assert!(kfuncs.contains(&99) && kfuncs.contains(&88), "{kfuncs:?}");
        assert!(
            changed
                .iter()
                .any(|insn| insn.src_reg() == 3 && insn.imm == 77)
        );
    }

    #[test]
    fn every_mark_of_the_trampoline_programs_is_found_in_the_object() {
        let copy = Copy {
            opens: true,
            ..Copy::default()
        };
        let single = Single {
            tag: 0x0000_0102_0000_0007,
            arg_slots: 4,
        };
        let has_constant = |insns: &[bpf_insn], number: i32| {
            insns
                .iter()
                .any(|insn| insn.code == 0x18 && insn.imm == number)
        };
        let names = [
            "retsnoop_trampoline_entry",
            "retsnoop_trampoline_exit",
            "retsnoop_sharing_entry",
            "retsnoop_sharing_exit",
        ];
        for name in names {
            let [own, functions] = changed(name, copy, single);
            assert!(has_constant(&own, 7), "{name}");
            assert_eq!(has_constant(&own, 32), name.ends_with("exit"), "{name}");
            assert!(has_constant(&functions, 1));
        }
        let names = [
            "retsnoop_trampoline_entry",
            "retsnoop_tracing_session",
            "retsnoop_tracing_entry",
            "retsnoop_tracing_exit",
        ];
        for name in names {
            let [own, _] = changed(name, copy, single);
            assert!(has_constant(&own, 1), "{name}");
        }
    }

    #[test]
    fn a_program_for_entries_and_others_is_told_which_are_entries() {
        // The program of the second function may run in either of two blocks.
        let copy = Copy {
            opens: false,
            entries: EntryAddrs::among(&[0x1230, 0x456c], &[0x1220, 0x1240, 0x4550]).unwrap(),
            generation: 77,
        };
        let [own, functions] = changed("retsnoop_session_any", copy, Single::default());
        assert!(
            functions
                .iter()
                .any(|insn| insn.code == 0x18 && insn.imm == 77)
        );
        let constants: Vec<i32> = own
            .iter()
            .filter(|insn| insn.code == 0x18)
            .map(|insn| insn.imm)
            .collect();
        let bits = 1_u64 << (0x123 & 63) | 1 << (0x456 & 63) | 1 << (0x457 & 63);
        for expected in [bits as i32, 0x123, 0x456, 0x457, 0] {
            assert!(constants.contains(&expected), "{expected:x} {constants:x?}");
        }
    }

    #[test]
    fn entries_that_are_too_many_or_too_near_to_others_are_not_told_apart() {
        let entries: Vec<u64> = (0..9).map(|n| 0x1000 + 16 * n).collect();
        assert!(EntryAddrs::among(&entries[..8], &[]).is_some());
        assert!(EntryAddrs::among(&entries, &[]).is_none());
        assert!(EntryAddrs::among(&[0x1000], &[0x1008]).is_none());
        assert!(EntryAddrs::among(&[0x1008], &[0x1010]).is_none());
        assert!(EntryAddrs::among(&[0x1000], &[0x1010]).is_some());
    }
}
