// SPDX-License-Identifier: BSD-2-Clause
//! Reasons by what the machine code says about the results of calls.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{assemble_with, chain, chain_by_code, parse};
use crate::code::{FlowQuestion, Repetition, ResultFate};
use crate::select::TracedFunction;
use crate::session::ResultFates;
use crate::spec::Addr;

/// What the code says about the results of functions, by name.
#[derive(Default)]
pub(super) struct Answers {
    fates: HashMap<Addr, ResultFate>,
    asked: RefCell<Vec<FlowQuestion>>,
}

impl Answers {
    pub(super) fn of(functions: &[TracedFunction], fates: &[(&str, ResultFate)]) -> Self {
        let addr = |name: &str| {
            let function = functions.iter().find(|function| function.name == name);
            function.unwrap().addr()
        };
        let fates = fates.iter().map(|(name, fate)| (addr(name), *fate));
        Self {
            fates: fates.collect(),
            ..Self::default()
        }
    }
}

impl ResultFates for Answers {
    fn fate(&self, question: &FlowQuestion) -> Option<ResultFate> {
        self.asked.borrow_mut().push(*question);
        self.fates.get(&question.callee).copied()
    }
}

#[test]
fn a_result_that_nobody_reads_is_no_reason_though_the_error_is_the_same() {
    let tree = "
        sys_test = -2
          request_module = -2
    ";
    assert_eq!(chain(tree), "sys_test> request_module!");
    for fate in [ResultFate::Ignored, ResultFate::Never] {
        assert_eq!(
            chain_by_code(tree, &[("request_module", fate)]),
            "sys_test! [request_module]"
        );
    }
    let fate = ResultFate::PassedOn;
    let found = chain_by_code(tree, &[("request_module", fate)]);
    assert_eq!(found, chain(tree));
    // An earlier callee is the reason.
    let tree = "
        sys_test = -2
          find_it = -2
          request_module = -2
    ";
    assert_eq!(
        chain_by_code(tree, &[("request_module", ResultFate::Ignored)]),
        "sys_test> find_it! [request_module]"
    );
    assert_eq!(
        chain_by_code(
            &tree.replace("find_it = -2", "find_it = -3"),
            &[("request_module", ResultFate::Ignored)]
        ),
        "sys_test* find_it! ? [request_module]"
    );
}

#[test]
fn a_null_counts_where_the_branch_behind_it_leads_to_the_error() {
    let tree = "
        sys_test = -22
          find_thing = 0
          do_void = 0
          lookup_dentry = 77
          unlock_it = 0
    ";
    let by_code = |fate| chain_by_code(tree, &[("find_thing", fate)]);
    assert_eq!(chain(tree), "sys_test! [find_thing]");
    assert_eq!(by_code(ResultFate::Decides), "sys_test* find_thing! ?");
    assert_eq!(by_code(ResultFate::MayDecide), "sys_test* find_thing! ?");
    assert_eq!(by_code(ResultFate::Unclear), chain(tree));
    assert_eq!(by_code(ResultFate::Never), chain(tree));
    // A name that says "not found" or "no memory" counts only if the code does not tell.
    let tree = "
        sys_test = -12
          kmalloc_node = 0
    ";
    let by_code = |fate| chain_by_code(tree, &[("kmalloc_node", fate)]);
    assert_eq!(by_code(ResultFate::Unclear), "sys_test* kmalloc_node! ?");
    assert_eq!(by_code(ResultFate::Never), "sys_test! [kmalloc_node]");
}

#[test]
fn a_failure_that_decides_is_the_reason_though_others_failed_later() {
    let tree = "
        sys_test = -22
          check = -2
          free_up = -5
    ";
    assert_eq!(chain(tree), "sys_test* free_up! ? [check]");
    assert_eq!(
        chain_by_code(tree, &[("check", ResultFate::Decides)]),
        "sys_test* check! ? [free_up]"
    );
    // Handlers that are asked in turn decide nothing.
    let tree = "
        sys_test = -25
          do_vfs_ioctl = -515
    ";
    assert_eq!(chain(tree), "sys_test* do_vfs_ioctl! ?");
    for fate in [ResultFate::Decides, ResultFate::Unclear] {
        assert_eq!(
            chain_by_code(tree, &[("do_vfs_ioctl", fate)]),
            "sys_test! ? [do_vfs_ioctl]"
        );
    }
}

#[test]
fn the_very_call_that_decides_is_certain() {
    let tree = "
        sys_test = -22
          check = -2
    ";
    let (functions, mut calls) = parse(tree);
    let answers = Answers::of(&functions, &[("check", ResultFate::Decides)]);
    let chain = |calls| assemble_with(&functions, calls, &[], &answers).chain;
    assert!(!chain(calls.clone()).certain);
    calls[1].call_site = functions[0].addr().0 + 8;
    assert!(chain(calls.clone()).certain);
    let question = *answers.asked.borrow().last().unwrap();
    assert_eq!(question.caller, functions[0].addr());
    assert_eq!(question.call_site, Some(Addr(calls[1].call_site)));
    assert_eq!(question.value.register, -2_i64 as u64);
    assert_eq!(question.repetition, Repetition::Last);
    // It is not the last one, or that is not known.
    calls.push(calls[1]);
    calls[2].seq = 2;
    calls[2].result = 0;
    assert!(!chain(calls.clone()).certain);
    let question = *answers.asked.borrow().last().unwrap();
    assert_eq!(question.repetition, Repetition::Again);
    // Nor is it certain where a NULL was made an error.
    let (functions, mut calls) = parse(&tree.replace("check = -2", "find_thing = 0"));
    let answers = Answers::of(&functions, &[("find_thing", ResultFate::Decides)]);
    calls[1].call_site = functions[0].addr().0 + 8;
    assert!(
        !assemble_with(&functions, calls, &[], &answers)
            .chain
            .certain
    );
}
