// SPDX-License-Identifier: BSD-2-Clause
//! Decoding of instructions (the kernel's Documentation/bpf/standardization).

use libbpf_sys::bpf_insn;

/// The number of registers: r0 to r10.
pub(super) const REGISTERS: usize = 11;

/// Opcode of the load of a 64-bit constant, which takes two slots.
pub(super) const LOAD_IMM64: u8 = 0x18;
/// Source register field of `LOAD_IMM64`: it loads the address of a map's value.
const PSEUDO_MAP_VALUE: u8 = 2;
/// Source register field of `LOAD_IMM64`: it loads the address of a function of the program.
const PSEUDO_FUNC: u8 = 4;

/// Source register field of a call: it calls a function of the program.
const PSEUDO_CALL: u8 = 1;

const CLASS_MASK: u8 = 0x07;
const OPERATION_MASK: u8 = 0xf0;
const SOURCE_IS_REGISTER: u8 = 0x08;
const MODE_MASK: u8 = 0xe0;
const MODE_MEM: u8 = 0x60;
const MODE_ATOMIC: u8 = 0xc0;
const SIZE_MASK: u8 = 0x18;

/// Operations of `Class::Alu32` and `Class::Alu64`.
pub(super) mod alu {
    pub(in super::super) const ADD: u8 = 0x00;
    pub(in super::super) const SUB: u8 = 0x10;
    pub(in super::super) const MUL: u8 = 0x20;
    pub(in super::super) const OR: u8 = 0x40;
    pub(in super::super) const AND: u8 = 0x50;
    pub(in super::super) const LSH: u8 = 0x60;
    pub(in super::super) const RSH: u8 = 0x70;
    pub(in super::super) const NEG: u8 = 0x80;
    pub(in super::super) const XOR: u8 = 0xa0;
    pub(in super::super) const MOV: u8 = 0xb0;
    pub(in super::super) const ARSH: u8 = 0xc0;
    pub(in super::super) const END: u8 = 0xd0;
}

/// Operations of `Class::Jump` and `Class::Jump32`.
pub(super) mod jump {
    pub(in super::super) const ALWAYS: u8 = 0x00;
    pub(in super::super) const EQ: u8 = 0x10;
    pub(in super::super) const GT: u8 = 0x20;
    pub(in super::super) const GE: u8 = 0x30;
    pub(in super::super) const SET: u8 = 0x40;
    pub(in super::super) const NE: u8 = 0x50;
    pub(in super::super) const SGT: u8 = 0x60;
    pub(in super::super) const SGE: u8 = 0x70;
    pub(in super::super) const CALL: u8 = 0x80;
    pub(in super::super) const EXIT: u8 = 0x90;
    pub(in super::super) const LT: u8 = 0xa0;
    pub(in super::super) const LE: u8 = 0xb0;
    pub(in super::super) const SLT: u8 = 0xc0;
    pub(in super::super) const SLE: u8 = 0xd0;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Load,
    LoadMemory,
    StoreImmediate,
    Store,
    Alu32,
    Jump,
    Jump32,
    Alu64,
}

/// Properties of an instruction.
pub(super) trait Decode {
    fn class(&self) -> Class;
    fn operation(&self) -> u8;
    /// Whether its second operand is a register; otherwise it is `imm`.
    fn takes_register(&self) -> bool;
    fn dst(&self) -> usize;
    fn src(&self) -> usize;
    /// The descriptor of the map, if it loads the address of a map's value.
    fn map_of_value(&self) -> Option<i32>;
    /// The number of bytes that it loads from memory, zero-extended; `None` if it is another kind
    /// of load or instruction.
    fn plain_load_size(&self) -> Option<usize>;
    fn is_atomic(&self) -> bool;
    /// Whether it is a conditional jump.
    fn is_branch(&self) -> bool;
    fn is_exit(&self) -> bool;
    fn is_goto(&self) -> bool;
    fn is_call(&self) -> bool;
    /// The place that it jumps to, if it is at `place`.
    fn target(&self, place: usize) -> usize;
    /// The place of the function of the program that it calls, if it is at `place` and does so.
    fn callee(&self, place: usize) -> Option<usize>;
    /// The number of instruction slots that it takes: 1 or 2.
    fn slots(&self) -> usize;
    /// Whether the methods above are valid for it. They are not for long jumps, addresses of
    /// functions (for callbacks) and loads from packets. Our programs have none of these.
    fn is_supported(&self) -> bool;
}

impl Decode for bpf_insn {
    fn class(&self) -> Class {
        match self.code & CLASS_MASK {
            0 => Class::Load,
            1 => Class::LoadMemory,
            2 => Class::StoreImmediate,
            3 => Class::Store,
            4 => Class::Alu32,
            5 => Class::Jump,
            6 => Class::Jump32,
            _ => Class::Alu64,
        }
    }

    fn operation(&self) -> u8 {
        self.code & OPERATION_MASK
    }

    fn takes_register(&self) -> bool {
        self.code & SOURCE_IS_REGISTER != 0
    }

    fn dst(&self) -> usize {
        usize::from(self.dst_reg()).min(REGISTERS - 1)
    }

    fn src(&self) -> usize {
        usize::from(self.src_reg()).min(REGISTERS - 1)
    }

    fn map_of_value(&self) -> Option<i32> {
        (self.code == LOAD_IMM64 && self.src_reg() == PSEUDO_MAP_VALUE).then_some(self.imm)
    }

    fn plain_load_size(&self) -> Option<usize> {
        if self.class() != Class::LoadMemory || self.code & MODE_MASK != MODE_MEM {
            return None;
        }
        Some(match self.code & SIZE_MASK {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => 8,
        })
    }

    fn is_atomic(&self) -> bool {
        self.class() == Class::Store && self.code & MODE_MASK == MODE_ATOMIC
    }

    fn is_branch(&self) -> bool {
        matches!(self.class(), Class::Jump | Class::Jump32)
            && !matches!(self.operation(), jump::ALWAYS | jump::CALL | jump::EXIT)
    }

    fn is_exit(&self) -> bool {
        self.class() == Class::Jump && self.operation() == jump::EXIT
    }

    fn is_goto(&self) -> bool {
        self.class() == Class::Jump && self.operation() == jump::ALWAYS
    }

    fn is_call(&self) -> bool {
        self.class() == Class::Jump && self.operation() == jump::CALL
    }

    fn target(&self, place: usize) -> usize {
        (place + 1).wrapping_add_signed(isize::from(self.off))
    }

    fn callee(&self, place: usize) -> Option<usize> {
        let is_own = self.is_call() && self.src_reg() == PSEUDO_CALL;
        is_own.then(|| (place + 1).wrapping_add_signed(self.imm as isize))
    }

    fn slots(&self) -> usize {
        if self.code == LOAD_IMM64 { 2 } else { 1 }
    }

    fn is_supported(&self) -> bool {
        match self.class() {
            Class::Jump32 => self.is_branch(),
            // Opcode 0 is the second slot of a 64-bit constant.
            Class::Load => {
                self.code == 0 || (self.code == LOAD_IMM64 && self.src_reg() != PSEUDO_FUNC)
            }
            _ => true,
        }
    }
}
