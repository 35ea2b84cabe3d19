// SPDX-License-Identifier: BSD-2-Clause
//! Cases of processes: programs, signals, users, limits.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::case::{Attempt, Case, Scratch, c_path};
use crate::sys::{address, call};

/// Above every limit that Linux has for them.
const NO_PID: i32 = 0x3fff_ffff;

pub(crate) const CASES: &[Case] = &[
    Case::fails(
        ("exec-garbage", "execve"),
        libc::ENOEXEC,
        "load_script|load_elf_binary",
        "a program in no known format",
        |scratch| exec(&program(scratch, "program")?),
    ),
    Case::fails(
        ("exec-missing", "execve"),
        libc::ENOENT,
        "step_into|step_into_slowpath",
        "a program that is not there",
        |scratch| exec(&scratch.path("missing")),
    ),
    Case::fails(
        ("exec-no-interpreter", "execve"),
        libc::ENOENT,
        "step_into|step_into_slowpath|link_path_walk",
        "a script whose interpreter is not there",
        |scratch| {
            let path = scratch.path("script");
            fs::write(&path, "#!/simfail/missing\n")?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            exec(&path)
        },
    ),
    Case::fails(
        ("exec-denied", "execve"),
        libc::EACCES,
        "generic_permission",
        "a file that is no program",
        |scratch| exec(&scratch.file("file")?),
    ),
    Case::fails(
        ("exec-busy", "execve"),
        libc::ETXTBSY,
        "do_open_execat",
        "a program that somebody writes to",
        |scratch| {
            let path = program(scratch, "busy")?;
            let _writer = File::options().append(true).open(&path)?;
            exec(&path)
        },
    ),
    Case::fails(
        ("exec-argument", "execve"),
        libc::E2BIG,
        "copy_strings",
        "an argument of 256 KiB",
        |scratch| {
            let path = c_path(&program(scratch, "long")?);
            let mut argument = vec![b'x'; 256 << 10];
            argument.push(0);
            let words = [address(&argument).to_ne_bytes(), [0; 8]];
            Ok(call!(
                libc::SYS_execve,
                path.as_c_str(),
                words.as_flattened(),
                words[1].as_slice()
            ))
        },
    ),
    Case::fails(
        ("clone-size", "clone3"),
        libc::EINVAL,
        "copy_clone_args_from_user",
        "arguments of no size",
        |_| Ok(call!(libc::SYS_clone3, &[0; 64], 0)),
    ),
    Case::fails(
        ("wait-no-child", "wait4"),
        libc::ECHILD,
        "do_wait|__do_wait",
        "for a child that there is not",
        |_| Ok(call!(libc::SYS_wait4, NO_PID, 0, 0, 0)),
    ),
    Case::fails(
        ("kill-missing", "kill"),
        libc::ESRCH,
        "kill_pid_info|kill_pid_info_type",
        "a process that there is not",
        |_| Ok(call!(libc::SYS_kill, NO_PID, 0)),
    ),
    Case::fails(
        ("signal-number", "tgkill"),
        libc::EINVAL,
        "check_kill_permission",
        "a signal that there is not, to this process",
        |_| {
            let own = call!(libc::SYS_getpid)?;
            Ok(call!(libc::SYS_tgkill, own, own, 99))
        },
    ),
    Case::fails(
        ("pidfd-missing", "pidfd_open"),
        libc::ESRCH,
        "__x64_sys_pidfd_open",
        "a process that there is not",
        |_| Ok(call!(libc::SYS_pidfd_open, NO_PID, 0)),
    ),
    Case::fails(
        ("vm-read-missing", "process_vm_readv"),
        libc::ESRCH,
        "find_get_task_by_vpid",
        "the memory of a process that there is not",
        |_| {
            let byte = [0_u8; 1];
            let mut area = [0_u8; 16];
            area[..8].copy_from_slice(&address(&byte).to_ne_bytes());
            area[8..].copy_from_slice(&1_u64.to_ne_bytes());
            Ok(call!(
                libc::SYS_process_vm_readv,
                NO_PID,
                &area,
                1,
                &area,
                1,
                0
            ))
        },
    ),
    Case::fails(
        ("setuid-invalid", "setuid"),
        libc::EINVAL,
        "__sys_setuid",
        "the number that stands for no user",
        |_| Ok(call!(libc::SYS_setuid, -1)),
    ),
    Case::fails(
        ("ptrace-missing", "ptrace"),
        libc::ESRCH,
        "__x64_sys_ptrace",
        "a process that there is not",
        |_| {
            Ok(call!(
                libc::SYS_ptrace,
                libc::PTRACE_ATTACH as i32,
                NO_PID,
                0,
                0
            ))
        },
    ),
    Case::fails(
        ("futex-timeout", "futex"),
        libc::ETIMEDOUT,
        "futex_wait|__futex_wait",
        "nobody wakes us for 20 ms",
        |_| {
            let (word, timeout) = ([0; 4], timespec(20_000_000));
            Ok(call!(
                libc::SYS_futex,
                &word,
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                0,
                &timeout
            ))
        },
    ),
    Case::fails(
        ("futex-changed", "futex"),
        libc::EAGAIN,
        "futex_wait_setup",
        "the word is another one",
        |_| {
            Ok(call!(
                libc::SYS_futex,
                &[0; 4],
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                1,
                0
            ))
        },
    ),
    Case::fails(
        ("prctl-option", "prctl"),
        libc::EINVAL,
        "__x64_sys_prctl",
        "an option that there is not",
        |_| Ok(call!(libc::SYS_prctl, 99_999, 0, 0, 0, 0)),
    ),
    Case::fails(
        ("rlimit-order", "prlimit64"),
        libc::EINVAL,
        "do_prlimit",
        "a soft limit above the hard one",
        |_| {
            let limits = [2_u64.to_ne_bytes(), 1_u64.to_ne_bytes()];
            Ok(call!(
                libc::SYS_prlimit64,
                0,
                libc::RLIMIT_CORE as i32,
                limits.as_flattened(),
                0
            ))
        },
    ),
    Case::fails(
        ("sched-policy", "sched_setscheduler"),
        libc::EINVAL,
        "__sched_setscheduler",
        "a policy that there is not",
        |_| Ok(call!(libc::SYS_sched_setscheduler, 0, 99, &[0; 4])),
    ),
    Case::fails(
        ("sched-affinity", "sched_setaffinity"),
        libc::EINVAL,
        "__set_cpus_allowed_ptr|__set_cpus_allowed_ptr_locked",
        "no CPU at all",
        |_| Ok(call!(libc::SYS_sched_setaffinity, 0, 8, &[0; 8])),
    ),
    Case::fails(
        ("seccomp-op", "seccomp"),
        libc::EINVAL,
        "do_seccomp",
        "an operation that there is not",
        |_| Ok(call!(libc::SYS_seccomp, 99, 0, 0)),
    ),
];

/// Makes a program in no known format.
fn program(scratch: &Scratch, name: &str) -> io::Result<PathBuf> {
    let path = scratch.path(name);
    fs::write(&path, "garbage\n")?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Executes a file that cannot be executed: should it be, it takes this process' place.
fn exec(path: &Path) -> Attempt {
    let path = c_path(path);
    let words = [address(path.to_bytes_with_nul()).to_ne_bytes(), [0; 8]];
    Ok(call!(
        libc::SYS_execve,
        path.as_c_str(),
        words.as_flattened(),
        words[1].as_slice()
    ))
}

fn timespec(nanoseconds: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&nanoseconds.to_ne_bytes());
    bytes
}
