// SPDX-License-Identifier: BSD-2-Clause
//! Tests with small hand-written programs and with random ones. A program and its specialized form
//! must call the same helpers with the same arguments, store the same values and return the same
//! result.

use libbpf_sys::bpf_insn;

use super::insn::{Decode, REGISTERS};
use super::{Constants, specialized_insns};

const MAP: i32 = 9;
const OTHER_MAP: i32 = 10;
/// A constant that is replaced later.
const MARK: u64 = 0x7777_7777_7777;

/// Encodes an instruction: opcode, destination, source, offset, immediate.
fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> bpf_insn {
    let mut insn = bpf_insn {
        code,
        off,
        imm,
        ..bpf_insn::default()
    };
    insn.set_dst_reg(dst);
    insn.set_src_reg(src);
    insn
}

fn mov(dst: u8, imm: i32) -> bpf_insn {
    insn(0xb7, dst, 0, 0, imm)
}

fn mov_register(dst: u8, src: u8) -> bpf_insn {
    insn(0xbf, dst, src, 0, 0)
}

/// Loads the address of a byte of a map's value.
fn address(dst: u8, map: i32, offset: i32) -> [bpf_insn; 2] {
    [insn(0x18, dst, 2, 0, map), insn(0, 0, 0, 0, offset)]
}

fn load_word(dst: u8, src: u8, off: i16) -> bpf_insn {
    insn(0x61, dst, src, off, 0)
}

fn if_zero(dst: u8, off: i16) -> bpf_insn {
    insn(0x15, dst, 0, off, 0)
}

fn helper(number: i32) -> bpf_insn {
    insn(0x85, 0, 0, 0, number)
}

fn call(imm: i32) -> bpf_insn {
    insn(0x85, 0, 1, 0, imm)
}

const EXIT: u8 = 0x95;

fn exit() -> bpf_insn {
    insn(EXIT, 0, 0, 0, 0)
}

/// Constants: the words 0, 7 and -1, and a double word.
fn constants() -> Constants {
    let words: [u32; 6] = [0, 7, 0xffff_ffff, 0, 0x89ab_cdef, 0x0123_4567];
    let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Constants::new(MAP, bytes, [MARK, 0])
}

fn specialized(insns: &[bpf_insn], constants: &Constants) -> Vec<bpf_insn> {
    specialized_insns(insns, constants).map_or_else(|| insns.to_vec(), |compact| compact.insns)
}

fn specialize(insns: &[bpf_insn]) -> Vec<(u8, u8, u8, i16, i32)> {
    let tuple = |insn: &bpf_insn| {
        (
            insn.code,
            insn.dst_reg(),
            insn.src_reg(),
            insn.off,
            insn.imm,
        )
    };
    specialized(insns, &constants()).iter().map(tuple).collect()
}

const RETURN: (u8, u8, u8, i16, i32) = (EXIT, 0, 0, 0, 0);

/// Calls the helper `number`.
fn help(number: i32) -> (u8, u8, u8, i16, i32) {
    (0x85, 0, 0, 0, number)
}

#[test]
fn what_a_constant_rules_out_is_gone_and_so_is_the_question() {
    let program = |offset| {
        let [low, high] = address(6, MAP, offset);
        [
            low,
            high,
            load_word(7, 6, 0),
            if_zero(7, 2),
            helper(5),
            helper(6),
            helper(7),
            exit(),
        ]
    };
    assert_eq!(specialize(&program(0)), [help(7), RETURN]);
    assert_eq!(specialize(&program(4)), [help(5), help(6), help(7), RETURN]);
}

#[test]
fn what_is_no_constant_is_asked_for_still() {
    // A value of another map, and one beyond the end of the constants.
    for (map, offset) in [(OTHER_MAP, 0), (MAP, 24)] {
        let [low, high] = address(1, map, offset);
        let program = [
            low,
            high,
            load_word(2, 1, 0),
            if_zero(2, 1),
            helper(5),
            exit(),
        ];
        assert_eq!(specialize(&program).len(), program.len(), "{map} {offset}");
    }
}

#[test]
fn a_register_that_comes_with_two_values_is_unknown() {
    let program = [
        if_zero(1, 2),
        mov(6, 0),
        insn(0x05, 0, 0, 1, 0),
        mov(6, 1),
        if_zero(6, 1),
        helper(5),
        exit(),
    ];
    assert_eq!(specialize(&program).len(), program.len());
}

#[test]
fn constants_go_into_functions_and_functions_that_nobody_calls_go() {
    let program = [
        mov(1, 0),
        if_zero(1, 1),
        call(4),
        call(1),
        exit(),
        // This function is called, with 0.
        if_zero(1, 1),
        helper(5),
        exit(),
        // This function is not called.
        helper(6),
        exit(),
    ];
    assert_eq!(specialize(&program), [(0x85, 0, 1, 0, 1), RETURN, RETURN]);
}

#[test]
fn two_callers_with_different_arguments_leave_both_ways_open() {
    let program = [
        mov(1, 0),
        call(3),
        mov(1, 1),
        call(1),
        exit(),
        if_zero(1, 1),
        helper(5),
        exit(),
    ];
    assert_eq!(specialize(&program).len(), program.len());
}

#[test]
fn numbers_too_long_for_one_instruction_are_loaded_as_they_were() {
    let [low, high] = address(1, MAP, 16);
    let program = [low, high, insn(0x79, 1, 1, 0, 0), helper(5), exit()];
    assert_eq!(specialize(&program).len(), program.len());
    let [low, high] = address(1, MAP, 8);
    let program = [low, high, load_word(1, 1, 0), helper(5), exit()];
    assert_eq!(
        specialize(&program),
        [(0xb4, 1, 0, 0, -1), help(5), RETURN],
        "a word of ones is no 64-bit -1"
    );
}

#[test]
fn a_number_that_stands_for_another_is_no_constant() {
    let program = [
        insn(0x18, 6, 0, 0, MARK as i32),
        insn(0, 0, 0, 0, (MARK >> 32) as i32),
        if_zero(6, 1),
        helper(5),
        exit(),
    ];
    assert_eq!(specialize(&program).len(), program.len());
}

#[test]
fn a_program_with_what_is_not_understood_stays_as_it_is() {
    let long_jump = [insn(0x06, 0, 0, 0, 1), helper(5), exit()];
    assert_eq!(specialize(&long_jump).len(), 3);
    let callback = [
        insn(0x18, 2, 4, 0, 3),
        insn(0, 0, 0, 0, 0),
        mov(1, 0),
        exit(),
        exit(),
    ];
    assert_eq!(specialize(&callback).len(), 5);
}

#[test]
fn bytes_that_are_no_program_are_no_reason_to_panic() {
    let mut random = Random(7);
    for _ in 0..20_000 {
        let program: Vec<bpf_insn> = (0..random.below(12))
            .map(|_| {
                let word = random.next();
                let (off, imm) = (random.below(9) as i16 - 4, random.below(9) as i32 - 4);
                insn(
                    word as u8,
                    (word >> 8) as u8 & 15,
                    (word >> 12) as u8 & 15,
                    off,
                    imm,
                )
            })
            .collect();
        specialized(&program, &constants());
    }
}

#[test]
fn random_programs_do_what_they_did() {
    let mut random = Random(1);
    let mut n_smaller = 0;
    for round in 0..20_000 {
        let program = random_program(&mut random);
        let small = specialized(&program, &constants());
        n_smaller += usize::from(small.len() < program.len());
        for seed in 0..3 {
            assert_eq!(
                Machine::run(&program, seed),
                Machine::run(&small, seed),
                "round {round}: {program:?} became {small:?}"
            );
        }
    }
    assert!(n_smaller > 15_000, "{n_smaller}");
}

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Opcodes: store eight bytes; the same, as an atomic operation that fetches the old value into the
/// source register.
const STORE: u8 = 0x7b;
const FETCH_AND_ADD: u8 = 0xdb;

/// Two functions, of which the first calls the second. All jumps are forward, so that the program
/// ends.
fn random_program(random: &mut Random) -> Vec<bpf_insn> {
    const LENGTH: usize = 24;
    let mut program = Vec::new();
    for function in 0..2 {
        let end = (function + 1) * LENGTH - 1;
        while program.len() < end {
            let left = end - program.len();
            let dst = random.below(10) as u8;
            let src = random.below(10) as u8;
            let imm = [0, 1, 7, -1, i32::MIN][random.below(5) as usize];
            let alu = [
                0x00, 0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x80, 0xa0, 0xb0, 0xc0,
            ];
            let jumps = [
                0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0,
            ];
            let source = random.below(2) as u8 * 8;
            let off = random.below(left as u64) as i16;
            match random.below(13) {
                0..2 => program.push(mov(dst, imm)),
                2 => program.push(mov_register(dst, src)),
                3..5 => {
                    let class = [0x04, 0x07][random.below(2) as usize];
                    let code = alu[random.below(11) as usize] | class | source;
                    program.push(insn(code, dst, src, 0, imm));
                }
                5..7 => {
                    let class = [0x05, 0x06][random.below(2) as usize];
                    let code = jumps[random.below(11) as usize] | class | source;
                    program.push(insn(code, dst, src, off, imm));
                }
                7 if left >= 3 => {
                    let size = [0x61, 0x69, 0x71, 0x79][random.below(4) as usize];
                    program.extend(address(dst, MAP, 4 * random.below(6) as i32));
                    program.push(insn(size, dst, dst, 0, 0));
                }
                8 if function == 0 => program.push(call((LENGTH - program.len() - 1) as i32)),
                9 => program.push(helper(random.below(3) as i32)),
                10 => program.push(insn(STORE, dst, src, 0, 0)),
                11 => program.push(insn(FETCH_AND_ADD, dst, src, 0, 1)),
                _ => program.push(insn(0x05, 0, 0, off, 0)),
            }
        }
        program.push(exit());
    }
    // A program must not jump into the second slot of a 64-bit constant.
    for place in 0..program.len() {
        let insn = program[place];
        if (insn.is_branch() || insn.is_goto()) && program[insn.target(place)].code == 0 {
            program[place].off += 1;
        }
    }
    program
}

/// Interprets programs. All registers are numbers; the address of the constants is a large one.
struct Machine {
    registers: [u64; REGISTERS],
    /// Calls of helpers, with the first two argument registers, and stores, with address and value.
    calls: Vec<(i32, u64, u64)>,
}

const CONSTANTS_AT: u64 = 1 << 40;

impl Machine {
    /// Runs a program. Returns its calls and stores, and its result.
    fn run(program: &[bpf_insn], seed: u64) -> (Vec<(i32, u64, u64)>, u64) {
        let mut machine = Self {
            registers: [seed; REGISTERS],
            calls: Vec::new(),
        };
        machine.function(program, 0);
        (machine.calls, machine.registers[0])
    }

    fn function(&mut self, program: &[bpf_insn], mut place: usize) {
        loop {
            let insn = &program[place];
            if insn.is_exit() {
                return;
            }
            if insn.is_goto() || (insn.is_branch() && self.takes(insn)) {
                place = insn.target(place);
                continue;
            }
            if let Some(callee) = insn.callee(place) {
                let kept = self.registers;
                // A function starts with its arguments. The verifier lets it read no other
                // register.
                self.registers[0] = 0;
                self.registers[6..].fill(0);
                self.function(program, callee);
                self.registers[6..].copy_from_slice(&kept[6..]);
                self.registers[1..6].fill(0);
            } else if insn.is_call() {
                let [_, first, second, ..] = self.registers;
                self.calls.push((insn.imm, first, second));
                self.registers[..6].fill(0);
                self.registers[0] = first ^ self.calls.len() as u64;
            } else if matches!(insn.code, STORE | FETCH_AND_ADD) {
                let (at, what) = (self.registers[insn.dst()], self.registers[insn.src()]);
                self.calls.push((-i32::from(insn.code), at, what));
                if insn.is_atomic() {
                    self.registers[insn.src()] = at ^ what;
                }
            } else if !insn.is_branch() {
                self.compute(insn, program.get(place + 1));
            }
            place += insn.slots();
        }
    }

    fn operand(&self, insn: &bpf_insn) -> u64 {
        if insn.takes_register() {
            self.registers[insn.src()]
        } else {
            i64::from(insn.imm) as u64
        }
    }

    fn takes(&self, insn: &bpf_insn) -> bool {
        let (mut left, mut right) = (self.registers[insn.dst()], self.operand(insn));
        if insn.code & 7 == 6 {
            // Use the signed comparison of the same values.
            let signed = insn.operation() & 0x70 >= 0x60 || insn.operation() >= 0xc0;
            let signed = signed && !matches!(insn.operation(), 0xa0 | 0xb0);
            let half = |value: u64| {
                if signed {
                    i64::from(value as i32) as u64
                } else {
                    u64::from(value as u32)
                }
            };
            (left, right) = (half(left), half(right));
        }
        let (signed_left, signed_right) = (left as i64, right as i64);
        match insn.operation() {
            0x10 => left == right,
            0x20 => left > right,
            0x30 => left >= right,
            0x40 => left & right != 0,
            0x50 => left != right,
            0x60 => signed_left > signed_right,
            0x70 => signed_left >= signed_right,
            0xa0 => left < right,
            0xb0 => left <= right,
            0xc0 => signed_left < signed_right,
            _ => signed_left <= signed_right,
        }
    }

    fn compute(&mut self, insn: &bpf_insn, next: Option<&bpf_insn>) {
        let dst = insn.dst();
        if insn.code == 0x18 {
            self.registers[dst] = CONSTANTS_AT + next.unwrap().imm as u64;
            return;
        }
        if let Some(size) = insn.plain_load_size() {
            let offset = self.registers[insn.src()].wrapping_sub(CONSTANTS_AT);
            self.registers[dst] = constants().read(offset as i64, size).unwrap_or_default();
            return;
        }
        let (left, right) = (self.registers[dst], self.operand(insn));
        let is_half = insn.code & 7 == 4;
        let bits = if is_half { 32 } else { 64 };
        let by = (right % bits) as u32;
        let left = if is_half {
            u64::from(left as u32)
        } else {
            left
        };
        let result = match insn.operation() {
            0x00 => left.wrapping_add(right),
            0x10 => left.wrapping_sub(right),
            0x20 => left.wrapping_mul(right),
            0x40 => left | right,
            0x50 => left & right,
            0x60 => left << by,
            0x70 => left >> by,
            0x80 => left.wrapping_neg(),
            0xa0 => left ^ right,
            0xb0 => right,
            _ if is_half => ((left as i32) >> by) as u64,
            _ => ((left as i64) >> by) as u64,
        };
        self.registers[dst] = if is_half {
            u64::from(result as u32)
        } else {
            result
        };
    }
}
