// SPDX-License-Identifier: BSD-2-Clause
//! Tests with assembled functions (the assembler text stands beside the bytes) and with functions of
//! real kernel images (`tests/data/code`).

mod aside;

use std::cell::Cell;
use std::time::Instant;

use super::{Flow, FlowQuestion, Flows, Repetition, ResultFate, Returned};
use crate::code::tests::Few;
use crate::code::{Code, FromFn};
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, ResultType};

const START: u64 = 0xffff_ffff_8100_1000;

/// What the assembled functions call.
const CALLEE: u64 = START + 0x1000;
const OTHER: u64 = START + 0x1010;
const PRESERVING: u64 = START + 0x1020;

const SYMBOLS: &str = "\
ffffffff81000000 T _stext
ffffffff81001000 T caller
ffffffff81001200 t caller.cold
ffffffff81001400 T behind
ffffffff81002000 T callee
ffffffff81002010 T other
ffffffff81002020 T preempt_schedule_thunk
ffffffff81002030 T __x86_return_thunk
ffffffff81002040 T __stack_chk_fail
ffffffff81002050 T _etext
";

/// One instruction or more: bytes, or a call or jump that gets its distance.
enum Part {
    Bytes(&'static [u8]),
    /// An instruction whose last four bytes are the distance to an address.
    To(&'static [u8], u64),
}
use Part::{Bytes, To};

const CALL: Part = To(&[0xe8], CALLEE);
const CALL_OTHER: Part = To(&[0xe8], OTHER);
const RET: Part = Bytes(&[0xc3]);
/// `test eax, eax`; `test rax, rax`
const TEST: Part = Bytes(&[0x85, 0xc0]);
const TEST_64: Part = Bytes(&[0x48, 0x85, 0xc0]);
/// `mov eax, -12`; `mov eax, -22`; `xor eax, eax`
const ENOMEM: Part = Bytes(&[0xb8, 0xf4, 0xff, 0xff, 0xff]);
const EINVAL: Part = Bytes(&[0xb8, 0xea, 0xff, 0xff, 0xff]);
const ZERO: Part = Bytes(&[0x31, 0xc0]);

fn assemble(start: u64, parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Bytes(more) => bytes.extend(*more),
            To(opcode, target) => {
                bytes.extend(*opcode);
                let behind = start + bytes.len() as u64 + 4;
                bytes.extend((target.wrapping_sub(behind) as u32).to_le_bytes());
            }
        }
    }
    bytes
}

/// Asks what becomes of the first call of `callee` by the assembled function.
fn fate_in(parts: &[Part], cold: &[Part], value: Returned, result: Returned) -> Option<ResultFate> {
    let question = FlowQuestion {
        caller: Addr(START),
        callee: Addr(CALLEE),
        call_site: None,
        value,
        result,
        repetition: Repetition::Last,
    };
    answer(&[(START, parts), (START + 0x200, cold)], &question)
}

/// Answers a question about assembled functions.
fn answer(functions: &[(u64, &[Part])], question: &FlowQuestion) -> Option<ResultFate> {
    let kallsyms = Kallsyms::parse(SYMBOLS.as_bytes().to_vec()).unwrap();
    let mut text = vec![0xcc; 0x1000];
    for (start, parts) in functions {
        let (at, bytes) = ((start - START) as usize, assemble(*start, parts));
        text[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    let text = FromFn(|addr: Addr, bytes: &mut [u8]| {
        let at = (addr.0 - START) as usize;
        text.get(at..at + bytes.len())
            .map(|found| bytes.copy_from_slice(found))
            .is_some()
    });
    let code = Code::new(&kallsyms, &text);
    Flows::default().answer(&code, question)
}

fn number(value: i64) -> Returned {
    Returned {
        register: value as u64,
        kind: ResultType::Signed(4),
    }
}

const NULL: Returned = Returned {
    register: 0,
    kind: ResultType::Pointer,
};

fn fate(parts: &[Part], value: i64, result: i64) -> Option<ResultFate> {
    fate_in(parts, &[], number(value), number(result))
}

fn fate_of_null(parts: &[Part], result: i64) -> Option<ResultFate> {
    fate_in(parts, &[], NULL, number(result))
}

/// Functions of 6.12.
const REAL: &str = include_str!("../../../tests/data/code/flow.txt");

#[test]
fn functions_of_a_kernel_are_understood() {
    let few = Few::new(REAL);
    let code = Code::new(&few.kallsyms, &few);
    let flows = Flows::default();
    let fate = |caller, callee, value, errno: i64| {
        let question = FlowQuestion {
            caller: few.addr(caller),
            callee: few.addr(callee),
            call_site: None,
            value,
            result: number(-errno),
            repetition: Repetition::Last,
        };
        flows.answer(&code, &question)
    };
    // The limit of user namespaces.
    let limit = |errno| fate("create_user_ns", "inc_ucount", NULL, errno);
    assert_eq!(limit(28), Some(ResultFate::Decides));
    // ENOMEM is for another reason.
    assert_eq!(limit(12), Some(ResultFate::Never));
    // The error is behind a pointer.
    let qdisc = |errno| fate("tc_modify_qdisc", "qdisc_create", NULL, errno);
    assert_eq!(qdisc(2), Some(ResultFate::MayDecide));
    // Without a policy any node will do.
    let (pages, policy) = ("hugetlb_acct_memory.part.0", "policy_mbind_nodemask");
    assert_eq!(fate(pages, policy, NULL, 12), Some(ResultFate::Unclear));
    // Automatic loading of modules, by two names.
    for errno in [2, 93, 94] {
        let loading = fate("inet_create", "__request_module", number(-errno), errno);
        assert_eq!(loading, Some(ResultFate::Ignored));
    }
    let loading = fate("tcp_set_ulp", "__request_module", number(-2), 2);
    assert_eq!(loading, Some(ResultFate::Ignored));
    // -ENOIOCTLCMD is followed by a call through a pointer; other errors are passed on.
    let ioctl = |value, errno| fate("__x64_sys_ioctl", "do_vfs_ioctl", number(value), errno);
    assert_eq!(ioctl(-515, 25), Some(ResultFate::MayDecide));
    assert_eq!(ioctl(-25, 25), Some(ResultFate::PassedOn));
    assert_eq!(ioctl(-22, 25), Some(ResultFate::Never));
    assert_eq!(flows.asked().len(), 11);
}

#[test]
fn a_result_that_nobody_reads_is_ignored() {
    assert_eq!(
        fate(&[CALL, EINVAL, RET], -22, -22),
        Some(ResultFate::Ignored)
    );
    // The next call's result is the caller's, whatever the value.
    assert_eq!(
        fate(&[CALL, CALL_OTHER, RET], -22, -22),
        Some(ResultFate::Ignored)
    );
    // Saved and restored registers: push rbx; push rax for alignment; call; pop; pop; xor eax, eax
    let saved = [Bytes(&[0x53, 0x50]), CALL, Bytes(&[0x59, 0x5b]), ZERO, RET];
    assert_eq!(fate(&saved, -22, -22), Some(ResultFate::Ignored));
}

#[test]
fn a_result_is_followed_through_registers_and_the_frame() {
    assert_eq!(fate(&[CALL, RET], -22, -22), Some(ResultFate::PassedOn));
    // push rbp; mov rbp, rsp; sub rsp, 16; call; mov [rbp-8], eax; call other;
    // movsxd rax, [rbp-8]; leave; ret
    let spilled = [
        Bytes(&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10]),
        CALL,
        Bytes(&[0x89, 0x45, 0xf8]),
        CALL_OTHER,
        Bytes(&[0x48, 0x63, 0x45, 0xf8, 0xc9]),
        RET,
    ];
    assert_eq!(fate(&spilled, -22, -22), Some(ResultFate::PassedOn));
    assert_eq!(fate(&spilled, -22, -2), Some(ResultFate::Never));
    // push rbx; call; mov ebx, eax; call other; mov eax, ebx; pop rbx; jmp __x86_return_thunk
    let kept = [
        Bytes(&[0x53]),
        CALL,
        Bytes(&[0x89, 0xc3]),
        CALL_OTHER,
        Bytes(&[0x89, 0xd8, 0x5b]),
        To(&[0xe9], START + 0x1030),
    ];
    assert_eq!(fate(&kept, -22, -22), Some(ResultFate::PassedOn));
    // call; mov ecx, eax; call other; mov eax, ecx: `ecx` does not survive a call, but for calls of
    // thunks that keep it.
    let lost = |target| {
        let copy = Bytes(&[0x89, 0xc1]);
        fate(
            &[CALL, copy, To(&[0xe8], target), Bytes(&[0x89, 0xc8]), RET],
            -22,
            -22,
        )
    };
    assert_eq!(lost(PRESERVING), Some(ResultFate::PassedOn));
    assert_ne!(lost(OTHER), Some(ResultFate::PassedOn));
}

#[test]
fn a_null_decides_where_the_branch_behind_it_leads_to_the_error() {
    // test rax, rax; je +3; xor eax, eax; ret; mov eax, -12; ret
    let checked = [CALL, TEST_64, Bytes(&[0x74, 0x03]), ZERO, RET, ENOMEM, RET];
    assert_eq!(fate_of_null(&checked, -12), Some(ResultFate::Decides));
    assert_eq!(fate_of_null(&checked, -22), Some(ResultFate::Never));
    // A pointer leads there, a NULL does not: jne.
    let inverse = [CALL, TEST_64, Bytes(&[0x75, 0x03]), ZERO, RET, ENOMEM, RET];
    assert_eq!(fate_of_null(&inverse, -12), Some(ResultFate::Never));
    // The error was made before the call: push rbx; mov ebx, -12; call; test; je +2; xor ebx, ebx;
    // mov eax, ebx; pop rbx
    let before = [
        Bytes(&[0x53, 0xbb, 0xf4, 0xff, 0xff, 0xff]),
        CALL,
        TEST_64,
        Bytes(&[0x74, 0x02, 0x31, 0xdb, 0x89, 0xd8, 0x5b]),
        RET,
    ];
    assert_eq!(fate_of_null(&before, -12), Some(ResultFate::Decides));
    // Without a branch: mov edx, -12; test; mov ecx, 0; cmovne edx, ecx; mov eax, edx
    let choice = [
        CALL,
        Bytes(&[0xba, 0xf4, 0xff, 0xff, 0xff]),
        TEST_64,
        Bytes(&[0xb9, 0, 0, 0, 0, 0x0f, 0x45, 0xd1, 0x89, 0xd0]),
        RET,
    ];
    assert_eq!(fate_of_null(&choice, -12), Some(ResultFate::Decides));
    // cmp rax, 1; sbb eax, eax; and eax, -12
    let carry = [
        CALL,
        Bytes(&[0x48, 0x83, 0xf8, 0x01, 0x19, 0xc0, 0x83, 0xe0, 0xf4]),
        RET,
    ];
    assert_eq!(fate_of_null(&carry, -12), Some(ResultFate::Decides));
    // In the cold part: test; je caller.cold; xor eax, eax; ret
    let parts = [CALL, TEST_64, To(&[0x0f, 0x84], START + 0x200), ZERO, RET];
    let cold = [ENOMEM, RET];
    let fate = fate_in(&parts, &cold, NULL, number(-12));
    assert_eq!(fate, Some(ResultFate::Decides));
}

#[test]
fn a_null_that_changes_nothing_decides_nothing() {
    // Both ways make the error: test; je +6; mov eax, -12; ret; mov eax, -12; ret
    let both = [
        CALL,
        TEST_64,
        Bytes(&[0x74, 0x06]),
        ENOMEM,
        RET,
        ENOMEM,
        RET,
    ];
    assert_eq!(fate_of_null(&both, -12), Some(ResultFate::Unclear));
    // It leads to another call, after which both are possible; so does a pointer.
    // test rax, rax; je +0; call other; test eax, eax; je +6; mov eax, -12; ret; xor eax, eax; ret
    let later = [
        CALL,
        TEST_64,
        Bytes(&[0x74, 0x00]),
        CALL_OTHER,
        TEST,
        Bytes(&[0x74, 0x06]),
        ENOMEM,
        RET,
        ZERO,
        RET,
    ];
    assert_eq!(fate_of_null(&later, -12), Some(ResultFate::Unclear));
}

#[test]
fn an_error_may_become_another_one() {
    // cmp eax, -515; jne +5; mov eax, -12; ret
    let translated = [
        CALL,
        Bytes(&[0x3d, 0xfd, 0xfd, 0xff, 0xff, 0x75, 0x05]),
        ENOMEM,
        RET,
    ];
    assert_eq!(fate(&translated, -515, -12), Some(ResultFate::Decides));
    assert_eq!(fate(&translated, -22, -12), Some(ResultFate::Never));
    assert_eq!(fate(&translated, -22, -22), Some(ResultFate::PassedOn));
    // test eax, eax; js +3; xor eax, eax; ret; call other; test eax, eax; jne -9; mov eax, -22; ret
    let some = [
        CALL,
        TEST,
        Bytes(&[0x78, 0x03]),
        ZERO,
        RET,
        CALL_OTHER,
        TEST,
        Bytes(&[0x75, 0xf4]),
        EINVAL,
        RET,
    ];
    assert_eq!(fate(&some, -2, -22), Some(ResultFate::Unclear));
    // The same errno made anew, on the way behind the test only.
    assert_eq!(fate(&some, -22, -22), Some(ResultFate::Unclear));
    // What is read from memory may be anything: mov eax, [rdi]
    let memory = [
        CALL,
        TEST,
        Bytes(&[0x78, 0x03]),
        ZERO,
        RET,
        Bytes(&[0x8b, 0x07]),
        RET,
    ];
    assert_eq!(fate(&memory, -2, -22), Some(ResultFate::Unclear));
    // But it is not the result.
    assert_eq!(fate(&memory, -22, -22), Some(ResultFate::Never));
}

#[test]
fn a_result_that_is_given_away_may_come_back() {
    // mov edi, eax; call other; ret
    let given = [CALL, Bytes(&[0x89, 0xc7]), CALL_OTHER, RET];
    assert_eq!(fate(&given, -22, -22), Some(ResultFate::Unclear));
    // push rbx; mov rbx, rdi; call; mov [rbx+8], eax; mov eax, [rbx+8]; pop rbx
    let stored = [
        Bytes(&[0x53, 0x48, 0x89, 0xfb]),
        CALL,
        Bytes(&[0x89, 0x43, 0x08, 0x8b, 0x43, 0x08, 0x5b]),
        RET,
    ];
    assert_eq!(fate(&stored, -22, -22), Some(ResultFate::Unclear));
    // A word of the frame whose address another function has: sub rsp, 24; call; mov [rsp+8], eax;
    // lea rdi, [rsp+8]; call other; mov eax, [rsp+8]; add rsp, 24
    let pointed = [
        Bytes(&[0x48, 0x83, 0xec, 0x18]),
        CALL,
        Bytes(&[0x89, 0x44, 0x24, 0x08, 0x48, 0x8d, 0x7c, 0x24, 0x08]),
        CALL_OTHER,
        Bytes(&[0x8b, 0x44, 0x24, 0x08, 0x48, 0x83, 0xc4, 0x18]),
        RET,
    ];
    assert_eq!(fate(&pointed, -22, -22), Some(ResultFate::Unclear));
}

#[test]
fn what_is_not_understood_has_no_answer() {
    // jmp [rax*8+0x1000]: a jump table
    let table = [CALL, Bytes(&[0xff, 0x24, 0xc5, 0x00, 0x10, 0x00, 0x00])];
    assert_eq!(fate(&table, -22, -22), None);
    // int3: a breakpoint
    assert_eq!(fate(&[CALL, Bytes(&[0xcc])], -22, -22), None);
    // No such call.
    assert_eq!(fate(&[CALL_OTHER, RET], -22, -22), None);
    // A tail call. Its result is the caller's, but its return address is not in the caller.
    assert_eq!(
        fate(&[To(&[0xe9], CALLEE)], -22, -22),
        Some(ResultFate::Unclear)
    );
    // Two calls that differ.
    let two = [CALL, CALL, RET];
    assert_eq!(fate(&two, -22, -22), Some(ResultFate::Unclear));
    // ret; then nothing: a function that does not return from the call.
    let ends = [CALL, To(&[0xe8], START + 0x1040)];
    assert_eq!(fate(&ends, -22, -22), Some(ResultFate::Ignored));
}

#[test]
fn loops_end() {
    // push rbx; xor ebx, ebx; inc ebx; call; test eax, eax; je -11; cmp ebx, 100; jl -16;
    // mov eax, ebx; pop rbx; ret
    let counted = [
        Bytes(&[0x53, 0x31, 0xdb, 0xff, 0xc3]),
        CALL,
        TEST,
        Bytes(&[0x74, 0xf5, 0x83, 0xfb, 0x64, 0x7c, 0xf0, 0x89, 0xd8, 0x5b]),
        RET,
    ];
    assert_eq!(fate(&counted, -22, -22), Some(ResultFate::Unclear));
}

#[test]
fn random_bytes_end_soon() {
    let kallsyms = Kallsyms::parse(SYMBOLS.as_bytes().to_vec()).unwrap();
    let noise = Cell::new(0x9e37_79b9_7f4a_7c15_u64);
    let random = || {
        let mut next = noise.get();
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        noise.set(next);
        next
    };
    // Instructions that make long ways: conditional jumps, arithmetic, calls, stack.
    let likely: &[&[u8]] = &[
        &[0x74],
        &[0x75],
        &[0x7c],
        &[0xeb],
        &[0x31, 0xc0],
        &[0xff, 0xc0],
        &[0xff, 0xc3],
        &[0x01, 0xd8],
        &[0x0f, 0x45, 0xc3],
        &[0x50],
        &[0x58],
        &[0x85, 0xc0],
        &[0x89, 0x44, 0x24],
        &[0x8b, 0x44, 0x24],
        &[0xe8, 0x00, 0x00, 0x00, 0x00],
    ];
    let text = FromFn(|_: Addr, bytes: &mut [u8]| {
        let is_likely = random() % 2 == 0;
        let mut at = 0;
        while at < bytes.len() {
            let insn = likely[(random() % likely.len() as u64) as usize];
            for byte in insn.iter().filter(|_| is_likely) {
                if let Some(place) = bytes.get_mut(at) {
                    *place = *byte;
                }
                at += 1;
            }
            if let Some(place) = bytes.get_mut(at) {
                *place = random() as u8 & if is_likely { 0x9f } else { 0xff };
            }
            at += 1;
        }
        true
    });
    let code = Code::new(&kallsyms, &text);
    let (mut n_understood, mut n_answers) = (0, 0);
    for _ in 0..3000 {
        let began = Instant::now();
        let Some(flow) = Flow::of(&code, Addr(START)) else {
            continue;
        };
        n_understood += 1;
        assert!(!flow.is_empty() && flow.len() <= 20_000);
        for site in flow.call_sites().take(4).collect::<Vec<_>>() {
            let question = FlowQuestion {
                caller: Addr(START),
                callee: Addr(CALLEE),
                call_site: Some(site),
                value: number(-22),
                result: number(-22),
                repetition: Repetition::Again,
            };
            n_answers += u32::from(flow.answer(&question, |_| false).is_some());
        }
        // Much more than it takes, for slow machines.
        assert!(began.elapsed().as_secs() < 20);
    }
    assert!(
        n_understood > 100 && n_answers > 20,
        "{n_understood} {n_answers}"
    );
}
