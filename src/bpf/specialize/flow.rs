// SPDX-License-Identifier: BSD-2-Clause
//! Constant folding. Propagates known values through branches that can be taken, and into
//! functions. Unreachable code is removed, and instructions with a known result become loads of a
//! constant.

use libbpf_sys::bpf_insn;

use super::insn::Decode;
use super::value::{RegisterValue, RegisterValues};
use super::{Constants, Kept};

/// Opcodes of `mov` with an immediate: to all 64 bits, with sign extension, and to the lower 32
/// bits, which clears the upper ones.
const MOV64_IMM: u8 = 0xb7;
const MOV32_IMM: u8 = 0xb4;
const GOTO: u8 = 0x05;

/// Returns the reachable instructions. Branches with a known outcome are removed or become jumps,
/// and known results become constants.
pub(super) fn const_fold(insns: &[bpf_insn], constants: &Constants) -> Kept {
    let mut kept: Kept = vec![None; insns.len()];
    let mut reach = Reach::new(insns, constants);
    reach.all();
    for start in 0..insns.len() {
        if let Some(known) = reach.known_at(start) {
            reach.walk(start, known, &mut |place, before| {
                keep(insns, place, before, constants, &mut kept);
            });
        }
    }
    kept
}

/// Keeps the instruction at `place`, or what it is folded to. `before` is what is known before it.
fn keep(
    insns: &[bpf_insn],
    place: usize,
    before: &RegisterValues,
    constants: &Constants,
    kept: &mut Kept,
) {
    let (insn, next) = (&insns[place], insns.get(place + 1));
    if let Some(constant) = constant_load(insn, before.result(insn, next, constants)) {
        kept[place] = Some(constant);
    } else if insn.is_branch()
        && let Some(is_taken) = before.takes(insn)
    {
        kept[place] = is_taken.then(|| goto(insn.off));
    } else {
        kept[place] = Some(*insn);
        if insn.slots() == 2
            && let Some(second) = kept.get_mut(place + 1)
        {
            *second = next.copied();
        }
    }
}

/// The known register values at the start of each reachable block. A block starts at each target of
/// a jump, and at each function.
struct Reach<'p> {
    insns: &'p [bpf_insn],
    constants: &'p Constants,
    is_start: Vec<bool>,
    /// For each place its index in `states`, if it is the start of a block and reachable.
    known: Vec<Option<u32>>,
    states: Vec<RegisterValues>,
    /// Starts of blocks whose state has changed, which have to be walked again.
    to_do: Vec<usize>,
}

impl<'p> Reach<'p> {
    fn new(insns: &'p [bpf_insn], constants: &'p Constants) -> Self {
        let mut is_start = vec![false; insns.len()];
        for (place, insn) in insns.iter().enumerate() {
            let target = if insn.is_goto() || insn.is_branch() {
                Some(insn.target(place))
            } else {
                insn.callee(place)
            };
            if let Some(start) = target.and_then(|target| is_start.get_mut(target)) {
                *start = true;
            }
        }
        Self {
            insns,
            constants,
            is_start,
            known: vec![None; insns.len()],
            states: Vec::new(),
            to_do: Vec::new(),
        }
    }

    fn all(&mut self) {
        self.learn(0, RegisterValues::UNKNOWN);
        while let Some(start) = self.to_do.pop() {
            if let Some(known) = self.known_at(start) {
                for (target, state) in self.walk(start, known, &mut |_, _| {}) {
                    self.learn(target, state);
                }
            }
        }
    }

    fn known_at(&self, start: usize) -> Option<RegisterValues> {
        let index = (*self.known.get(start)?)?;
        self.states.get(index as usize).copied()
    }

    /// Merges `new` into the state of the block at `start`.
    fn learn(&mut self, start: usize, new: RegisterValues) {
        // The verifier rejects a program with a jump beyond its end, so this state is not needed.
        let Some(known) = self.known.get_mut(start) else {
            return;
        };
        match *known {
            None => {
                *known = Some(self.states.len() as u32);
                self.states.push(new);
            }
            Some(index) => {
                let state = &mut self.states[index as usize];
                let both = state.or(&new);
                if *state == both {
                    return;
                }
                *state = both;
            }
        }
        self.to_do.push(start);
    }

    /// Walks from the start of a block to the next start. Calls `show` with the state before each
    /// instruction. Returns the places to which control may pass, with the state there.
    fn walk(
        &self,
        start: usize,
        mut known: RegisterValues,
        show: &mut dyn FnMut(usize, &RegisterValues),
    ) -> Vec<(usize, RegisterValues)> {
        let mut targets = Vec::new();
        let mut place = start;
        while let Some(insn) = self.insns.get(place) {
            show(place, &known);
            if insn.is_exit() {
                return targets;
            }
            if insn.is_goto() {
                targets.push((insn.target(place), known));
                return targets;
            }
            if insn.is_branch() {
                let is_taken = known.takes(insn);
                if is_taken != Some(false) {
                    targets.push((insn.target(place), known));
                }
                if is_taken == Some(true) {
                    return targets;
                }
            }
            if let Some(callee) = insn.callee(place) {
                targets.push((callee, known.of_callee()));
            }
            let result = known.result(insn, self.insns.get(place + 1), self.constants);
            known.pass(insn, result);
            place += insn.slots();
            if self.is_start.get(place) == Some(&true) {
                targets.push((place, known));
                return targets;
            }
        }
        targets
    }
}

/// Returns the load of a known result, if it fits into one instruction.
fn constant_load(insn: &bpf_insn, result: RegisterValue) -> Option<bpf_insn> {
    let RegisterValue::Number(number) = result else {
        return None;
    };
    let (code, imm) = if let Ok(imm) = i32::try_from(number as i64) {
        (MOV64_IMM, imm)
    } else if let Ok(imm) = u32::try_from(number) {
        (MOV32_IMM, imm as i32)
    } else {
        return None;
    };
    let mut load = bpf_insn {
        code,
        imm,
        ..bpf_insn::default()
    };
    load.set_dst_reg(insn.dst() as u8);
    Some(load)
}

fn goto(off: i16) -> bpf_insn {
    bpf_insn {
        code: GOTO,
        off,
        ..bpf_insn::default()
    }
}
