// SPDX-License-Identifier: BSD-2-Clause
//! Dead-code elimination: removes instructions whose result is never read. Constant folding leaves
//! such instructions behind where it has decided a branch.

use libbpf_sys::bpf_insn;

use super::Kept;
use super::insn::{Class, Decode, LOAD_IMM64, alu};

/// A set of registers: bit n is register rn.
type RegisterSet = u16;

const ARGUMENTS: RegisterSet = 0b11_1110;
const CLOBBERED_BY_CALLS: RegisterSet = 0b11_1111;
const RESULT: RegisterSet = 1;

/// Removes instructions that only write to a register that is not live after them.
pub(super) fn remove(kept: &mut Kept) {
    let live = live_in(kept);
    for place in 0..kept.len() {
        let Some(insn) = kept[place] else {
            continue;
        };
        if is_dead(&insn, live_out(&live, &insn, place)) {
            kept.iter_mut()
                .skip(place)
                .take(insn.slots())
                .for_each(|insn| *insn = None);
        }
    }
}

/// Returns the registers that are live before each instruction (live-in). This is a backward
/// data-flow analysis. It is repeated until nothing changes, because registers that are live at the
/// head of a loop are live at its end.
fn live_in(kept: &Kept) -> Vec<RegisterSet> {
    let mut live: Vec<RegisterSet> = vec![0; kept.len() + 1];
    loop {
        let mut has_changed = false;
        for (place, insn) in kept.iter().enumerate().rev() {
            let before = match insn {
                None => live[place + 1],
                Some(insn) => {
                    let after = live_out(&live, insn, place);
                    if is_dead(insn, after) {
                        after
                    } else {
                        let arguments = insn.callee(place).map(|callee| at(&live, callee));
                        let read = arguments.map_or_else(|| read(insn), |all| all & ARGUMENTS);
                        after & !written(insn) | read
                    }
                }
            };
            has_changed |= live[place] != before;
            live[place] = before;
        }
        if !has_changed {
            return live;
        }
    }
}

/// Returns the registers that are live before the instruction at `place`; none beyond the end.
fn at(live: &[RegisterSet], place: usize) -> RegisterSet {
    live.get(place).copied().unwrap_or_default()
}

/// Returns the registers that are live after an instruction (live-out).
fn live_out(live: &[RegisterSet], insn: &bpf_insn, place: usize) -> RegisterSet {
    if insn.is_exit() {
        0
    } else if insn.is_goto() {
        at(live, insn.target(place))
    } else if insn.is_branch() {
        at(live, insn.target(place)) | at(live, place + 1)
    } else {
        at(live, place + insn.slots())
    }
}

/// Returns whether the only effect of an instruction is on its destination register, which is not
/// live.
fn is_dead(insn: &bpf_insn, live: RegisterSet) -> bool {
    let only_leaves = match insn.class() {
        Class::Load => insn.code == LOAD_IMM64,
        Class::LoadMemory | Class::Alu32 | Class::Alu64 => true,
        Class::StoreImmediate | Class::Store | Class::Jump | Class::Jump32 => false,
    };
    only_leaves && live & bit(insn.dst()) == 0
}

fn bit(register: usize) -> RegisterSet {
    1 << register
}

fn read(insn: &bpf_insn) -> RegisterSet {
    let (dst, src) = (bit(insn.dst()), bit(insn.src()));
    let operand = if insn.takes_register() { src } else { 0 };
    match insn.class() {
        Class::Load => 0,
        Class::LoadMemory => src,
        Class::StoreImmediate => dst,
        // The compare-and-exchange operation reads the expected value from r0.
        Class::Store if insn.is_atomic() => dst | src | RESULT,
        Class::Store => dst | src,
        Class::Alu32 | Class::Alu64 => match insn.operation() {
            alu::MOV => operand,
            // Here the register bit of the opcode selects the byte order, not a second operand.
            alu::END | alu::NEG => dst,
            _ => dst | operand,
        },
        Class::Jump | Class::Jump32 if insn.is_call() => ARGUMENTS,
        Class::Jump | Class::Jump32 if insn.is_exit() => RESULT,
        Class::Jump | Class::Jump32 if insn.is_goto() => 0,
        Class::Jump | Class::Jump32 => dst | operand,
    }
}

fn written(insn: &bpf_insn) -> RegisterSet {
    match insn.class() {
        Class::Load if insn.code != LOAD_IMM64 => 0,
        Class::Load | Class::LoadMemory | Class::Alu32 | Class::Alu64 => bit(insn.dst()),
        Class::Jump if insn.is_call() => CLOBBERED_BY_CALLS,
        Class::StoreImmediate | Class::Store | Class::Jump | Class::Jump32 => 0,
    }
}
