// SPDX-License-Identifier: BSD-2-Clause
//! Functions of modules that are armed before they are loaded.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{Report, Trace, kernel, program, run};
use super::sys;

/// A module whose start fails with these parameters, by way of functions of its own; without what
/// only its files in sysfs call, for each function costs time on old kernels.
const FAILING: [&str; 4] = ["null_blk", "zoned=1", "zone_size=3", "gb=1"];
const ON_LOAD: &[&str] = &[
    "--on-load",
    "null_blk",
    "-e",
    "__x64_sys_*init_module",
    "-a",
    "do_one_initcall",
    "-d",
    "*{_show,_store,_item,_items,_release} [null_blk]",
    "-n",
    "modprobe",
];

fn modprobe(arguments: &[&str]) -> bool {
    let mut command = Command::new("modprobe");
    command.args(arguments).stderr(Stdio::null());
    command.status().unwrap().success()
}

fn probes() -> String {
    fs::read_to_string("/sys/kernel/tracing/kprobe_events").unwrap()
}

fn assert_no_probes() {
    let start = Instant::now();
    while probes().contains("retsnoop") {
        assert!(start.elapsed() < Duration::from_secs(60), "{}", probes());
        thread::sleep(Duration::from_millis(50));
    }
}

/// Loads a module, which fails, while it is traced.
fn failed(arguments: &[&str], module: &[&str]) -> Report {
    let trace = Trace::start(arguments);
    assert!(probes().contains("retsnoop"), "{}", probes());
    assert!(!modprobe(module));
    let report = trace.finish();
    // The prompt is back: nothing is left.
    assert!(!probes().contains("retsnoop"), "{}", probes());
    report
}

/// As a group kill leaves it, which takes the guardian, too.
#[test]
fn probes_that_a_killed_run_left_are_removed_by_the_next() {
    // `PID_MAX_LIMIT`: no process ever has it.
    let left = "retsnoop_4194304_0_0/p1";
    let mut events = fs::File::options()
        .append(true)
        .open("/sys/kernel/tracing/kprobe_events")
        .unwrap();
    events
        .write_all(format!("p:{left} do_sys_openat2\n").as_bytes())
        .unwrap();
    assert!(probes().contains(left));
    let trace = Trace::start(ON_LOAD);
    assert!(!probes().contains(left), "{}", probes());
    trace.finish();
}

#[test]
fn a_start_that_fails_shows_its_chain_within_the_module() {
    let report = failed(ON_LOAD, &FAILING);
    let session = report.only("modprobe");
    assert_eq!(session.result(), "-EINVAL");
    let chain = session.chain();
    let start = chain.iter().position(|&function| function == "null_init");
    let start = start.unwrap_or_else(|| panic!("{chain:?} {}", report.stderr));
    assert!(chain.len() > start + 1, "{chain:?}");
    let culprit = session.culprit();
    assert!(culprit.starts_with("null_"), "{culprit}");
    let rows = session.stack();
    let row = rows.iter().find(|row| row["function"] == "null_init");
    let row = row.unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(row["module"], "null_blk", "{row}");
    // Where it was when it called what failed; before 5.16 kretprobes hide that.
    if kernel() != "5.10" {
        assert!(row["offset"].as_u64().unwrap() > 0, "{row}");
    }
}

#[test]
fn a_module_that_is_loaded_time_and_again_is_found_each_time() {
    let trace = Trace::start(ON_LOAD);
    for _ in 0..2 {
        assert!(!modprobe(&FAILING));
    }
    // And once where it goes well: no session.
    assert!(modprobe(&["null_blk", "nr_devices=0"]));
    assert!(modprobe(&["-r", "null_blk"]));
    let report = trace.finish();
    let sessions = report.of("modprobe");
    assert_eq!(sessions.len(), 2, "{}", report.stderr);
    for session in sessions {
        assert!(session.chain().contains(&"null_init"));
    }
    assert_no_probes();
}

/// The kernel says that the module was loaded; its driver found nothing. Older kernels, and their
/// `einj`, fail as a whole.
#[test]
fn a_probe_that_fails_is_shown_though_loading_succeeds() {
    if kernel() == "5.10" {
        // Debian did not build the module then.
        let stderr = run(&["--on-load", "einj"]).failed(1);
        assert!(stderr.contains("no module `einj`"), "{stderr}");
        return;
    }
    let arguments = ["--on-load", "einj", "-n", "modprobe", "-d", "*_show [einj]"];
    let trace = Trace::start(&arguments);
    let loaded = modprobe(&["einj"]);
    let report = trace.finish();
    let session = report.only("modprobe");
    let culprit = session.culprit().to_owned();
    if kernel() == "6.1" {
        assert!(!loaded);
        assert_eq!(culprit, "einj_init", "{:?}", session.chain());
    } else {
        assert!(loaded && modprobe(&["-r", "einj"]));
        assert_eq!(culprit, "einj_probe", "{:?}", session.chain());
    }
    assert_no_probes();
}

#[test]
fn a_module_is_found_by_the_path_of_its_file_too() {
    let output = Command::new("modinfo")
        .args(["-n", "intel_powerclamp"])
        .output()
        .unwrap();
    let path = String::from_utf8(output.stdout).unwrap();
    let arguments = ["--on-load", path.trim(), "-e", "powerclamp_init"];
    let report = failed(&arguments, &["intel_powerclamp"]);
    let session = report.only("modprobe");
    assert_eq!(session.culprit(), "powerclamp_init");
    assert_eq!(session.result(), "-ENODEV");
}

#[test]
fn kill_9_leaves_no_probe_behind() {
    let programs = sys::count_bpf_programs();
    let trace = Trace::start(&["--on-load", "intel_powerclamp", "-e", "powerclamp_init"]);
    assert!(probes().contains("retsnoop"), "{}", probes());
    trace.signal(sys::SIGKILL);
    trace.wait();
    assert_no_probes();
    // Once more, loaded and armed: what is busy is waited for.
    let trace = Trace::start(&["--on-load", "dummy", "-e", "dummy_*"]);
    assert!(modprobe(&["dummy"]));
    trace.signal(sys::SIGKILL);
    trace.wait();
    assert_no_probes();
    assert!(modprobe(&["-r", "dummy"]));
    assert!(sys::count_bpf_programs() <= programs);
}

#[test]
fn what_cannot_be_waited_for_is_an_error_with_a_hint() {
    assert!(modprobe(&["tun"]));
    let built_in = fs::read_to_string(modules().join("modules.builtin")).unwrap();
    let built_in = built_in.lines().next().unwrap();
    let built_in = built_in.rsplit('/').next().unwrap().replace(".ko", "");
    for (what, said) in [
        ("tun", "module `tun` is loaded already"),
        ("nul_blk", "no module `nul_blk`; similar: null_blk"),
        (&built_in, "is built into this kernel"),
        ("/dev/null", "`/dev/null`: it is not a regular file"),
        ("/proc/self/exe", "`/proc/self/exe` is no kernel module"),
        ("/nonexistent/x.ko", "failed to read `/nonexistent/x.ko`"),
    ] {
        let stderr = run(&["--on-load", what]).failed(1);
        assert!(stderr.contains(said), "{what}: {stderr}");
        assert!(stderr.contains("hint: "), "{what}: {stderr}");
    }
    // No entry function of that name, in the module or elsewhere.
    let stderr = run(&["--on-load", "null_blk", "-e", "nul_init"]).failed(1);
    assert!(stderr.contains("similar: null_init"), "{stderr}");
}

#[test]
fn without_tracefs_it_says_what_to_mount() {
    let mut command = Command::new("unshare");
    let program = program(&[]);
    let script = "umount -R /sys/kernel/tracing /sys/kernel/debug 2>/dev/null; exec \"$0\" \"$@\"";
    command.args(["-m", "sh", "-c", script]);
    command
        .arg(program.get_program())
        .args(["--on-load", "null_blk"]);
    command.stdout(Stdio::piped());
    let stderr = Trace::spawn(command).wait().failed(1);
    assert!(stderr.contains("mount -t tracefs"), "{stderr}");
}

fn modules() -> Box<Path> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    Path::new("/lib/modules").join(release.trim()).into()
}
