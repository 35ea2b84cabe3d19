// SPDX-License-Identifier: BSD-2-Clause
//! x86-64: decodes the bytes of a function in one linear pass.
//!
//! The kernel's text has no data between instructions, so a linear pass meets all of them. Code
//! that tracers have patched in (a call of a trampoline, `int3`) costs an instruction or two until
//! the decoder is in step again. Values are not tracked through registers. An errno counts as made
//! if an instruction contains it as a constant, or contains the constants from which compilers
//! compute a choice of two errnos.

mod translate;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use crate::code::decode::{ControlTransfer, Decoded, ResultUse};
use crate::spec::Addr;

pub(in crate::code) use self::translate::{ARGUMENTS, CLOBBERED, N_REGISTERS, translate};

/// Number of instructions after a call that are checked for the use of its result.
const RESULT_USE_WINDOW: u8 = 6;

/// Number of instructions for which a condition (`setcc`, `sbb`) is remembered.
const CONDITION_WINDOW: u8 = 4;

/// Maximum offset in bytes at which a call may enter a function. Direct calls on newer kernels skip
/// `endbr64`.
pub(in crate::code) const MAX_ENTRY_OFFSET: u64 = 16;

/// Prefixes of what is called and does nothing: mitigations, and the call of ftrace.
pub(in crate::code) const NOTHING: &[&str] = &[
    "__x86_return_",
    "retbleed_",
    "srso_",
    "entry_ibpb",
    "__fentry__",
    "clear_bhb_loop",
    "write_ibpb",
];

/// Prefixes of what is called by assembler code that does not say that the usual registers are
/// lost: the slow paths of macros, and thunks that save them.
const KEEP_REGISTERS: &[&str] = &[
    "__SCT__preempt_schedule",
    "__get_user_",
    "__preempt_schedule",
    "__put_user_",
    "__raw_callee_save_",
    "__sw_hweight",
    "___preempt_schedule",
    "clear_page_",
    "clear_user_",
    "cmpxchg8b_emu",
    "copy_user_",
    "ftrace_",
    "native_",
    "paravirt_",
    "preempt_schedule_",
    "rep_movs_",
    "rep_stos_",
    "this_cpu_cmpxchg",
    "xen_",
    "zen_untrain_ret",
];

/// The kernel's `MAX_ERRNO`.
const MAX_ERRNO: i64 = 4095;

/// For each of the sixteen registers: the offset of its last load through a pointer; `None` if it
/// was not loaded so.
pub(in crate::code) type Loads = [Option<u16>; 16];

/// Returns true for thunks of indirect calls and for those of static calls.
pub(in crate::code) fn is_thunk(name: &str) -> bool {
    name.starts_with("__x86_indirect_") || name.starts_with("__x86_static_call_")
}

/// Returns true for thunks of returns, to which functions jump instead of a `ret`.
pub(in crate::code) fn is_return_thunk(name: &str) -> bool {
    name.starts_with("__x86_return_") || name.ends_with("_return_thunk")
}

/// Returns true for what may keep registers that functions need not keep.
pub(in crate::code) fn keeps_registers(name: &str) -> bool {
    let mut known = KEEP_REGISTERS.iter().chain(NOTHING);
    known.any(|start| name.starts_with(start))
}

/// Returns the number of the register that a thunk calls. The thunk of `rax` has the same address
/// as the array of thunks.
pub(in crate::code) fn register_of_thunk(name: &str) -> Option<usize> {
    const REGISTERS: [&str; 16] = [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15",
    ];
    let (thunk, register) = name.rsplit_once('_')?;
    if !thunk.starts_with("__x86_indirect_") {
        return None;
    }
    match register {
        "array" => Some(0),
        register => REGISTERS.iter().position(|known| *known == register),
    }
}

/// Decodes `bytes`, which are located at `addr`.
pub(in crate::code) fn decode(addr: Addr, bytes: &[u8]) -> Option<Decoded> {
    let mut pass = Pass::default();
    pass.found.leaders.push(addr);
    let end = addr.0.saturating_add(bytes.len() as u64);
    let mut decoder = Decoder::with_ip(64, bytes, addr.0, DecoderOptions::NONE);
    let mut insn = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut insn);
        if insn.is_invalid() {
            continue;
        }
        pass.result(&insn);
        pass.errnos(&insn);
        pass.transfer(&insn, addr.0, end);
        pass.load(&insn);
    }
    Some(pass.found)
}

#[derive(Default)]
struct Pass {
    found: Decoded,
    watched: Option<Watched>,
    /// Number of further instructions for which a condition in a register is remembered.
    condition: u8,
    /// The mask that was last applied to a condition.
    mask: Option<i64>,
    loads: Loads,
}

/// A call whose result is being watched.
struct Watched {
    index: usize,
    left: u8,
    /// The register that the result was copied to.
    copy: Option<Register>,
}

impl Pass {
    fn transfer(&mut self, insn: &Instruction, start: u64, end: u64) {
        let is_call = match insn.flow_control() {
            FlowControl::Call => true,
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => false,
            FlowControl::IndirectCall => {
                self.found.has_indirect = true;
                self.found.slots.extend(self.slot(insn));
                return;
            }
            FlowControl::IndirectBranch => {
                self.found.slots.extend(self.slot(insn));
                self.found.leaders.push(Addr(insn.next_ip()));
                // A jump through an indexed table stays inside the function.
                self.found.has_indirect |= insn.memory_index() == Register::None;
                return;
            }
            FlowControl::Return | FlowControl::Interrupt | FlowControl::Exception => {
                self.found.leaders.push(Addr(insn.next_ip()));
                return;
            }
            _ => return,
        };
        let target = insn.near_branch_target();
        if !is_call {
            self.found.leaders.push(Addr(insn.next_ip()));
            if (start..end).contains(&target) {
                self.found.leaders.push(Addr(target));
                return;
            }
        }
        let result = if is_call {
            ResultUse::Unknown
        } else {
            ResultUse::Tested
        };
        self.found.transfers.push(ControlTransfer {
            target: Addr(target),
            is_call,
            offset: insn.ip().wrapping_sub(start),
            result,
            loads: self.loads,
        });
        if is_call {
            self.watched = Some(Watched {
                index: self.found.transfers.len() - 1,
                left: RESULT_USE_WINDOW,
                copy: None,
            });
        }
    }

    /// Returns the offset from which the target of an indirect call or jump was loaded.
    fn slot(&self, insn: &Instruction) -> Option<u16> {
        match insn.op0_kind() {
            OpKind::Register => self.loads[general(insn.op0_register())?],
            OpKind::Memory => offset_behind_pointer(insn),
            _ => None,
        }
    }

    /// Records which registers are loaded through a pointer.
    fn load(&mut self, insn: &Instruction) {
        if insn.flow_control() == FlowControl::Call {
            for (register, load) in self.loads.iter_mut().enumerate() {
                // `rbx`, `rbp` and `r12` to `r15` survive calls.
                if !matches!(register, 3 | 5 | 12..=15) {
                    *load = None;
                }
            }
        } else if insn.op_count() > 0
            && insn.op0_kind() == OpKind::Register
            && !matches!(
                insn.mnemonic(),
                Mnemonic::Test | Mnemonic::Cmp | Mnemonic::Push
            )
            && let Some(register) = general(insn.op0_register())
        {
            let is_pointer = insn.mnemonic() == Mnemonic::Mov && insn.op0_register().size() == 8;
            self.loads[register] = is_pointer.then(|| offset_behind_pointer(insn)).flatten();
        }
    }

    /// Determines what becomes of the last call's result.
    fn result(&mut self, insn: &Instruction) {
        let Some(watched) = &mut self.watched else {
            return;
        };
        let holds = |register: Register| {
            let full = register.full_register();
            full == Register::RAX || watched.copy.is_some_and(|copy| copy == full)
        };
        let operand = |n| match insn.op_kind(n) {
            OpKind::Register => insn.op_register(n),
            _ => Register::None,
        };
        let verdict = match insn.mnemonic() {
            Mnemonic::Test | Mnemonic::Cmp | Mnemonic::Cmove | Mnemonic::Cmovne
                if holds(operand(0)) || insn.op_count() > 1 && holds(operand(1)) =>
            {
                Some(ResultUse::Tested)
            }
            Mnemonic::Ret => Some(ResultUse::Tested),
            Mnemonic::Mov | Mnemonic::Movsxd | Mnemonic::Cdqe if holds(operand(1)) => {
                let to = operand(0).full_register();
                if to == Register::None {
                    Some(ResultUse::Tested) // kept in memory
                } else {
                    watched.copy = Some(to);
                    None
                }
            }
            Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Lea | Mnemonic::Xor
                if operand(0).full_register() == Register::RAX =>
            {
                match watched.copy {
                    // `xor` with another register reads the result.
                    _ if insn.mnemonic() == Mnemonic::Xor && operand(1) != operand(0) => {
                        Some(ResultUse::Tested)
                    }
                    _ if uses_result_as_address(insn) => Some(ResultUse::Tested),
                    Some(_) => None,
                    None => Some(ResultUse::Ignored),
                }
            }
            Mnemonic::Call => Some(match watched.copy {
                Some(_) => ResultUse::Tested,
                None => ResultUse::Ignored,
            }),
            Mnemonic::Jmp => Some(ResultUse::Unknown),
            _ => None,
        };
        watched.left -= 1;
        let verdict = verdict.or_else(|| {
            (watched.left == 0).then_some(match watched.copy {
                Some(_) => ResultUse::Tested,
                None => ResultUse::Unknown,
            })
        });
        if let Some(verdict) = verdict {
            let index = watched.index;
            self.found.transfers[index].result = verdict;
            self.watched = None;
        }
    }

    /// Collects the errnos among the constants.
    fn errnos(&mut self, insn: &Instruction) {
        self.condition = self.condition.saturating_sub(1);
        let found = &mut self.found.makes;
        let mut makes = |value| {
            found.extend(errno_of(value).map(|errno| (Addr(insn.ip()), errno)));
        };
        match insn.mnemonic() {
            Mnemonic::Mov => {
                if let Some(value) = constant(insn) {
                    makes(value);
                } else if reads_table(insn) {
                    self.found.has_table = true;
                }
            }
            Mnemonic::Or => makes(constant(insn).unwrap_or_default()),
            Mnemonic::Sbb => {
                makes(-1);
                self.begin_condition();
            }
            Mnemonic::Neg | Mnemonic::Dec | Mnemonic::Not if self.condition > 0 => {
                makes(-1);
                self.condition = CONDITION_WINDOW;
            }
            Mnemonic::And => {
                if let Some(mask) = constant(insn) {
                    makes(mask);
                    self.mask = Some(mask);
                    self.condition = self.condition.max(2);
                }
            }
            Mnemonic::Add | Mnemonic::Sub if self.condition > 0 => {
                if let Some(value) = constant(insn) {
                    let value = match insn.mnemonic() {
                        Mnemonic::Add => value,
                        _ => value.wrapping_neg(),
                    };
                    makes(value);
                    makes(value.wrapping_add(self.mask.unwrap_or(1)));
                }
            }
            Mnemonic::Lea if self.condition > 0 => {
                let displacement = insn.memory_displacement64() as i64;
                for step in [0, 1, 2, 3, 4, 5, 8, 9] {
                    makes(displacement.wrapping_add(step));
                }
            }
            // Arithmetic may turn this `bool` into 0 or an errno.
            Mnemonic::Movzx => self.begin_condition(),
            _ if is_setcc(insn.mnemonic()) => self.begin_condition(),
            _ => {}
        }
    }

    fn begin_condition(&mut self) {
        self.condition = CONDITION_WINDOW;
        self.mask = None;
    }
}

/// Returns the positive errno of a value as a function returns it (-1 to -4095); `None` for other
/// values.
fn errno_of(value: i64) -> Option<u16> {
    (-MAX_ERRNO..0).contains(&value).then(|| (-value) as u16)
}

/// Returns the number of a general register, from 0 for `rax` to 15 for `r15`.
fn general(register: Register) -> Option<usize> {
    let is_general = register.is_gpr();
    is_general.then(|| register.full_register().number())
}

/// Returns the offset of a memory operand without index: 0x18 for `[rax+0x18]`.
fn offset_behind_pointer(insn: &Instruction) -> Option<u16> {
    let is_pointer = general(insn.memory_base()).is_some()
        && insn.memory_index() == Register::None
        && insn.segment_prefix() == Register::None;
    let has_memory = (0..insn.op_count()).any(|n| insn.op_kind(n) == OpKind::Memory);
    if is_pointer && has_memory {
        u16::try_from(insn.memory_displacement64()).ok()
    } else {
        None
    }
}

/// Returns the constant operand of an instruction with 32 or 64 bits, sign-extended.
fn constant(insn: &Instruction) -> Option<i64> {
    let last = insn.op_count().checked_sub(1)?;
    let value = match insn.op_kind(last) {
        OpKind::Immediate32 => i64::from(insn.immediate32() as i32),
        OpKind::Immediate8to32 => i64::from(insn.immediate8to32()),
        OpKind::Immediate8to64 => insn.immediate8to64(),
        OpKind::Immediate32to64 => insn.immediate32to64(),
        OpKind::Immediate64 => insn.immediate64() as i64,
        _ => return None,
    };
    Some(value)
}

fn uses_result_as_address(insn: &Instruction) -> bool {
    [insn.memory_base(), insn.memory_index()]
        .iter()
        .any(|register| register.full_register() == Register::RAX)
}

/// Returns true for `mov eax, [rdi*4 + table]`: a `switch` whose cases are values.
fn reads_table(insn: &Instruction) -> bool {
    insn.op1_kind() == OpKind::Memory
        && insn.memory_base() == Register::None
        && insn.memory_index() != Register::None
        && matches!(insn.segment_prefix(), Register::None)
}

fn is_setcc(mnemonic: Mnemonic) -> bool {
    matches!(
        mnemonic,
        Mnemonic::Sete
            | Mnemonic::Setne
            | Mnemonic::Seta
            | Mnemonic::Setae
            | Mnemonic::Setb
            | Mnemonic::Setbe
            | Mnemonic::Setg
            | Mnemonic::Setge
            | Mnemonic::Setl
            | Mnemonic::Setle
            | Mnemonic::Sets
            | Mnemonic::Setns
    )
}
