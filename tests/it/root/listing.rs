// SPDX-License-Identifier: BSD-2-Clause
//! `list functions` on real kernels.

use std::fs;

use serde_json::Value;

use super::harness::{kernel, run};

fn list(arguments: &[&str]) -> Vec<Value> {
    let ended = run(&[&["list", "functions", "--json"], arguments].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_function_has_its_prototype_and_back_end() {
    let functions = list(&["vfs_read", "vfs_open"]);
    let names: Vec<_> = functions
        .iter()
        .map(|f| f["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["vfs_open", "vfs_read"]);
    let open = &functions[0];
    assert_eq!(
        open["prototype"],
        "int vfs_open(const struct path *path, struct file *file)"
    );
    assert_eq!(open["traceable"], true);
    let read = functions[1]["prototype"].as_str().unwrap();
    assert_eq!(
        read,
        "ssize_t vfs_read(struct file *file, char *buf, size_t count, loff_t *pos)"
    );
    let backend = match kernel().as_str() {
        "5.10" | "6.1" => "fentry",
        // (Newest kernels preempt programs of trampolines.)
        _ => "kprobe-session",
    };
    assert_eq!(open["backend"], backend);
}

#[test]
fn what_cannot_be_traced_has_its_reason() {
    let functions = list(&["do_exit", "ftrace_set_filter"]);
    let of = |name: &str| functions.iter().find(|f| f["name"] == name).unwrap();
    assert_eq!(of("do_exit")["reason"], "never returns");
    assert_eq!(of("do_exit")["backend"], Value::Null);
    let reason = of("ftrace_set_filter")["reason"].as_str().unwrap();
    assert!(reason.starts_with("never traced: "), "{reason}");
}

#[test]
fn the_source_file_comes_when_it_is_asked_for() {
    let without = list(&["vfs_open"]);
    assert_eq!(without[0]["file"], Value::Null);
    let with = list(&["vfs_open", "-s"]);
    assert_eq!(with[0]["file"], "fs/open.c");
    assert!(with[0]["line"].as_u64().unwrap() > 100);
}

#[test]
fn functions_are_chosen_by_the_file_that_defines_them() {
    let listed = list(&[":kernel/bpf/syscall.c"]);
    let has = |name: &str| listed.iter().any(|function| function["name"] == name);
    assert!(has("bpf_prog_load") && !has("vfs_read") && !has("bpf_check"));
    assert!(listed.len() > 50, "{}", listed.len());
    // Each is where it was looked for, clones and copies of other files' functions apart.
    for function in list(&[":kernel/bpf/syscall.c", "-s"]) {
        assert_eq!(function["file"], "kernel/bpf/syscall.c", "{function}");
    }
    let of_module = list(&[":fs/overlayfs/namei.c"]);
    assert!(
        of_module
            .iter()
            .all(|function| function["module"] == "overlay")
    );
    assert!(
        of_module
            .iter()
            .any(|function| function["name"] == "ovl_lookup")
    );
}

#[test]
fn functions_of_a_module_are_told_with_their_source_line() {
    // The guest's root is an overlay, so that it is loaded; its debug file is at hand.
    let listed = list(&["ovl_lookup", "-s"]);
    assert_eq!(listed[0]["module"], "overlay");
    assert_eq!(listed[0]["file"], "fs/overlayfs/namei.c");
    assert!(listed[0]["line"].as_u64().unwrap() > 100);
    let ended = run(&["symbolize", "--exact", "ovl_lookup+0x0 [overlay]"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let line = listed[0]["line"].as_u64().unwrap();
    let expected = format!("\novl_lookup fs/overlayfs/namei.c:{line} [overlay]\n");
    assert!(ended.stdout.ends_with(&expected), "{}", ended.stdout);
}

#[test]
fn functions_of_a_module_are_listed_with_it() {
    // Whichever the guest was started with that has functions enough.
    let modules = fs::read_to_string("/proc/modules").unwrap();
    let modules = modules.lines().filter_map(|line| line.split(' ').next());
    let of_module = |module: &str| {
        let ended = run(&["list", "functions", "--json", &format!("* [{module}]")]);
        let lines = ended
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        (module.to_owned(), lines.collect::<Vec<Value>>())
    };
    let mut found = modules.map(of_module);
    let (module, functions) = found.find(|(_, functions)| functions.len() > 20).unwrap();
    for function in &functions {
        assert_eq!(function["module"], module);
    }
    let typed = functions
        .iter()
        .filter(|f| f["prototype"].is_string())
        .count();
    // 5.10 has no types of modules.
    assert!(kernel() == "5.10" || typed > 10, "{typed} of {module}");
}

#[test]
fn a_glob_without_match_is_an_error_with_the_nearest_names() {
    let stderr = run(&["list", "functions", "vfs_opne"]).failed(1);
    assert!(stderr.contains("similar: "), "{stderr}");
    assert!(stderr.contains("vfs_open"), "{stderr}");
    assert!(stderr.contains("hint: "), "{stderr}");
    let ended = run(&["list", "functions", "vfs_opne", "vfs_open"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("warning: `vfs_opne`"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("vfs_open("), "{}", ended.stdout);
}

#[test]
fn names_for_completion_need_no_symbols() {
    let ended = run(&["list", "functions", "--names", "vfs_op*"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.lines().any(|name| name == "vfs_open"));
    assert!(ended.stdout.lines().all(|name| name.starts_with("vfs_op")));
}
