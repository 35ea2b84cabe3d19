// SPDX-License-Identifier: BSD-2-Clause
//! x86-64: translates one instruction for the data flow (`code/flow`).
//!
//! Copies, simple arithmetic and comparisons are translated exactly. Of all other instructions it
//! is known which registers they read and write.

mod operands;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfo, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register,
};

use self::operands::{
    condition, constant, general, is_cmov, is_same, is_setcc, moved, operand_size, whole,
    writes_first,
};
use crate::code::flow::{
    Calculation, Condition, Extension, Frame, Onward, Operand, Operation, Place, Translated,
};

/// Numbers of registers.
const RAX: u8 = 0;
const RDX: u8 = 2;
const RSP: u8 = 4;
const RBP: u8 = 5;

/// Number of general registers.
pub(in crate::code) const N_REGISTERS: usize = 16;

/// The registers that hold the first six arguments of a call.
pub(in crate::code) const ARGUMENTS: &[u8] = &[7, 6, 2, 1, 8, 9];

/// The registers that do not survive a call.
pub(in crate::code) const CLOBBERED: &[u8] = &[0, 1, 2, 6, 7, 8, 9, 10, 11];

/// The size of what a call, `push` and `pop` move, in bytes.
const WORD: i32 = 8;

/// Maximum distance of a word of the stack from the entry's stack pointer, in bytes.
const MAX_FRAME: i32 = 1 << 20;

/// Translates the instruction at the start of `bytes`, which is located at `addr`. `frame` is
/// changed to what it is afterwards. `None`: there is no valid instruction.
pub(in crate::code) fn translate(addr: u64, bytes: &[u8], frame: &mut Frame) -> Option<Translated> {
    let mut decoder = Decoder::with_ip(64, bytes, addr, DecoderOptions::NONE);
    if !decoder.can_decode() {
        return None;
    }
    let insn = decoder.decode();
    if insn.is_invalid() {
        return None;
    }
    let mut translation = Translation {
        insn: &insn,
        frame,
        operations: Vec::new(),
        taken: None,
    };
    let onward = translation.onward();
    if matches!(onward, Onward::Next) {
        translation.operate();
    } else {
        translation.uses();
    }
    let Translation {
        operations, taken, ..
    } = translation;
    Some(Translated {
        length: insn.len() as u8,
        operations,
        onward,
        taken,
        is_indexed: insn.memory_index() != Register::None && insn.mnemonic() != Mnemonic::Lea,
    })
}

struct Translation<'a> {
    insn: &'a Instruction,
    frame: &'a mut Frame,
    operations: Vec<Operation>,
    taken: Option<i32>,
}

impl Translation<'_> {
    fn onward(&mut self) -> Onward {
        let insn = self.insn;
        match insn.flow_control() {
            FlowControl::UnconditionalBranch => Onward::Jump(insn.near_branch_target()),
            FlowControl::ConditionalBranch => {
                Onward::Branch(condition(insn), insn.near_branch_target())
            }
            FlowControl::Call => Onward::Call(Some(insn.near_branch_target())),
            FlowControl::IndirectCall
                if insn.op0_kind() == OpKind::Memory
                    && matches!(insn.memory_base(), Register::None | Register::RIP)
                    && insn.memory_index() == Register::None =>
            {
                Onward::CallThroughGlobal
            }
            FlowControl::IndirectCall => Onward::Call(None),
            // `notrack` marks jump tables. Kernels with retpolines have none.
            FlowControl::IndirectBranch
                if insn.memory_index() == Register::None
                    && insn.segment_prefix() != Register::DS =>
            {
                Onward::LeaveThroughPointer
            }
            FlowControl::IndirectBranch | FlowControl::XbeginXabortXend => Onward::Lost,
            FlowControl::Return => Onward::Return,
            // Breakpoints stand for an instruction that is not seen.
            FlowControl::Interrupt => Onward::Lost,
            // The kernel continues behind `ud2` if that is a warning; without its table of bugs
            // this is assumed of all.
            FlowControl::Exception if insn.mnemonic() != Mnemonic::Ud2 => Onward::End,
            _ if insn.mnemonic() == Mnemonic::Hlt => Onward::End,
            FlowControl::Exception | FlowControl::Next => Onward::Next,
        }
    }

    fn operate(&mut self) {
        let insn = self.insn;
        match insn.mnemonic() {
            Mnemonic::Nop | Mnemonic::Endbr64 | Mnemonic::Ud2 | Mnemonic::Pause => {}
            Mnemonic::Push => self.push(),
            Mnemonic::Pop => self.pop(),
            Mnemonic::Leave => {
                self.frame.stack = self.frame.base.and_then(|base| base.checked_add(WORD));
                self.frame.base = None;
                self.mix(RBP, &[]);
            }
            _ if self.moves_stack() => {}
            Mnemonic::Mov => self.copy(Extension::Zero),
            Mnemonic::Movzx => self.copy(Extension::Zero),
            Mnemonic::Movsx | Mnemonic::Movsxd => self.copy(Extension::Sign),
            Mnemonic::Cdqe => self.operations.push(Operation::Copy {
                to: Place::Register(RAX),
                from: Operand::Place(Place::Register(RAX)),
                size: 4,
                extension: Extension::Sign,
                to_size: 8,
            }),
            Mnemonic::Cdq | Mnemonic::Cqo => self.mix(RDX, &[RAX]),
            Mnemonic::Lea => self.address(),
            Mnemonic::Xor | Mnemonic::Sub if is_same(insn) => self.set(0),
            Mnemonic::Sbb if is_same(insn) => {
                if let Some((to, _)) = self.written() {
                    self.operations.push(Operation::SetIf {
                        to,
                        condition: Condition::Below,
                        value: if self.size() == 8 {
                            u64::MAX
                        } else {
                            u64::from(u32::MAX)
                        },
                    });
                }
            }
            Mnemonic::Add => self.calculate(Calculation::Add),
            Mnemonic::Sub => self.calculate(Calculation::Sub),
            Mnemonic::And => self.calculate(Calculation::And),
            Mnemonic::Or => self.calculate(Calculation::Or),
            Mnemonic::Xor => self.calculate(Calculation::Xor),
            Mnemonic::Shl => self.calculate(Calculation::ShiftLeft),
            Mnemonic::Shr => self.calculate(Calculation::ShiftRight),
            Mnemonic::Sar => self.calculate(Calculation::ShiftRightSigned),
            Mnemonic::Inc => self.calculate_with(Calculation::Add, Some(Operand::Constant(1))),
            Mnemonic::Dec => self.calculate_with(Calculation::Sub, Some(Operand::Constant(1))),
            Mnemonic::Not => {
                self.calculate_with(Calculation::Xor, Some(Operand::Constant(u64::MAX)));
            }
            Mnemonic::Neg => self.negate(),
            Mnemonic::Cmp => self.compare(Calculation::Sub),
            Mnemonic::Test => self.compare(Calculation::And),
            _ if is_cmov(insn) => self.copy_if(),
            _ if is_setcc(insn) => self.set_if(),
            _ => self.uses(),
        }
    }

    fn push(&mut self) {
        let from = match self.insn.op0_kind() {
            OpKind::Memory => self.read(0),
            _ if self.insn.op0_kind() == OpKind::Register => self.read(0),
            _ => constant(self.insn, 0).map_or(Operand::Unknown, Operand::Constant),
        };
        self.frame.stack = moved(self.frame.stack, -WORD);
        match self.frame.stack {
            Some(offset) => self.operations.push(whole(Place::Slot(offset, 8), from)),
            None => self.operations.push(Operation::Store { from }),
        }
    }

    fn pop(&mut self) {
        let from = self.frame.stack.map_or(Operand::Unknown, |offset| {
            Operand::Place(Place::Slot(offset, 8))
        });
        self.frame.stack = moved(self.frame.stack, WORD);
        if self.insn.op0_kind() == OpKind::Register
            && let Some(to) = general(self.insn.op0_register())
        {
            if to == RBP {
                self.frame.base = None;
            } else if to == RSP {
                self.frame.stack = None;
            }
            self.operations.push(whole(Place::Register(to), from));
        } else {
            self.uses();
        }
    }

    /// Follows changes of the stack pointer and the frame pointer. Returns false if the instruction
    /// changes neither.
    fn moves_stack(&mut self) -> bool {
        let insn = self.insn;
        let to = match insn.op0_kind() {
            OpKind::Register if writes_first(insn) => general(insn.op0_register()),
            _ => None,
        };
        let (Some(to @ (RSP | RBP)), true) = (to, insn.op_count() > 0) else {
            return false;
        };
        let now = match to {
            RSP => self.frame.stack,
            _ => self.frame.base,
        };
        let by = || constant(insn, 1).and_then(|by| i32::try_from(by as i64).ok());
        let is_whole = insn.op0_register().size() == 8;
        let then = match insn.mnemonic() {
            Mnemonic::Sub if is_whole => by().and_then(|by| moved(now, by.checked_neg()?)),
            Mnemonic::Add if is_whole => by().and_then(|by| moved(now, by)),
            Mnemonic::Mov if insn.op1_kind() == OpKind::Register => match insn.op1_register() {
                Register::RSP => self.frame.stack,
                Register::RBP => self.frame.base,
                _ => None,
            },
            Mnemonic::Lea if is_whole => self.frame_offset(),
            _ => None,
        };
        if to == RSP {
            self.frame.stack = then;
            return true;
        }
        self.frame.base = then;
        // The frame pointer is a register like any other if it is no pointer into the frame.
        then.is_some()
    }

    fn copy(&mut self, extension: Extension) {
        let size = operand_size(self.insn, 1);
        let from = self.read(1);
        let Some((to, to_size)) = self.written() else {
            self.operations.push(Operation::Store { from });
            self.address_use();
            return;
        };
        let is_partial = matches!(to, Place::Register(_)) && to_size < 4;
        if is_partial || size == 0 {
            self.uses();
            return;
        }
        self.operations.push(Operation::Copy {
            to,
            from,
            size,
            extension,
            to_size,
        });
        self.address_use();
    }

    fn set(&mut self, value: u64) {
        let size = self.size();
        if let Some((to, _)) = self.written()
            && size >= 4
        {
            self.operations.push(Operation::Compare {
                calculation: Calculation::And,
                a: Operand::Constant(value),
                b: Operand::Constant(value),
                size,
            });
            self.operations.push(whole(to, Operand::Constant(value)));
        } else {
            self.uses();
        }
    }

    fn address(&mut self) {
        let insn = self.insn;
        let Some((to, size)) = self.written() else {
            return;
        };
        if let Some(offset) = self.frame_offset() {
            self.taken = Some(offset);
            self.operations.push(whole(to, Operand::Unknown));
            return;
        }
        let place = |register| general(register).map(Place::Register);
        let displacement = insn.memory_displacement64();
        let sum = |to, a, b| Operation::Calculate {
            to,
            calculation: Calculation::Add,
            a,
            b,
            size,
            is_compared: false,
        };
        let (base, index) = (place(insn.memory_base()), place(insn.memory_index()));
        match (base, index) {
            (Some(base), None) => {
                let displacement = Operand::Constant(displacement);
                self.operations
                    .push(sum(to, Operand::Place(base), displacement));
            }
            // `lea eax, [rax+rax*4-22]`: a choice of two errnos.
            (base, Some(index)) if base.is_none() || base == Some(index) => {
                let times = u64::from(insn.memory_index_scale()) + u64::from(base.is_some());
                self.operations.push(Operation::Calculate {
                    to,
                    calculation: Calculation::Multiply,
                    a: Operand::Place(index),
                    b: Operand::Constant(times),
                    size,
                    is_compared: false,
                });
                let displacement = Operand::Constant(displacement);
                self.operations
                    .push(sum(to, Operand::Place(to), displacement));
            }
            _ => self.uses(),
        }
    }

    fn calculate(&mut self, calculation: Calculation) {
        let b = match constant(self.insn, 1) {
            _ if self.insn.op_count() < 2 => Some(Operand::Constant(1)),
            Some(value) => Some(Operand::Constant(value)),
            None if operand_size(self.insn, 1) == self.size() => Some(self.read(1)),
            None => None,
        };
        self.calculate_with(calculation, b);
    }

    fn calculate_with(&mut self, calculation: Calculation, b: Option<Operand>) {
        let (size, a) = (self.size(), self.read(0));
        match (self.written(), b) {
            (Some((to, _)), Some(b)) if size >= 4 || matches!(to, Place::Slot(..)) => {
                self.operations.push(Operation::Calculate {
                    to,
                    calculation,
                    a,
                    b,
                    size,
                    is_compared: self.insn.mnemonic() != Mnemonic::Not,
                });
                self.address_use();
            }
            _ => self.uses(),
        }
    }

    fn negate(&mut self) {
        let (size, from) = (self.size(), self.read(0));
        match self.written() {
            Some((to, _)) if size >= 4 => {
                // `neg` carries if the operand is not zero, like 0 compared with it.
                self.operations.push(Operation::Calculate {
                    to,
                    calculation: Calculation::Sub,
                    a: Operand::Constant(0),
                    b: from,
                    size,
                    is_compared: true,
                });
            }
            _ => self.uses(),
        }
    }

    fn compare(&mut self, calculation: Calculation) {
        let size = self.size();
        let (a, b) = (self.read(0), self.operand(1));
        self.operations.push(Operation::Compare {
            calculation,
            a,
            b,
            size,
        });
        self.address_use();
    }

    fn copy_if(&mut self) {
        let (size, from) = (self.size(), self.read(1));
        match self.written() {
            Some((to, _)) if size >= 4 => self.operations.push(Operation::CopyIf {
                to,
                from,
                condition: condition(self.insn),
                size,
            }),
            _ => self.uses(),
        }
        self.address_use();
    }

    fn set_if(&mut self) {
        match self.written() {
            // The upper bytes are set to zero before or after it.
            Some((to, _)) => self.operations.push(Operation::SetIf {
                to,
                condition: condition(self.insn),
                value: 1,
            }),
            None => self.uses(),
        }
    }

    /// Records what an instruction does that is not translated exactly.
    fn uses(&mut self) {
        let mut factory = InstructionInfoFactory::new();
        let info: &InstructionInfo = factory.info(self.insn);
        let reads = |access| {
            matches!(
                access,
                OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            )
        };
        let mut from: Vec<Place> = Vec::new();
        let mut to: Vec<u8> = Vec::new();
        for used in info.used_registers() {
            let Some(register) = general(used.register()) else {
                continue;
            };
            if reads(used.access()) {
                from.push(Place::Register(register));
            }
            let writes = !matches!(used.access(), OpAccess::Read | OpAccess::CondRead);
            if writes && used.access() != OpAccess::NoMemAccess {
                to.push(register);
            }
        }
        let is_call = matches!(
            self.insn.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return
        );
        for place in &from {
            if *place != Place::Register(RSP) {
                self.operations.push(Operation::Use { from: *place });
            }
        }
        for register in to.into_iter().filter(|_| !is_call) {
            match register {
                RSP => self.frame.stack = None,
                RBP => self.frame.base = None,
                _ => {}
            }
            self.mix_places(Place::Register(register), from.clone());
        }
        if let Some((slot @ Place::Slot(..), _)) = self.written() {
            self.mix_places(slot, from);
        }
        let stores = info.used_memory().iter().any(|used| {
            !matches!(
                used.access(),
                OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
            )
        });
        if stores && !is_call {
            self.operations.push(Operation::Store {
                from: Operand::Unknown,
            });
        }
        if self.insn.rflags_modified() != 0 {
            self.operations.push(Operation::ForgetComparison);
        }
    }

    /// Records that the registers of a memory operand are used as an address.
    fn address_use(&mut self) {
        for register in [self.insn.memory_base(), self.insn.memory_index()] {
            if let Some(register) = general(register)
                && register != RSP
                && !(register == RBP && self.frame.base.is_some())
            {
                let from = Place::Register(register);
                self.operations.push(Operation::Use { from });
            }
        }
    }
}
