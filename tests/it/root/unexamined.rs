// SPDX-License-Identifier: BSD-2-Clause
//! System calls of a command that failed and whose functions were not traced.

use serde_json::{Value, json};

use super::harness::run;

/// Fails an `openat`, a `kill` three times, and a `kill` of another process, and ends with a status.
const FAILING: &str = r#"
import os, subprocess, sys
for _ in range(3):
    try: os.kill(0x3fffffff, 0)
    except OSError: pass
try: os.open("/nosuch", 0)
except OSError: pass
subprocess.run(["rmdir", "/proc"], stderr=subprocess.DEVNULL)
sys.exit(int(sys.argv[1]))
"#;

fn traced(options: &[&str], status: &str) -> (String, Vec<Value>) {
    let file = format!("/tmp/unexamined-{}", super::sys::unique());
    let output = ["-e", "*_sys_openat", "-sn", "--json", "-o", &file];
    let command = ["--", "python3", "-c", FAILING, status];
    let ended = run(&[&output[..], options, &command].concat());
    assert_eq!(ended.status.code(), status.parse().ok(), "{}", ended.stderr);
    let text = std::fs::read_to_string(&file).unwrap();
    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let unexamined = summary["unexamined"].as_array().unwrap().clone();
    (ended.stderr, unexamined)
}

#[test]
fn failures_that_were_not_looked_into_are_named_with_how_to_look() {
    let (stderr, unexamined) = traced(&[], "3");
    let kill = json!({"syscall": "kill", "errno": 3, "error": "ESRCH", "count": 3});
    assert!(unexamined.contains(&kill), "{unexamined:?}");
    // Of a child.
    let rmdir = json!({"syscall": "rmdir", "errno": 16, "error": "EBUSY", "count": 1});
    let is_rmdir = |of: &&Value| of["syscall"] == "rmdir";
    let found = unexamined.iter().find(is_rmdir);
    assert_eq!(found, Some(&rmdir), "{unexamined:?}");
    let is_openat = |of: &Value| of["syscall"] == "openat";
    assert!(!unexamined.iter().any(is_openat), "{unexamined:?}");
    let said = stderr
        .lines()
        .find(|line| line.contains("not looked into: "));
    let said = said.unwrap_or_else(|| panic!("{stderr}"));
    assert!(
        said.contains("kill ESRCH (3 times)") && said.contains("rmdir EBUSY"),
        "{said}"
    );
    assert!(!said.contains("arch_prctl"), "{said}");
    let hint = stderr
        .lines()
        .find(|line| line.contains("hint: look into them with"));
    let hint = hint.unwrap_or_else(|| panic!("{stderr}"));
    assert!(hint.contains("*_sys_{") && hint.contains("kill"), "{hint}");
}

#[test]
fn of_a_command_that_succeeds_they_are_named_when_asked_for() {
    let (stderr, unexamined) = traced(&[], "0");
    assert!(!stderr.contains("not looked into"), "{stderr}");
    assert!(!unexamined.is_empty());
    let (stderr, _) = traced(&["-v"], "0");
    assert!(stderr.contains("kill ESRCH (3 times)"), "{stderr}");
}
