// SPDX-License-Identifier: BSD-2-Clause
//! Errors that did not simply travel up: received as an argument, returned by one of several
//! candidates, or sent as a netlink answer.

use super::{assemble, chain, chain_with_refusal, func_addr, parse, written};
use crate::events::NoteRecord;

#[test]
fn an_error_handed_over_as_an_argument_is_blamed_on_who_made_it() {
    let tree = "
        sys_test = -2
          open_it = -2
            lookup_dentry = -2
              check_it = 0
            walk_it = -2
    ";
    assert_eq!(chain(tree), "sys_test> open_it> lookup_dentry! ?");
    let between = tree.replace("walk_it", "other = 0\n            walk_it");
    assert_eq!(chain(&between), chain(tree));
    // Three variants: `walk_it` called a function itself, another function failed in between, and
    // the error differs.
    let looked = tree.replace("walk_it = -2", "walk_it = -2\n              check_it = 0");
    assert_eq!(
        chain(&looked),
        "sys_test> open_it> walk_it! [lookup_dentry]"
    );
    let since = tree.replace("walk_it", "other = -2\n            walk_it");
    assert_eq!(
        chain(&since),
        "sys_test> open_it> walk_it! [lookup_dentry other]"
    );
    let other = tree.replace("lookup_dentry = -2", "lookup_dentry = -13");
    assert_eq!(chain(&other), "sys_test> open_it> walk_it! [lookup_dentry]");
}

#[test]
fn a_function_that_takes_errors_is_not_blamed_for_one_that_was_made_inline() {
    let tree = "
        sys_test = -30
          path_openat = -30
            mnt_want_write = -30
            link_path_walk = -30
    ";
    assert_eq!(chain(tree), "sys_test> path_openat> mnt_want_write! ?");
}

#[test]
fn who_asks_for_a_capability_is_to_blame_and_not_who_answers() {
    let tree = "
        sys_test = -1
          may_do_it = -1
            security_capable = -1
              cap_capable = -1
    ";
    assert_eq!(chain(tree), "sys_test> may_do_it! [security_capable]");
    let translated = tree.replace("may_do_it = -1", "may_do_it = -13");
    assert_eq!(
        chain(&translated),
        "sys_test* may_do_it! ? [security_capable]"
    );
    // Whoever asks may answer yes or no.
    let tree = "
        sys_test = -1
          may_use = 0
            security_capable = -1
              cap_capable = -1
    ";
    assert_eq!(chain(tree), "sys_test> may_use~ ? [security_capable]");
    // A session about a question is about who answers.
    let tree = "
        security_capable = -1
          cap_capable = -1
    ";
    assert_eq!(chain(tree), "security_capable> cap_capable!");
}

#[test]
fn the_last_of_those_asked_in_turn_is_not_to_blame() {
    let tree = "
        sys_test = -2
          find_driver = -2
            try_driver = -2
              one_init = -2
            try_driver = -2
              other_init = -2
    ";
    assert_eq!(
        chain(tree),
        "sys_test> find_driver! ? [try_driver try_driver]"
    );
    // If the same function fails again, it is a second attempt.
    assert_eq!(
        chain(&tree.replace("other_init", "one_init")),
        "sys_test> find_driver> try_driver> one_init! [try_driver]"
    );
}

#[test]
fn not_mine_is_no_reason() {
    let tree = "
        sys_test = -22
          parse_mine = -519
          parse_source = -519
    ";
    assert_eq!(chain(tree), "sys_test! ? [parse_mine parse_source]");
}

#[test]
fn what_failed_below_a_number_is_no_translation() {
    let tree = "
        sys_test = -99
          addr_type = 0
            table_lookup = -11
    ";
    assert_eq!(chain(tree), "sys_test! [table_lookup]");
}

#[test]
fn a_request_that_failed_is_the_reason_though_its_callers_succeeded() {
    let tree = "
        sys_test = 36
          send_it = 36
            check_it = -13
            receive_it = 0
              handle_request = -95
                do_request = -95
            free_it = 0
    ";
    assert_eq!(
        chain(tree),
        "sys_test~ send_it~ receive_it~ handle_request> do_request! [check_it]"
    );
    // A caller that fails has a reason of its own. A function that is no request handler may fail
    // without any effect on its callers.
    assert_eq!(
        chain(&tree.replace("36", "-13")),
        "sys_test> send_it> check_it! [handle_request]"
    );
    assert_eq!(
        chain(&tree.replace("handle_request", "other")),
        "sys_test~ send_it~ check_it! [other]"
    );
}

/// `nft list ruleset` showed one to five failures of `__netlink_dump_start` per run.
#[test]
fn the_start_of_a_netlink_dump_is_no_failure() {
    let tree = "
        sys_test = 36
          send_it = 36
            handle_request = -4
              start_dump = -4
    ";
    let (functions, calls) = parse(tree);
    assert!(assemble(&functions, calls, &[]).chain.only_starts_dumps);
    let (functions, calls) = parse(&tree.replace("-4", "-5"));
    assert!(!assemble(&functions, calls, &[]).chain.only_starts_dumps);
    let (functions, calls) = parse(&tree.replace("sys_test = 36", "sys_test = -4"));
    assert!(!assemble(&functions, calls, &[]).chain.only_starts_dumps);
}

#[test]
fn a_null_is_a_reason_by_what_it_means() {
    let null = |name: &str, errno: i32| {
        format!(
            "
        sys_test = {errno}
          {name} = 0
    "
        )
    };
    // The limit of user namespaces.
    assert_eq!(chain(&null("inc_ucount", -28)), "sys_test* inc_ucount! ?");
    // It always returns NULL if there is no policy.
    assert_eq!(
        chain(&null("policy_mbind_nodemask", -12)),
        "sys_test! ? [policy_mbind_nodemask]"
    );
    assert_eq!(
        chain(&null("resolve_symbol", -2)),
        "sys_test* resolve_symbol! ?"
    );
    assert_eq!(
        chain(&null("kmalloc_node", -12)),
        "sys_test* kmalloc_node! ?"
    );
}

#[test]
fn who_says_that_it_refuses_is_to_blame_though_a_question_failed() {
    // Link protection, as of `may_linkat()`.
    let tree = "
        sys_test = -1
          may_link = -1
            check_mode = -13
          put_it = 0
    ";
    assert_eq!(chain(tree), "sys_test> may_link* check_mode! ?");
    let refused_by = |by, tree: &str, next_seq, inside| {
        let note = NoteRecord {
            session: 1,
            next_seq,
            inside,
            ..NoteRecord::default()
        };
        chain_with_refusal(tree, by, note)
    };
    let refused =
        |tree: &str, next_seq, inside| refused_by("audit_log_path_denied", tree, next_seq, inside);
    assert_eq!(refused(tree, 3, 1), "sys_test> may_link! [check_mode]");
    // Three variants: the task is to be killed, another call refused, and the same error came later.
    assert_eq!(
        refused_by("force_sig_info", tree, 3, 1),
        "sys_test> may_link* check_mode! ?"
    );
    assert_eq!(refused(tree, 4, 3), "sys_test> may_link* check_mode! ?");
    let later = tree.replace("put_it", "  ask = -1\n          put_it");
    assert_eq!(
        refused(&later, 3, 1),
        "sys_test> may_link> ask! [check_mode]"
    );
}

#[test]
fn what_an_untraced_function_called_is_no_translated_error() {
    // `fib_table_lookup()` for `__inet_dev_addr_type()`, which returns a type.
    let tree = "
        sys_test = -99
          bind_it = -99
            find_route = -11
    ";
    let from = |site: u64| {
        let (functions, mut calls) = parse(tree);
        for call in &mut calls {
            call.call_site = match call.depth {
                2 => site,
                depth => func_addr(usize::from(depth).saturating_sub(1)).0 + 0x20,
            };
        }
        let session = assemble(&functions, calls, &[]);
        written(&session, &functions)
    };
    let (inside, outside) = (func_addr(1).0 + 0x20, func_addr(7).0 + 0x20);
    assert_eq!(from(inside), "sys_test> bind_it* find_route! ?");
    assert_eq!(from(outside), "sys_test> bind_it! ? [find_route]");
    // After a jump the return address is that of the caller's own call.
    let own = func_addr(0).0 + 0x20;
    assert_eq!(from(own), "sys_test> bind_it* find_route! ?");
}

#[test]
fn a_hook_that_no_security_module_answers_is_not_the_reason() {
    let tree = "
        sys_test = -22
          security_task_prctl = -38
            yama_task_prctl = -38
    ";
    assert_eq!(chain(tree), "sys_test! ? [security_task_prctl]");
    // Where the function that asks them is not traced.
    let own = "
        sys_test = -22
          cap_task_prctl = -38
    ";
    assert_eq!(chain(own), "sys_test! ? [cap_task_prctl]");
    // Another function's is.
    let other = tree.replace("security_task_prctl", "call_it");
    assert_eq!(chain(&other), "sys_test* call_it> yama_task_prctl! ?");
}
