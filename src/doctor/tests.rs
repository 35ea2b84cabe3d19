// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the report with kernels simulated by files.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::backends::Tried;
use super::look;
use crate::bpf::KernelSupport;
use crate::kernel::btf::builder::Builder;
use crate::kernel::facts::KernelFiles;

/// A machine on which tracing works.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let mut types = Builder::kernel();
        types.enumeration("bpf_map_type", &[("BPF_MAP_TYPE_RINGBUF", 27)]);
        types.enumeration("bpf_func_id", &[("BPF_FUNC_get_attach_cookie", 174)]);
        let machine = Self(tempfile::tempdir().unwrap());
        machine
            .with("sys/kernel/btf/vmlinux", types.build())
            .with("proc/sys/kernel/osrelease", "6.12.1-test\n")
            .with("proc/self/status", "CapEff:\t000001ffffffffff\n")
            .with("proc/sys/kernel/kptr_restrict", "1\n")
            .with("proc/kallsyms", "ffffffff81000000 T f\n")
            .with("sys/kernel/tracing/available_filter_functions", "f\n")
            .with(
                "sys/kernel/security/lockdown",
                "[none] integrity confidentiality",
            )
            .with("sys/kernel/security/lsm", "capability,bpf")
    }

    fn with(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn without(self, path: &str) -> Self {
        fs::remove_file(self.0.path().join(path)).unwrap();
        self
    }

    fn report(&self, may_load: bool) -> Value {
        let tried = Tried {
            may_load,
            support: KernelSupport::default(),
        };
        let checkup = look(&KernelFiles::below(self.0.path()), None, tried).unwrap();
        let mut json = Vec::new();
        checkup.write_json(&mut json).unwrap();
        serde_json::from_slice(&json).unwrap()
    }
}

/// Asserts that a check is missing, prevents tracing, and has cost and hint.
fn assert_in_the_way(report: &Value, id: &str) {
    assert_eq!(report["can_trace"], false);
    let check = &report["checks"][id];
    assert_eq!(check["state"], "missing", "{check}");
    assert!(
        check["cost"].is_string() && check["hint"].is_string(),
        "{check}"
    );
}

#[test]
fn a_machine_with_all_that_it_takes_can_trace() {
    let report = Machine::new().report(true);
    assert_eq!(report["can_trace"], true, "{report:#}");
    assert_eq!(report["kernel"], "6.12.1-test");
    assert_eq!(report["backend"], "fentry");
    let checks = &report["checks"];
    assert_eq!(checks["ring_buffer"]["state"], "ok");
    assert_eq!(checks["bpf_lsm"]["state"], "ok");
    assert_eq!(checks["dwarf"]["state"], "missing");
    let found = checks["dwarf"]["found"].as_str().unwrap();
    assert!(
        found.contains("usr/lib/debug/boot/vmlinux-6.12.1-test"),
        "{found}"
    );
    // The kernel is newer than the first one with this back end, so its configuration lacks it.
    assert_eq!(
        checks["backend_kprobe_multi"]["found"],
        "this kernel was built without `CONFIG_FPROBE`"
    );
}

#[test]
fn each_thing_that_is_missing_is_named() {
    let report = Machine::new()
        .without("sys/kernel/btf/vmlinux")
        .report(true);
    assert_in_the_way(&report, "btf");
    assert_eq!(report["checks"]["ring_buffer"]["state"], "unknown");
    assert_eq!(report["checks"]["backend_fentry"]["state"], "missing");
    assert_eq!(report["backend"], Value::Null);
    let report = Machine::new()
        .with("sys/kernel/btf/vmlinux", "nonsense")
        .report(true);
    assert_in_the_way(&report, "btf");
    let hidden = "0000000000000000 T f\n0000000000000000 T g\n";
    let report = Machine::new().with("proc/kallsyms", hidden).report(true);
    assert_in_the_way(&report, "symbols");
    let list = "sys/kernel/tracing/available_filter_functions";
    assert_in_the_way(&Machine::new().without(list).report(true), "tracefs");
    let locked = "none integrity [confidentiality]";
    let report = Machine::new()
        .with("sys/kernel/security/lockdown", locked)
        .report(true);
    assert_in_the_way(&report, "lockdown");
    let mut types = Builder::kernel();
    types.enumeration("bpf_map_type", &[("BPF_MAP_TYPE_HASH", 1)]);
    let report = Machine::new()
        .with("sys/kernel/btf/vmlinux", types.build())
        .report(true);
    assert_in_the_way(&report, "ring_buffer");
}

#[test]
fn without_privileges_the_rest_is_told_all_the_same() {
    let report = Machine::new()
        .with("proc/self/status", "CapEff:\t0000000000000000\n")
        .report(false);
    assert_in_the_way(&report, "capabilities");
    assert_eq!(report["checks"]["btf"]["state"], "ok");
    assert_eq!(report["checks"]["backend_fentry"]["state"], "unknown");
    assert_eq!(report["backend"], Value::Null);
}

#[test]
fn an_empty_root_has_every_key_still() {
    let nothing = tempfile::tempdir().unwrap();
    let tried = Tried {
        may_load: false,
        support: KernelSupport::default(),
    };
    let checkup = look(&KernelFiles::below(nothing.path()), None, tried).unwrap();
    let mut json = Vec::new();
    checkup.write_json(&mut json).unwrap();
    let empty: Value = serde_json::from_slice(&json).unwrap();
    let full = Machine::new().report(true);
    let keys = |report: &Value| {
        let checks = report["checks"].as_object().unwrap();
        checks.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(&empty), keys(&full));
    assert_eq!(empty["can_trace"], false);
    assert_eq!(empty["kernel"], Value::Null);
}
