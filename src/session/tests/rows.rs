// SPDX-License-Identifier: BSD-2-Clause
//! Tests of merging the chain and the kernel stack.

use super::{
    CallRecord, PROGRAM, SYSCALL_ENTRY, TRAMPOLINE, TracedFunction, assemble, func_addr, parse,
};
use crate::spec::{Addr, EntryReason};

fn rows(tree: &str, capture_at: usize, stack: &[u64]) -> String {
    let (functions, mut calls) = parse(tree);
    calls[capture_at].capture = 1;
    named_rows(&functions, calls, stack)
}

fn named_rows(functions: &[TracedFunction], calls: Vec<CallRecord>, stack: &[u64]) -> String {
    let session = assemble(functions, calls, stack);
    let texts: Vec<String> = session
        .chain
        .stack
        .iter()
        .map(|row| {
            let name = match row.link {
                Some(link) => functions[session.chain.calls[session.chain.links[link].call]
                    .func
                    .index()]
                .name
                .as_str(),
                None => "-",
            };
            let tracer = if row.is_tracer { "~" } else { "" };
            let place = if row.ip.is_some() { "" } else { "()" };
            format!("{tracer}{name}{place}")
        })
        .collect();
    texts.join(" ")
}

fn at(func: usize, offset: u64) -> u64 {
    func_addr(func).0 + offset
}

pub(super) const CHAIN_OF_THREE: &str = "
    sys_test = -22
      do_test = -22
        check = -22
";
const ELSEWHERE: u64 = 0xffff_ffff_8200_0000;

#[test]
fn the_culprit_that_has_returned_already_gets_a_row_of_its_own() {
    let stack = [at(1, 0x40), at(0, 0x20), ELSEWHERE];
    assert_eq!(
        rows(CHAIN_OF_THREE, 2, &stack),
        "- sys_test do_test check()"
    );
}

#[test]
fn a_system_call_that_ended_with_a_tail_call_stands_behind_what_called_it() {
    let (mut functions, mut calls) = parse(CHAIN_OF_THREE);
    calls[2].capture = 1;
    let stack = [at(1, 0x40), ELSEWHERE, SYSCALL_ENTRY + 8, SYSCALL_ENTRY];
    let rows = |functions: &[TracedFunction]| named_rows(functions, calls.clone(), &stack);
    // Another function may have been called by any of them.
    assert_eq!(rows(&functions), "- - - sys_test() do_test check()");
    functions[0].entry = Some(EntryReason::SystemCall);
    assert_eq!(rows(&functions), "- - sys_test() - do_test check()");
}

/// While programs come and go, symbols may be missing, and addresses have names of other programs.
#[test]
fn all_of_our_programs_are_of_the_tracer_whatever_their_names_are() {
    let inner = [PROGRAM, TRAMPOLINE, PROGRAM + 8, TRAMPOLINE + 8];
    let stack = [&inner[..], &[at(1, 0x40), at(0, 0x20)]].concat();
    assert_eq!(
        rows(CHAIN_OF_THREE, 2, &stack),
        "sys_test do_test check() ~- ~- ~- ~-"
    );
}

#[test]
fn untraced_functions_between_traced_ones_keep_their_place() {
    let stack = [at(1, 0x40), ELSEWHERE + 8, at(0, 0x20), ELSEWHERE];
    assert_eq!(
        rows(CHAIN_OF_THREE, 2, &stack),
        "- sys_test - do_test check()"
    );
}

#[test]
fn one_tail_call_does_not_push_the_rest_to_the_bottom() {
    // Faults B13 and B26: `do_test` jumped to `check`, so it is not in the stack.
    let tree = "
        sys_test = -22
          do_test = -22
            check = -22
              inner = -22
    ";
    let stack = [at(2, 0x40), at(0, 0x20), ELSEWHERE];
    assert_eq!(rows(tree, 3, &stack), "- sys_test do_test() check inner()");
}

/// `__x64_sys_clone` was shown below `kernel_clone`, to which it had jumped.
#[test]
fn an_entry_function_that_jumped_on_stands_where_it_was_called() {
    let (functions, mut calls) = parse(
        "
        sys_test = -22
          check = -22
    ",
    );
    calls[0].call_site = ELSEWHERE;
    calls[1].call_site = ELSEWHERE + 8;
    calls[1].capture = 1;
    // Its return address belongs to the function it jumped to, which is not traced.
    let stack = [ELSEWHERE + 8, ELSEWHERE];
    assert_eq!(
        named_rows(&functions, calls, &stack),
        "- sys_test() - check()"
    );
}

#[test]
fn recursion_takes_the_frames_in_order() {
    let tree = "
        sys_test = -40
          walk = -40
            walk = -40
    ";
    let stack = [at(1, 0x44), at(1, 0x40), at(0, 0x20)];
    assert_eq!(rows(tree, 2, &stack), "sys_test walk walk");
}

#[test]
fn trampolines_are_cut_out_also_behind_an_endbr() {
    // Fault B12: the patched call was only recognized at +5; after an `endbr64` it ends at +9.
    let tail = [
        TRAMPOLINE,
        at(2, 0x9),
        at(1, 0x40),
        TRAMPOLINE,
        at(1, 0x9),
        at(0, 0x20),
    ];
    assert_eq!(
        rows(CHAIN_OF_THREE, 2, &tail),
        "sys_test ~- ~- do_test check ~-",
        "the culprit is known by the call to its trampoline"
    );
}

#[test]
fn without_a_stack_the_calls_own_return_addresses_tell_the_way() {
    let (functions, mut calls) = parse(CHAIN_OF_THREE);
    calls[1].call_site = at(0, 0x33);
    calls[2].call_site = ELSEWHERE;
    let session = assemble(&functions, calls, &[]);
    let addrs: Vec<Option<Addr>> = session
        .chain
        .stack
        .iter()
        .map(|row| Some(row.ip?.location.addr))
        .collect();
    assert_eq!(
        addrs,
        [Some(Addr(at(0, 0x33))), None, Some(Addr(ELSEWHERE)), None]
    );
}
