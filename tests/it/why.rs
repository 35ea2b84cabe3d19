// SPDX-License-Identifier: BSD-2-Clause
//! The acceptance set of `retsnoop-rs -- CMD` as data: whether its files make sense, and whether the
//! scorer counts a right answer as right, a wrong one as wrong, and none as none.

use std::collections::BTreeSet;
use std::path::Path;
use std::slice;

use serde_json::json;

#[path = "../why/suite/mod.rs"]
pub(crate) mod suite;

use suite::case::{self, Case};
use suite::run::Outcome;
use suite::score::{Score, score};
use suite::table::{Sum, render};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/why");
const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "newest"];

pub(crate) fn cases(kernel: &str) -> Vec<Case> {
    case::read(Path::new(CASES), kernel).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_set_is_large_and_every_case_has_a_name_of_its_own() {
    for kernel in KERNELS {
        let cases = cases(kernel);
        let ids: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids.len(), cases.len(), "{kernel}");
        let n_run = cases.iter().filter(|case| case.skip.is_none()).count();
        assert!(n_run >= 90, "{kernel}: {n_run}");
        // Netlink requests are sent by one of these.
        let sends = |name: &String| matches!(name.as_str(), "sendmsg" | "sendto");
        let mut requests = cases.iter().filter(|case| case.request);
        assert!(requests.all(|case| case.syscall.iter().all(sends)));
    }
}

/// Scores the first case about a mode of tmpfs with these lines as output.
fn scored(output: &[serde_json::Value], functions: &[&str]) -> Score {
    let cases = cases("6.12");
    let case = cases.iter().find(|case| case.id == "mount-tmpfs-mode");
    let lines: Vec<String> = output.iter().map(ToString::to_string).collect();
    let functions = functions.iter().map(ToString::to_string).collect();
    score(
        case.unwrap(),
        &Outcome::default(),
        &lines.join("\n"),
        &functions,
    )
}

fn session(text: &str) -> serde_json::Value {
    json!({"kind": "session", "id": 7, "messages": [{"text": text}]})
}

fn verdict(errno: &str, culprit: &str, certain: bool) -> serde_json::Value {
    let reason = json!({
        "session": 7, "syscall": "mount", "error": errno, "culprit": culprit, "certain": certain
    });
    json!({"kind": "verdict", "status": 32, "reasons": [reason]})
}

#[test]
fn a_right_answer_is_right_in_every_respect() {
    let lines = [
        session("tmpfs: Bad value for 'mode'"),
        verdict("EINVAL", "fs_param_is_u32.part.0", true),
    ];
    let score = scored(&lines, &["fs_param_is_u32"]);
    assert!(score.is_first() && score.is_culprit_right && !score.is_wrong);
    assert_eq!(
        (score.are_words_right, score.trouble.as_str()),
        (Some(true), "")
    );
}

#[test]
fn a_wrong_culprit_counts_as_a_wrong_statement_when_it_is_called_certain() {
    let certain = scored(&[session(""), verdict("EINVAL", "fs_parse", true)], &[]);
    assert!(certain.is_first() && !certain.is_culprit_right && certain.is_wrong);
    let probable = scored(&[session(""), verdict("EINVAL", "fs_parse", false)], &[]);
    assert!(!probable.is_culprit_right && !probable.is_wrong);
    assert_eq!(probable.are_words_right, Some(false));
}

#[test]
fn the_right_function_in_another_session_is_no_right_culprit() {
    let score = scored(&[verdict("ENOENT", "fs_param_is_u32", false)], &[]);
    assert!(!score.is_first() && !score.is_culprit_right);
}

#[test]
fn no_verdict_is_trouble_and_no_answer() {
    let score = scored(&[session("")], &[]);
    assert_eq!(score.trouble, "no verdict");
    let sum = Sum::of(slice::from_ref(&score));
    assert_eq!((sum.n_run, sum.n_trouble, sum.n_first), (1, 1, 0));
    assert!(render("6.12", &[score]).contains("no verdict"));
}

#[test]
fn a_caller_is_accepted_only_where_the_deciding_function_is_inlined() {
    let cases = cases("6.12");
    let case = cases
        .iter()
        .find(|case| case.id == "create-sticky")
        .unwrap();
    let with = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let both = with(&["may_create_in_sticky", "path_openat"]);
    assert_eq!(case.accepted(&both), ["may_create_in_sticky"]);
    let inlined = case.accepted(&with(&["path_openat"])).join(" ");
    assert_eq!(inlined, "may_create_in_sticky do_open path_openat");
}
