// SPDX-License-Identifier: BSD-2-Clause
//! The operands of an instruction: registers, words of the frame, and constants.

use iced_x86::{ConditionCode, Instruction, Mnemonic, OpKind, Register};

use super::{MAX_FRAME, Translation};
use crate::code::flow::{Condition, Extension, Operand, Operation, Place};

impl Translation<'_> {
    /// Returns the size of the first operand in bytes.
    pub(super) fn size(&self) -> u8 {
        operand_size(self.insn, 0)
    }

    /// Returns where the first operand is kept, and its size; `None` if that is not followed.
    pub(super) fn written(&self) -> Option<(Place, u8)> {
        let size = self.size();
        match self.read(0) {
            Operand::Place(place) => Some((place, size)),
            Operand::Constant(_) | Operand::Unknown => None,
        }
    }

    pub(super) fn operand(&self, n: u32) -> Operand {
        match constant(self.insn, n) {
            Some(value) => Operand::Constant(value),
            None => self.read(n),
        }
    }

    /// Returns an operand that is a register or in memory, or a constant.
    pub(super) fn read(&self, n: u32) -> Operand {
        match self.insn.op_kind(n) {
            OpKind::Register => {
                let register = self.insn.op_register(n);
                let is_low = !matches!(
                    register,
                    Register::AH | Register::BH | Register::CH | Register::DH
                );
                match general(register).filter(|_| is_low) {
                    Some(number) => Operand::Place(Place::Register(number)),
                    None => Operand::Unknown,
                }
            }
            OpKind::Memory => {
                let size = operand_size(self.insn, n);
                match self.frame_offset() {
                    Some(offset) if size > 0 => Operand::Place(Place::Slot(offset, size)),
                    _ => Operand::Unknown,
                }
            }
            _ => constant(self.insn, n).map_or(Operand::Unknown, Operand::Constant),
        }
    }

    /// Returns the offset of the memory operand from the entry's stack pointer, if it is a word of
    /// the frame.
    pub(super) fn frame_offset(&self) -> Option<i32> {
        let insn = self.insn;
        let base = match insn.memory_base() {
            Register::RSP => self.frame.stack,
            Register::RBP => self.frame.base,
            _ => None,
        };
        if insn.memory_index() != Register::None || insn.segment_prefix() != Register::None {
            return None;
        }
        let by = i32::try_from(insn.memory_displacement64() as i64).ok()?;
        moved(base, by)
    }

    pub(super) fn mix(&mut self, to: u8, from: &[u8]) {
        let from = from.iter().copied().map(Place::Register).collect();
        self.mix_places(Place::Register(to), from);
    }

    pub(super) fn mix_places(&mut self, to: Place, from: Vec<Place>) {
        self.operations.push(Operation::Mix { to, from });
    }
}

pub(super) fn moved(offset: Option<i32>, by: i32) -> Option<i32> {
    let offset = offset?.checked_add(by)?;
    (-MAX_FRAME..MAX_FRAME).contains(&offset).then_some(offset)
}

pub(super) fn whole(to: Place, from: Operand) -> Operation {
    Operation::Copy {
        to,
        from,
        size: 8,
        extension: Extension::Zero,
        to_size: 8,
    }
}

pub(super) fn general(register: Register) -> Option<u8> {
    register
        .is_gpr()
        .then(|| register.full_register().number() as u8)
}

pub(super) fn is_same(insn: &Instruction) -> bool {
    insn.op0_kind() == OpKind::Register
        && insn.op1_kind() == OpKind::Register
        && insn.op0_register() == insn.op1_register()
}

pub(super) fn writes_first(insn: &Instruction) -> bool {
    !matches!(insn.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
}

pub(super) fn is_cmov(insn: &Instruction) -> bool {
    insn.condition_code() != ConditionCode::None && insn.op_count() == 2
}

pub(super) fn is_setcc(insn: &Instruction) -> bool {
    insn.condition_code() != ConditionCode::None && insn.op_count() == 1
}

pub(super) fn operand_size(insn: &Instruction, n: u32) -> u8 {
    let size = match insn.op_kind(n) {
        OpKind::Register => insn.op_register(n).size(),
        OpKind::Memory => insn.memory_size().size(),
        OpKind::Immediate8 => 1,
        OpKind::Immediate16 | OpKind::Immediate8to16 => 2,
        OpKind::Immediate32 | OpKind::Immediate8to32 => 4,
        OpKind::Immediate64 | OpKind::Immediate8to64 | OpKind::Immediate32to64 => 8,
        _ => 0,
    };
    match size {
        1 | 2 | 4 | 8 => size as u8,
        _ => 0,
    }
}

/// Returns a constant operand, sign-extended.
pub(super) fn constant(insn: &Instruction, n: u32) -> Option<u64> {
    if n >= insn.op_count() {
        return None;
    }
    match insn.op_kind(n) {
        OpKind::Immediate8
        | OpKind::Immediate16
        | OpKind::Immediate32
        | OpKind::Immediate64
        | OpKind::Immediate8to16
        | OpKind::Immediate8to32
        | OpKind::Immediate8to64
        | OpKind::Immediate32to64 => Some(insn.immediate(n)),
        _ => None,
    }
}

pub(super) fn condition(insn: &Instruction) -> Condition {
    match insn.condition_code() {
        _ if insn.is_loopcc() => Condition::Unknown,
        ConditionCode::e => Condition::Equal,
        ConditionCode::ne => Condition::NotEqual,
        ConditionCode::b => Condition::Below,
        ConditionCode::ae => Condition::AboveOrEqual,
        ConditionCode::be => Condition::BelowOrEqual,
        ConditionCode::a => Condition::Above,
        ConditionCode::l => Condition::Less,
        ConditionCode::ge => Condition::GreaterOrEqual,
        ConditionCode::le => Condition::LessOrEqual,
        ConditionCode::g => Condition::Greater,
        ConditionCode::s => Condition::Negative,
        ConditionCode::ns => Condition::NotNegative,
        _ => Condition::Unknown,
    }
}
