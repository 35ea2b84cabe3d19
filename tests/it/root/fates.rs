// SPDX-License-Identifier: BSD-2-Clause
//! Reasons by the machine code of the callers: ignored results are never blamed, and a NULL is where
//! the branch behind it leads to the error.

use std::path::Path;
use std::{env, fs, process};

use retsnoop_rs::app::replay;
use retsnoop_rs::capture::Recording;
use retsnoop_rs::config::OutputFormat;
use serde_json::Value;

use super::harness::Trace;
use super::setting::Setting;
use super::sys;

const ULP: &[&str] = &[
    "-e",
    "*_sys_setsockopt",
    "-a",
    "do_tcp_setsockopt*",
    "-a",
    "tcp_set_ulp",
    "-a",
    "__request_module",
    "-sn",
    "-n",
    "ulp",
];

#[test]
fn automatic_loading_of_modules_that_fails_is_not_blamed() {
    // So that it fails with the errno of the caller.
    let _modprobe = Setting::set("/proc/sys/kernel/modprobe", "/nowhere/modprobe");
    let file = env::temp_dir().join(format!("fates-{}.json", process::id()));
    let path = file.to_str().unwrap();
    let trace = Trace::start(&[ULP, &["--record-raw", path]].concat());
    sys::in_child(|| {
        sys::rename_thread(c"ulp");
        assert_eq!(sys::fail_upper_layer(), libc::ENOENT);
    });
    let report = trace.finish();
    let session = report.only("ulp");
    assert_eq!(session.result(), "-ENOENT");
    assert_eq!(session.culprit(), "tcp_set_ulp", "{session:#?}");
    assert_eq!(session.handled(), ["__request_module"], "{session:#?}");
    let replayed = replayed(&file);
    let session: Value = serde_json::from_str(&replayed).unwrap();
    let culprit = &session["culprit"]["function"];
    assert_eq!(culprit, "tcp_set_ulp", "{session:#}");
}

/// What a recording shows, in JSON.
fn replayed(file: &Path) -> String {
    let recording = Recording::from_json(&fs::read(file).unwrap()).unwrap();
    assert!(!recording.fates.is_empty());
    let mut out = Vec::new();
    replay(&recording, OutputFormat::Json, &mut out).unwrap();
    fs::remove_file(file).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_null_that_leads_to_the_error_is_the_reason() {
    let _limit = Setting::set("/proc/sys/user/max_user_namespaces", "0");
    let trace = Trace::start(&[
        "-e",
        "*_sys_unshare",
        "-a",
        "ksys_unshare",
        "-a",
        "create_user_ns",
        "-a",
        "inc_ucount",
        "-sn",
        "-n",
        "limited",
    ]);
    sys::in_child(|| {
        sys::rename_thread(c"limited");
        assert_eq!(sys::fail_user_namespace(), libc::ENOSPC);
    });
    let report = trace.finish();
    let session = report.only("limited");
    assert_eq!(session.result(), "-ENOSPC");
    assert_eq!(session.culprit(), "inc_ucount", "{session:#?}");
    let links = session.links();
    let made = &links[links.len() - 2];
    assert_eq!(made["function"], "create_user_ns", "{session:#?}");
    assert_eq!(made["link"], "translated", "{session:#?}");
}

#[test]
fn a_null_that_changes_nothing_is_no_reason() {
    let trace = Trace::start(&[
        "-e",
        "*_sys_mmap",
        "-a",
        "hugetlb_reserve_pages",
        "-a",
        "hugetlb_acct_memory*",
        "-a",
        "policy_mbind_nodemask",
        "-sn",
        "-n",
        "huge",
    ]);
    trace.simfail(&["--comm", "huge", "mmap-huge"]);
    let report = trace.finish();
    for session in report.of("huge") {
        assert_ne!(session.culprit(), "policy_mbind_nodemask", "{session:#?}");
    }
    assert!(!report.of("huge").is_empty());
}
