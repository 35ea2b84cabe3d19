// SPDX-License-Identifier: BSD-2-Clause
//! x86-64: identification of executables and libraries, registers, operands of USDT arguments.

use gimli::X86_64;
use object::elf::{self, Machine};

use crate::spec::{ArgumentPlace, Register};
use crate::user::errno::ErrnoCode;

/// The architecture of an ELF file.
pub(in crate::user) const MACHINE: Machine = elf::EM_X86_64;

/// `FLAG_X8664_LIB64` of glibc: the architecture in an entry of `ld.so.cache`.
pub(in crate::user) const LD_CACHE_FLAG: u32 = 0x0300;

/// Where Debian has libraries of this architecture, below `/lib` and `/usr/lib`.
pub(in crate::user) const LIBRARY_DIRECTORY: &str = "x86_64-linux-gnu";

/// The file with the directories in which musl's loader looks for libraries.
pub(in crate::user) const MUSL_PATHS: &str = "/etc/ld-musl-x86_64.path";

/// Size of a return address on the stack, in bytes. It is next to the frame that calls.
pub(in crate::user) const RETURN_ADDRESS_SIZE: i64 = 8;

/// The instruction pointer. At a probe it is the address of the probed instruction.
const RIP: Register = Register(128);

/// `endbr64`, which functions begin with if they are compiled for indirect branch tracking.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// Reads the code of `__errno_location`: of glibc `mov slot(%rip),%rax; add %fs:0,%rax; ret`, of musl
/// `mov %fs:0,%rax; add $distance,%rax; ret`.
pub(in crate::user) fn errno_code(code: &[u8]) -> Option<ErrnoCode> {
    let rest = code.strip_prefix(&ENDBR64).unwrap_or(code);
    let skipped = (code.len() - rest.len()) as i64;
    if let Some(rest) = rest.strip_prefix(&[0x48, 0x8b, 0x05]) {
        let (slot, rest) = rest.split_first_chunk::<4>()?;
        // The distance counts from the next instruction.
        let slot = i64::from(i32::from_le_bytes(*slot)) + skipped + 7;
        let is_it = rest.starts_with(&[0x64, 0x48, 0x03, 0x04, 0x25, 0, 0, 0, 0, 0xc3]);
        return is_it.then_some(ErrnoCode::Slot(slot));
    }
    let rest = rest.strip_prefix(&[0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0])?;
    match rest {
        [0x48, 0x83, 0xc0, distance, 0xc3, ..] => {
            Some(ErrnoCode::Distance(i64::from(*distance as i8)))
        }
        _ => None,
    }
}

/// Offset of the second byte of a register.
const SECOND_BYTE: u16 = 1;

/// The registers by the names of their parts: 64, 32, 16 and 8 bits, with their offsets in
/// `struct pt_regs` (`arch/x86/include/asm/ptrace.h`).
const NAMES: [([&str; 4], Register); 8] = [
    (["rax", "eax", "ax", "al"], Register(80)),
    (["rbx", "ebx", "bx", "bl"], Register(40)),
    (["rcx", "ecx", "cx", "cl"], Register(88)),
    (["rdx", "edx", "dx", "dl"], Register(96)),
    (["rsi", "esi", "si", "sil"], Register(104)),
    (["rdi", "edi", "di", "dil"], Register(112)),
    (["rbp", "ebp", "bp", "bpl"], Register(32)),
    (["rsp", "esp", "sp", "spl"], Register(152)),
];

/// The second bytes of registers.
const SECOND_BYTES: [(&str, Register); 4] = [
    ("ah", Register(80)),
    ("bh", Register(40)),
    ("ch", Register(88)),
    ("dh", Register(96)),
];

/// `r8` to `r15`, whose parts have the suffixes `d`, `w` and `b`.
const NUMBERED: [Register; 8] = [
    Register(72),
    Register(64),
    Register(56),
    Register(48),
    Register(24),
    Register(16),
    Register(8),
    Register(0),
];

/// Returns the register with this name; `None` for one that is not in `struct pt_regs`.
fn register(name: &str) -> Option<Register> {
    if name == "rip" {
        return Some(RIP);
    }
    if let Some((_, register)) = NAMES.iter().find(|(names, _)| names.contains(&name)) {
        return Some(*register);
    }
    if let Some((_, register)) = SECOND_BYTES.iter().find(|(known, _)| *known == name) {
        return Some(Register(register.0 + SECOND_BYTE));
    }
    let number = name.strip_prefix('r')?.trim_end_matches(['d', 'w', 'b']);
    let number: usize = number.parse().ok()?;
    NUMBERED.get(number.checked_sub(8)?).copied()
}

/// Returns the register with this number in unwind information; `None` for one that is not in
/// `struct pt_regs`.
pub(in crate::user) fn dwarf_register(number: gimli::Register) -> Option<Register> {
    register(X86_64::register_name(number)?)
}

/// Returns whether a register is the stack pointer.
pub(in crate::user) fn is_stack_pointer(number: gimli::Register) -> bool {
    number == X86_64::RSP
}

/// Parses an operand as the assembler of GNU has it: `$5`, `%eax`, `-16(%rbp)`, `8(%rax,%rdx,4)`,
/// `name+4(%rip)`. `distance` returns the distance of a symbol from the probe.
pub(in crate::user) fn argument_place(
    operand: &str,
    distance: &dyn Fn(&str) -> Option<i64>,
) -> Option<ArgumentPlace> {
    if let Some(number) = operand.strip_prefix('$') {
        return Some(ArgumentPlace::Constant(number_of(number)?));
    }
    if let Some(name) = operand.strip_prefix('%') {
        return Some(ArgumentPlace::Register(register(name)?));
    }
    let Some((displacement, registers)) = operand.split_once('(') else {
        // Without registers the address is absolute. A symbol moves with its file.
        let displacement = of_symbol(operand, distance)?;
        return Some(ArgumentPlace::Memory {
            base: Some(RIP),
            index: None,
            displacement,
        });
    };
    let mut parts = registers.strip_suffix(')')?.split(',').map(str::trim);
    let base = match parts.next()? {
        "" => None,
        name => Some(register(name.strip_prefix('%')?)?),
    };
    let index = match parts.next() {
        None | Some("") => None,
        Some(name) => Some(register(name.strip_prefix('%')?)?),
    };
    let shift = match parts.next() {
        None | Some("" | "1") => 0,
        Some("2") => 1,
        Some("4") => 2,
        Some("8") => 3,
        Some(_) => return None,
    };
    let displacement = match displacement {
        "" => 0,
        // A bare number would be relative to the end of an instruction that is not known.
        text if base == Some(RIP) => of_symbol(text, distance)?,
        text => number_of(text)?,
    };
    parts.next().is_none().then_some(ArgumentPlace::Memory {
        base,
        index: index.map(|index| (index, shift)),
        displacement,
    })
}

/// Parses `name`, `name+4`, `name-4` or `4+name`.
fn of_symbol(text: &str, distance: &dyn Fn(&str) -> Option<i64>) -> Option<i64> {
    if let Some((number, name)) = text.split_once('+')
        && let Some(number) = number_of(number)
    {
        return distance(name)?.checked_add(number);
    }
    let (name, rest) = match text.find(['+', '-']) {
        Some(at) if at > 0 => text.split_at(at),
        _ => (text, "0"),
    };
    let rest = number_of(rest.strip_prefix('+').unwrap_or(rest))?;
    distance(name)?.checked_add(rest)
}

fn number_of(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    // Constants of 64 bits without sign are possible.
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    let value = value.cast_signed();
    Some(if is_negative {
        value.wrapping_neg()
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::{ArgumentPlace, RIP, Register, argument_place};

    fn place(operand: &str) -> Option<ArgumentPlace> {
        argument_place(operand, &|name| (name == "counter").then_some(0x100))
    }

    fn memory(
        base: Option<u16>,
        index: Option<(u16, u8)>,
        displacement: i64,
    ) -> Option<ArgumentPlace> {
        Some(ArgumentPlace::Memory {
            base: base.map(Register),
            index: index.map(|(register, shift)| (Register(register), shift)),
            displacement,
        })
    }

    #[test]
    fn constants_and_registers() {
        assert_eq!(place("$5"), Some(ArgumentPlace::Constant(5)));
        assert_eq!(place("$-1"), Some(ArgumentPlace::Constant(-1)));
        assert_eq!(
            place("$18446744073709551615"),
            Some(ArgumentPlace::Constant(-1))
        );
        for (name, offset) in [("%eax", 80), ("%r15", 0), ("%r8d", 72), ("%ch", 89)] {
            assert_eq!(
                place(name),
                Some(ArgumentPlace::Register(Register(offset))),
                "{name}"
            );
        }
    }

    #[test]
    fn memory_with_base_index_and_scale() {
        assert_eq!(place("(%rdi)"), memory(Some(112), None, 0));
        assert_eq!(place("-16(%rbp)"), memory(Some(32), None, -16));
        assert_eq!(place("8(%rax,%rdx,4)"), memory(Some(80), Some((96, 2)), 8));
        assert_eq!(place("0x10(,%rcx,8)"), memory(None, Some((88, 3)), 16));
        assert_eq!(place("(%rax,%r9)"), memory(Some(80), Some((64, 0)), 0));
    }

    #[test]
    fn symbols_are_relative_to_the_probe() {
        for (text, displacement) in [
            ("counter(%rip)", 0x100),
            ("counter+8(%rip)", 0x108),
            ("counter-8(%rip)", 0xf8),
            ("4+counter(%rip)", 0x104),
            ("counter", 0x100),
        ] {
            assert_eq!(
                place(text),
                memory(Some(RIP.0), None, displacement),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_place() {
        for text in [
            "",
            "$",
            "%",
            "%xmm0",
            "%r16",
            "%r7",
            "8(%rax",
            "8(%rax,%rdx,3)",
            "8(rax)",
            "%fs:-8",
            "nosuch(%rip)",
            "16(%rip)",
            "(%rax,%rdx,1,2)",
            "$99999999999999999999",
            "()",
        ] {
            let found = place(text);
            assert!(
                found.is_none() || found == memory(None, None, 0),
                "{text}: {found:?}"
            );
        }
    }
}
