// SPDX-License-Identifier: BSD-2-Clause
//! `doctor` on real kernels: what it says is there is there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::harness::{Ended, Trace, kernel, program, run};

/// Keys that scripts rely on, on every kernel.
const KEYS: &[&str] = &[
    "capabilities",
    "lockdown",
    "kptr_restrict",
    "perf_event_paranoid",
    "unprivileged_bpf_disabled",
    "btf",
    "symbols",
    "tracefs",
    "ring_buffer",
    "cookies",
    "jit",
    "bpf_lsm",
    "lbr",
    "dwarf",
    "kcore",
    "descriptors",
    "locked_memory",
    "backend_kprobe_session",
    "backend_kprobe_multi",
    "backend_fentry",
    "backend_uprobe_multi",
    "backend_uprobe",
];

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {}", ended.stdout))
}

fn state<'a>(report: &'a Value, id: &str) -> &'a str {
    report["checks"][id]["state"].as_str().unwrap()
}

#[test]
fn tracing_works_in_the_guest_and_every_key_is_there() {
    let ended = run(&["doctor", "--json"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    let report = json(&ended);
    assert_eq!(report["can_trace"], true);
    for key in KEYS {
        assert!(report["checks"][key]["state"].is_string(), "{key}");
    }
    for key in [
        "btf",
        "symbols",
        "tracefs",
        "ring_buffer",
        "capabilities",
        "kcore",
        "trial",
    ] {
        assert_eq!(
            state(&report, key),
            "ok",
            "{key}: {}",
            report["checks"][key]
        );
    }
    assert_eq!(
        state(&report, "dwarf"),
        "ok",
        "{}",
        report["checks"]["dwarf"]
    );
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(report["kernel"], release.trim());
}

#[test]
fn what_a_kernel_lacks_is_told_with_the_reason() {
    let report = json(&run(&["doctor", "--json"]));
    let multi = &report["checks"]["backend_kprobe_multi"];
    let session = &report["checks"]["backend_kprobe_session"];
    match kernel().as_str() {
        "5.10" => {
            assert_eq!(multi["found"], "kernels have it from 5.18 on");
            assert_eq!(state(&report, "cookies"), "missing");
        }
        "6.1" => {
            assert_eq!(
                multi["found"],
                "this kernel was built without `CONFIG_FPROBE`"
            );
            assert_eq!(session["found"], "kernels have it from 6.10 on");
            assert_eq!(state(&report, "cookies"), "ok");
        }
        _ => {
            assert_eq!(multi["state"], "ok");
            assert_eq!(session["state"], "ok");
        }
    }
}

#[test]
fn the_text_names_the_back_end_and_nobody_else_is_refused() {
    let ended = run(&["doctor"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("\nTracing works here, by default with back end ")
    );
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
}

#[test]
fn a_user_without_rights_gets_the_report_too_and_status_1() {
    let copy = Path::new("/tmp/retsnoop-doctor-for-nobody");
    fs::copy(program(&[]).get_program(), copy).unwrap();
    fs::set_permissions(copy, Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(copy).args(["doctor", "--json"]);
    command.current_dir("/").stdout(Stdio::piped());
    let ended = Trace::spawn(command).wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let report = json(&ended);
    assert_eq!(report["can_trace"], false);
    assert_eq!(state(&report, "capabilities"), "missing");
    assert_eq!(state(&report, "btf"), "ok");
    assert_eq!(state(&report, "backend_fentry"), "unknown");
    for key in KEYS {
        assert!(report["checks"][key]["state"].is_string(), "{key}");
    }
}

#[test]
fn an_image_that_is_none_is_told_and_tracing_works_without() {
    let garbage = "/tmp/doctor-garbage";
    fs::write(garbage, [0x5a; 5000]).unwrap();
    let ended = run(&["doctor", "--json", "-k", garbage]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let report = json(&ended);
    assert_eq!(state(&report, "dwarf"), "missing");
    let found = report["checks"]["dwarf"]["found"].as_str().unwrap();
    assert!(found.contains(garbage), "{found}");
}
