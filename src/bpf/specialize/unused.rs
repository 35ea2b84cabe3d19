// SPDX-License-Identifier: BSD-2-Clause
//! Leaves out what is computed and never asked for: what the decided branches were decided by.

use libbpf_sys::bpf_insn;

use super::Kept;
use super::insn::{Class, Decode, LOAD_IMM64, alu};

/// A set of registers, a bit each.
type Registers = u16;

const ARGUMENTS: Registers = 0b11_1110;
const CLOBBERED_BY_CALLS: Registers = 0b11_1111;
const RESULT: Registers = 1;

/// Removes instructions that do nothing but write to a register that nobody reads before it is
/// written again.
pub(super) fn remove(kept: &mut Kept) {
    let wanted = wanted_before(kept);
    for place in 0..kept.len() {
        let Some(insn) = kept[place] else {
            continue;
        };
        if is_unused(&insn, wanted_after(&wanted, &insn, place)) {
            kept.iter_mut()
                .skip(place)
                .take(insn.places())
                .for_each(|insn| *insn = None);
        }
    }
}

/// Which registers are read from each place on. Goes backwards until nothing changes: a loop's end
/// wants what its start wants.
fn wanted_before(kept: &Kept) -> Vec<Registers> {
    let mut wanted: Vec<Registers> = vec![0; kept.len() + 1];
    loop {
        let mut has_changed = false;
        for (place, insn) in kept.iter().enumerate().rev() {
            let before = match insn {
                None => wanted[place + 1],
                Some(insn) => {
                    let after = wanted_after(&wanted, insn, place);
                    if is_unused(insn, after) {
                        after
                    } else {
                        let arguments = insn.callee(place).map(|callee| at(&wanted, callee));
                        let read = arguments.map_or_else(|| read(insn), |all| all & ARGUMENTS);
                        after & !written(insn) | read
                    }
                }
            };
            has_changed |= wanted[place] != before;
            wanted[place] = before;
        }
        if !has_changed {
            return wanted;
        }
    }
}

fn at(wanted: &[Registers], place: usize) -> Registers {
    wanted.get(place).copied().unwrap_or_default()
}

fn wanted_after(wanted: &[Registers], insn: &bpf_insn, place: usize) -> Registers {
    if insn.is_exit() {
        0
    } else if insn.is_goto() {
        at(wanted, insn.target(place))
    } else if insn.is_branch() {
        at(wanted, insn.target(place)) | at(wanted, place + 1)
    } else {
        at(wanted, place + insn.places())
    }
}

/// Whether it does nothing but leave something in a register that is not wanted.
fn is_unused(insn: &bpf_insn, wanted: Registers) -> bool {
    let only_leaves = match insn.class() {
        Class::Load => insn.code == LOAD_IMM64,
        Class::LoadMemory | Class::Alu32 | Class::Alu64 => true,
        Class::StoreImmediate | Class::Store | Class::Jump | Class::Jump32 => false,
    };
    only_leaves && wanted & bit(insn.dst()) == 0
}

fn bit(register: usize) -> Registers {
    1 << register
}

fn read(insn: &bpf_insn) -> Registers {
    let (dst, src) = (bit(insn.dst()), bit(insn.src()));
    let operand = if insn.takes_register() { src } else { 0 };
    match insn.class() {
        Class::Load => 0,
        Class::LoadMemory => src,
        Class::StoreImmediate => dst,
        // The compare-and-exchange takes what is compared from r0.
        Class::Store if insn.is_atomic() => dst | src | RESULT,
        Class::Store => dst | src,
        Class::Alu32 | Class::Alu64 => match insn.operation() {
            alu::MOV => operand,
            // The register's bit says to what, not by what.
            alu::END | alu::NEG => dst,
            _ => dst | operand,
        },
        Class::Jump | Class::Jump32 if insn.is_call() => ARGUMENTS,
        Class::Jump | Class::Jump32 if insn.is_exit() => RESULT,
        Class::Jump | Class::Jump32 if insn.is_goto() => 0,
        Class::Jump | Class::Jump32 => dst | operand,
    }
}

fn written(insn: &bpf_insn) -> Registers {
    match insn.class() {
        Class::Load if insn.code != LOAD_IMM64 => 0,
        Class::Load | Class::LoadMemory | Class::Alu32 | Class::Alu64 => bit(insn.dst()),
        Class::Jump if insn.is_call() => CLOBBERED_BY_CALLS,
        Class::StoreImmediate | Class::Store | Class::Jump | Class::Jump32 => 0,
    }
}
