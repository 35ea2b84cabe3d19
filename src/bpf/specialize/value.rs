// SPDX-License-Identifier: BSD-2-Clause
//! Abstract values of registers, and how instructions change them.

use std::cmp::Ordering;

use libbpf_sys::bpf_insn;

use super::Constants;
use super::insn::{Class, Decode, LOAD_IMM64, REGISTERS, alu, jump};

/// What is known of a register's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegisterValue {
    Unknown,
    Number(u64),
    /// The address of the constants plus this offset, in bytes.
    Constants(i64),
}

impl RegisterValue {
    /// Returns what is known if the value may be either of the two.
    fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Unknown }
    }

    fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Unknown | Self::Constants(_) => None,
        }
    }
}

/// What is known of all registers at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RegisterValues([RegisterValue; REGISTERS]);

impl RegisterValues {
    pub(super) const UNKNOWN: Self = Self([RegisterValue::Unknown; REGISTERS]);

    pub(super) fn or(&self, other: &Self) -> Self {
        let mut both = *self;
        for (value, other) in both.0.iter_mut().zip(other.0) {
            *value = value.or(other);
        }
        both
    }

    /// Returns what is known at the start of a function that is called here: only its arguments, r1
    /// to r5.
    pub(super) fn of_callee(&self) -> Self {
        let mut callee = Self::UNKNOWN;
        callee.0[1..=5].copy_from_slice(&self.0[1..=5]);
        callee
    }

    /// Returns what is known of the destination register after the instruction. `next` is the
    /// second slot of a 64-bit constant.
    pub(super) fn result(
        &self,
        insn: &bpf_insn,
        next: Option<&bpf_insn>,
        of: &Constants,
    ) -> RegisterValue {
        match insn.class() {
            Class::Load => load_constant(insn, next, of),
            Class::LoadMemory => self.load_memory(insn, of),
            Class::Alu32 | Class::Alu64 => self.compute(insn),
            Class::StoreImmediate | Class::Store | Class::Jump | Class::Jump32 => {
                RegisterValue::Unknown
            }
        }
    }

    /// Updates the registers for an instruction whose result is `result`.
    pub(super) fn pass(&mut self, insn: &bpf_insn, result: RegisterValue) {
        match insn.class() {
            Class::Load | Class::LoadMemory | Class::Alu32 | Class::Alu64 => {
                self.0[insn.dst()] = result;
            }
            // Some atomic operations fetch the old value, into one of these three registers.
            Class::Store if insn.is_atomic() => {
                for register in [0, insn.src(), insn.dst()] {
                    self.0[register] = RegisterValue::Unknown;
                }
            }
            Class::Jump if insn.is_call() => self.0[..=5].fill(RegisterValue::Unknown),
            Class::StoreImmediate | Class::Store | Class::Jump | Class::Jump32 => {}
        }
    }

    fn load_memory(&self, insn: &bpf_insn, of: &Constants) -> RegisterValue {
        match (self.0[insn.src()], insn.plain_load_size()) {
            (RegisterValue::Constants(offset), Some(size)) => of
                .read(offset.wrapping_add(i64::from(insn.off)), size)
                .map_or(RegisterValue::Unknown, RegisterValue::Number),
            _ => RegisterValue::Unknown,
        }
    }

    /// Returns the second operand.
    fn operand(&self, insn: &bpf_insn) -> RegisterValue {
        if insn.takes_register() {
            self.0[insn.src()]
        } else {
            RegisterValue::Number(i64::from(insn.imm) as u64)
        }
    }

    fn compute(&self, insn: &bpf_insn) -> RegisterValue {
        let is_64 = insn.class() == Class::Alu64;
        // A non-zero offset marks moves with sign extension, and signed divisions.
        if insn.off != 0 {
            return RegisterValue::Unknown;
        }
        let (left, right) = (self.0[insn.dst()], self.operand(insn));
        match (insn.operation(), left, right) {
            (alu::MOV, _, right) if is_64 => right,
            (alu::MOV, _, RegisterValue::Number(right)) => {
                RegisterValue::Number(right & u64::from(u32::MAX))
            }
            (alu::ADD, RegisterValue::Constants(offset), RegisterValue::Number(by)) if is_64 => {
                RegisterValue::Constants(offset.wrapping_add(by as i64))
            }
            (operation, RegisterValue::Number(left), RegisterValue::Number(right)) => {
                let result = compute(operation, left, right, is_64);
                result.map_or(RegisterValue::Unknown, RegisterValue::Number)
            }
            _ => RegisterValue::Unknown,
        }
    }

    /// Returns whether a branch is taken, or `None` if that is not known.
    pub(super) fn takes(&self, branch: &bpf_insn) -> Option<bool> {
        let (left, right) = (self.0[branch.dst()], self.operand(branch));
        let (left, right) = (left.number()?, right.number()?);
        if branch.class() == Class::Jump32 {
            let (left, right) = (left as u32, right as u32);
            let signed = i64::from(left as i32).cmp(&i64::from(right as i32));
            compare(
                branch.operation(),
                u64::from(left),
                u64::from(right),
                signed,
            )
        } else {
            let signed = (left as i64).cmp(&(right as i64));
            compare(branch.operation(), left, right, signed)
        }
    }
}

fn load_constant(insn: &bpf_insn, next: Option<&bpf_insn>, of: &Constants) -> RegisterValue {
    let (true, Some(next)) = (insn.code == LOAD_IMM64, next) else {
        return RegisterValue::Unknown;
    };
    if insn.map_of_value() == Some(of.map) {
        return RegisterValue::Constants(i64::from(next.imm));
    }
    if insn.src_reg() != 0 {
        return RegisterValue::Unknown;
    }
    let number = u64::from(insn.imm as u32) | u64::from(next.imm as u32) << 32;
    if of.marks.contains(&number) {
        return RegisterValue::Unknown;
    }
    RegisterValue::Number(number)
}

/// Returns the result of an operation on 64 bits, or else on the lower 32 bits of the operands,
/// zero-extended. `None` if the operation is not supported.
fn compute(operation: u8, left: u64, right: u64, is_64: bool) -> Option<u64> {
    let (left, right, bits) = if is_64 {
        (left, right, 64)
    } else {
        (u64::from(left as u32), u64::from(right as u32), 32)
    };
    let by = (right % bits) as u32;
    let result = match operation {
        alu::ADD => left.wrapping_add(right),
        alu::SUB => left.wrapping_sub(right),
        alu::MUL => left.wrapping_mul(right),
        alu::OR => left | right,
        alu::AND => left & right,
        alu::XOR => left ^ right,
        alu::LSH => left << by,
        alu::RSH => left >> by,
        alu::ARSH if is_64 => (left as i64 >> by) as u64,
        alu::ARSH => (left as i32 >> by) as u64,
        alu::NEG => left.wrapping_neg(),
        _ => return None,
    };
    Some(if is_64 {
        result
    } else {
        u64::from(result as u32)
    })
}

fn compare(operation: u8, left: u64, right: u64, signed: Ordering) -> Option<bool> {
    Some(match operation {
        jump::EQ => left == right,
        jump::NE => left != right,
        jump::GT => left > right,
        jump::GE => left >= right,
        jump::LT => left < right,
        jump::LE => left <= right,
        jump::SET => left & right != 0,
        jump::SGT => signed.is_gt(),
        jump::SGE => signed.is_ge(),
        jump::SLT => signed.is_lt(),
        jump::SLE => signed.is_le(),
        _ => return None,
    })
}
