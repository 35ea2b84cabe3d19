// SPDX-License-Identifier: BSD-2-Clause
//! Surroundings that do not let us work, or only in part: one clear error or warning each.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::harness::{Trace, kernel, program, run};
use super::setting::Setting;

const KPTR_RESTRICT: &str = "/proc/sys/kernel/kptr_restrict";

/// The program in a mount namespace that a shell has prepared.
fn prepared_by(shell: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c"]);
    command.arg(format!("{shell}; exec \"$@\""));
    command.args(["sh", program(&[]).get_program().to_str().unwrap()]);
    command.args(arguments).stdout(Stdio::piped());
    command
}

const NO_KCORE: &str = "mount --bind /dev/null /proc/kcore";
const NO_TRACEFS: &str = "umount /sys/kernel/debug; umount /sys/kernel/tracing";
const DRY: [&str; 4] = ["-e", "*_sys_bpf", "--dry-run", "--no-cache"];

#[test]
fn hidden_addresses_are_an_error_that_names_the_setting() {
    let _hidden = Setting::set(KPTR_RESTRICT, "2");
    let command = prepared_by(NO_KCORE, &DRY);
    let stderr = Trace::spawn(command).wait().failed(1);
    assert!(stderr.contains("hint: "), "{stderr}");
    assert!(stderr.contains("kernel.kptr_restrict"), "{stderr}");
}

#[test]
fn addresses_that_are_hidden_from_print_are_read_from_memory() {
    let _hidden = Setting::set(KPTR_RESTRICT, "2");
    let ended = run(&DRY);
    // 5.10 does not say where its tables are.
    let expected = i32::from(kernel() == "5.10");
    assert_eq!(ended.status.code(), Some(expected), "{}", ended.stderr);
    let doctor = run(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(expected), "{}", doctor.stdout);
}

#[test]
fn without_tracefs_the_hint_says_how_to_mount_it() {
    let command = prepared_by(&format!("{NO_KCORE}; {NO_TRACEFS}"), &DRY);
    let stderr = Trace::spawn(command).wait().failed(1);
    assert!(
        stderr.contains("hint: mount it: `mount -t tracefs"),
        "{stderr}"
    );
}

#[test]
fn where_memory_can_be_read_tracefs_is_not_needed() {
    let ended = Trace::spawn(prepared_by(NO_TRACEFS, &DRY)).wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("__x64_sys_bpf"), "{}", ended.stdout);
    let doctor = Trace::spawn(prepared_by(NO_TRACEFS, &["doctor"])).wait();
    assert_eq!(doctor.status.code(), Some(0), "{}", doctor.stdout);
    assert!(
        doctor.stdout.contains("share their name"),
        "{}",
        doctor.stdout
    );
}

#[test]
fn a_user_without_rights_is_told_the_capabilities() {
    // Where root's files may be, nobody may not look.
    let copy = PathBuf::from("/tmp/retsnoop-for-nobody");
    fs::copy(program(&[]).get_program(), &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(&copy).args(["-e", "*_sys_bpf"]);
    command.current_dir("/").stdout(Stdio::piped());
    let stderr = Trace::spawn(command).wait().failed(1);
    fs::remove_file(copy).unwrap();
    assert!(
        stderr.contains("CAP_SYS_ADMIN") || stderr.contains("CAP_BPF"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: "), "{stderr}");
}

#[test]
fn an_image_that_is_none_is_an_error() {
    let garbage = "/tmp/garbage-image";
    fs::write(garbage, [0x5a; 5000]).unwrap();
    for path in [garbage, "/tmp/there-is-no-such-image", "/tmp"] {
        let stderr = run(&["-e", "*_sys_bpf", "-k", path]).failed(1);
        assert!(stderr.contains(path), "{stderr}");
        assert!(
            stderr.contains("hint: `-k` takes the `vmlinux`"),
            "{stderr}"
        );
    }
}

/// The build id of the running kernel, as `/sys/kernel/notes` has it.
fn running_build_id() -> String {
    let notes = fs::read("/sys/kernel/notes").unwrap();
    let name = b"\x03\0\0\0GNU\0";
    let at = notes.windows(8).position(|window| window == name).unwrap() + 8;
    let id = &notes[at..at + 20];
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn another_kernels_image_is_a_warning_with_both_build_ids_and_gives_no_lines() {
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/image/dwarf5");
    let trace = Trace::start(&["-e", "*_sys_bpf", "-ss", "-k", image, "-n", "simfail"]);
    trace.simfail(&["bpf-cmd"]);
    let report = trace.finish();
    let stderr = &report.stderr;
    assert!(stderr.contains("warning: "), "{stderr}");
    assert!(stderr.contains(&running_build_id()), "{stderr}");
    let rows = report.only("simfail").stack();
    assert!(rows.iter().all(|row| row["line"].is_null()), "{rows:#?}");
}
