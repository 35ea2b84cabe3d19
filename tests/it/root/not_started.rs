// SPDX-License-Identifier: BSD-2-Clause
//! A command that cannot be executed: why, in words of its file, and with `--trace-exec` in those of
//! the kernel.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::harness::{Ended, Trace, program};

fn run(options: &[&str], path: &str) -> Ended {
    let mut command = program(&[&["-e", "*_sys_execve"], options].concat());
    command.args(["--", path]);
    Trace::spawn(command).wait()
}

#[test]
fn a_command_on_a_noexec_mount_is_told_as_such_and_its_execve_is_shown() {
    let place = "/tmp/noexec";
    fs::create_dir_all(place).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "noexec", "tmpfs", place])
        .status()
        .unwrap();
    assert!(mounted.success());
    let path = format!("{place}/true");
    fs::copy("/bin/true", &path).unwrap();
    let ended = run(&["--trace-exec"], &path);
    let stderr = ended.failed(126);
    assert!(stderr.contains("is mounted `noexec`"), "{stderr}");
    assert!(stderr.contains("-EACCES"), "{stderr}");
    assert!(stderr.contains("1 session shown"), "{stderr}");
    // Without the option the summary is there all the same.
    let stderr = run(&[], &path).failed(126);
    assert!(stderr.contains("0 sessions shown"), "{stderr}");
}

#[test]
fn a_busy_text_file_and_a_missing_interpreter_are_told_apart() {
    let busy = "/tmp/busy-true";
    fs::copy("/bin/true", busy).unwrap();
    let writer = File::options().append(true).open(busy).unwrap();
    let stderr = run(&["--trace-exec"], busy).failed(126);
    assert!(stderr.contains("is open for writing"), "{stderr}");
    assert!(stderr.contains("-ETXTBSY"), "{stderr}");
    drop(writer);
    let script = "/tmp/no-interpreter";
    fs::write(script, "#!/no/such/shell\n").unwrap();
    fs::set_permissions(script, Permissions::from_mode(0o755)).unwrap();
    let stderr = run(&["--trace-exec"], script).failed(127);
    assert!(
        stderr.contains("is a script of `/no/such/shell`"),
        "{stderr}"
    );
    assert!(stderr.contains("-ENOENT"), "{stderr}");
}
