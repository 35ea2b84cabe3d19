// SPDX-License-Identifier: BSD-2-Clause
//! A kernel that is locked down. That cannot be undone, so this runs last: tests run in the order
//! of their names.

use std::fs;

use serde_json::Value;

use super::deny::{Refused, check_refusals, refused, sh};
use super::harness::run;

const FILE: &str = "/sys/kernel/security/lockdown";

fn mount_securityfs() {
    let mounted = fs::exists(FILE).unwrap();
    if !mounted {
        // Not every guest has it mounted.
        let mount = ["-t", "securityfs", "none", "/sys/kernel/security"];
        let status = std::process::Command::new("mount").args(mount).status();
        assert!(status.unwrap().success());
    }
}

/// The first level of lockdown still lets programs trace.
#[test]
fn integrity_is_told_with_what_it_forbids() {
    mount_securityfs();
    fs::write(FILE, "integrity").unwrap();
    let iopl = Refused {
        asker: "iopl",
        ..refused("perl -e 'syscall(172, 3)'", "lockdown", "LOCKDOWN_IOPORT")
    };
    assert!(sh("mkdir -p /tmp/deny"));
    assert_eq!(check_refusals(&[iopl]), 1);
}

#[test]
fn lockdown_is_an_error_that_names_it_and_doctor_tells_what_it_costs() {
    mount_securityfs();
    fs::write(FILE, "confidentiality").unwrap();
    let stderr = run(&["-e", "*_sys_bpf"]).failed(1);
    assert!(stderr.contains("locked down (confidentiality)"), "{stderr}");
    assert!(stderr.contains("hint: "), "{stderr}");
    let ended = run(&["doctor", "--json"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["can_trace"], false);
    assert_eq!(report["checks"]["lockdown"]["state"], "missing");
    assert_eq!(report["checks"]["kcore"]["state"], "limited");
}
