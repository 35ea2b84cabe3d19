// SPDX-License-Identifier: BSD-2-Clause
//! Results that do not go straight to the caller: a function in between gets them, or an error is
//! written behind a pointer.

use super::Part::{Bytes, To};
use super::{
    CALL, CALL_OTHER, CALLEE, Part, RET, START, TEST, TEST_64, ZERO, answer, fate_of_null, number,
};
use crate::code::flow::{FlowQuestion, Repetition, ResultFate};
use crate::spec::Addr;

#[test]
fn a_function_in_between_may_ignore_the_result() {
    let between = START + 0x400;
    let caller = [To(&[0xe8], between), RET];
    // The call is the first instruction of the function in between.
    let question = FlowQuestion {
        caller: Addr(START),
        callee: Addr(CALLEE),
        call_site: Some(Addr(between + 5)),
        value: number(-22),
        result: number(-22),
        repetition: Repetition::Last,
    };
    let ask = |parts: &[Part], site| {
        let question = FlowQuestion {
            call_site: Some(Addr(site)),
            ..question
        };
        answer(&[(START, &caller), (between, parts)], &question)
    };
    let ignores = [CALL, CALL_OTHER, RET];
    assert_eq!(ask(&ignores, between + 5), Some(ResultFate::Ignored));
    // What becomes of it in the caller is not known.
    assert_eq!(ask(&[CALL, RET], between + 5), None);
    // call; test eax, eax; je +6; call other; ret; ret
    let tests = [CALL, TEST, Bytes(&[0x74, 0x06]), CALL_OTHER, RET, RET];
    assert_eq!(ask(&tests, between + 5), None);
    // There is no such call.
    assert_eq!(ask(&ignores, between + 4), None);
}

/// `sub rsp, 0x18; lea rdi, [rsp+8]`
const WORD_TAKEN: Part = Bytes(&[0x48, 0x83, 0xec, 0x18, 0x48, 0x8d, 0x7c, 0x24, 0x08]);
/// `mov eax, [rsp+8]`
const READ_WORD: Part = Bytes(&[0x8b, 0x44, 0x24, 0x08]);
/// `add rsp, 0x18; ret`
const LEAVE: Part = Bytes(&[0x48, 0x83, 0xc4, 0x18, 0xc3]);

#[test]
fn an_error_may_be_written_behind_a_pointer_when_null_is_returned() {
    // test rax, rax; je +7; xor eax, eax; leave; mov eax, [rsp+8]; leave
    let je = Bytes(&[0x74, 0x07]);
    let told = [WORD_TAKEN, CALL, TEST_64, je, ZERO, LEAVE, READ_WORD, LEAVE];
    assert_eq!(fate_of_null(&told, -2), Some(ResultFate::MayDecide));
    // A pointer leads there, a NULL does not: jne.
    let jne = Bytes(&[0x75, 0x07]);
    let other = [
        WORD_TAKEN, CALL, TEST_64, jne, ZERO, LEAVE, READ_WORD, LEAVE,
    ];
    assert_ne!(fate_of_null(&other, -2), Some(ResultFate::MayDecide));
    // Both do.
    let both = [WORD_TAKEN, CALL, TEST_64, READ_WORD, LEAVE];
    assert_ne!(fate_of_null(&both, -2), Some(ResultFate::MayDecide));
    // Nobody returns it.
    let je = Bytes(&[0x74, 0x07]);
    let constant = [WORD_TAKEN, CALL, TEST_64, je, ZERO, LEAVE, ZERO, LEAVE];
    assert_eq!(fate_of_null(&constant, -2), Some(ResultFate::Never));
}
