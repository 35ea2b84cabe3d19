// SPDX-License-Identifier: BSD-2-Clause
//! The names of flags in arguments of system calls, compared with the headers of this machine.

use std::fmt::Write;
use std::fs;
use std::process::Command;

/// Headers that define them. Some contradict others about structs, which does not matter here.
const HEADERS: &[&str] = &[
    "sys/types.h",
    "sys/socket.h",
    "sys/eventfd.h",
    "sys/timerfd.h",
    "sys/epoll.h",
    "sys/wait.h",
    "sys/resource.h",
    "sys/time.h",
    "signal.h",
    "unistd.h",
    "fcntl.h",
    "sys/ioctl.h",
    "sys/mman.h",
    "sys/file.h",
    "sys/shm.h",
    "sched.h",
    "sys/random.h",
    "sys/xattr.h",
    "asm/termbits.h",
    "linux/openat2.h",
    "linux/stat.h",
    "linux/fs.h",
    "linux/falloc.h",
    "linux/mount.h",
    "linux/inotify.h",
    "linux/fanotify.h",
    "linux/memfd.h",
    "linux/mempolicy.h",
    "linux/userfaultfd.h",
    "linux/prctl.h",
    "linux/ptrace.h",
    "linux/seccomp.h",
    "linux/futex.h",
    "linux/bpf.h",
    "linux/perf_event.h",
    "linux/module.h",
    "linux/keyctl.h",
    "linux/landlock.h",
    "linux/reboot.h",
    "linux/membarrier.h",
    "linux/loop.h",
    "linux/dm-ioctl.h",
    "linux/if_tun.h",
    "linux/sockios.h",
    "linux/kvm.h",
    "linux/nsfs.h",
    "linux/rtc.h",
    "linux/watchdog.h",
    "linux/io_uring.h",
    "linux/close_range.h",
    "linux/pidfd.h",
    "linux/blkpg.h",
    "sys/swap.h",
    "linux/netlink.h",
    "linux/if_packet.h",
    "linux/tls.h",
    "linux/sched.h",
];

/// The C library says 0, as all its programs have it. The kernel's is in asm-generic/fcntl.h.
const NOT_THE_KERNELS: &[&str] = &["O_LARGEFILE"];

#[test]
#[cfg(target_arch = "x86_64")]
fn flags_are_those_of_the_headers() {
    let table = fs::read_to_string("src/syscalls/flags.txt").unwrap();
    let names: Vec<(&str, &str)> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .filter_map(|word| word.split_once('='))
        .filter(|(name, _)| !name.is_empty() && !NOT_THE_KERNELS.contains(name))
        .collect();
    let mut program = String::from("#define _GNU_SOURCE\n");
    for header in HEADERS {
        let _ = writeln!(
            program,
            "#if __has_include(<{header}>)\n#include <{header}>\n#endif"
        );
    }
    // This one is wrong: the compiler must have come as far as here, and say so.
    program.push_str("_Static_assert(O_WRONLY == 2, \"O_WRONLY\");\n");
    for (name, number) in &names {
        let value = number.split('/').next().unwrap();
        let _ = writeln!(
            program,
            "_Static_assert((unsigned)({name}) == (unsigned)({value}), \"{name}\");"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("flags.c");
    fs::write(&source, program).unwrap();
    let compiled = Command::new("gcc")
        .env("LC_ALL", "C")
        .args(["-fsyntax-only", "-fmax-errors=0"])
        .arg(&source)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compiled.stderr);
    let wrong: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("static assertion failed"))
        .collect();
    assert!(
        wrong.len() == 1 && wrong[0].contains("O_WRONLY"),
        "{wrong:#?}"
    );
    // What is newer than the headers is not compared.
    let unknown = said.matches("is not an integer").count();
    assert!(
        names.len() > 700 && unknown < 40,
        "{unknown} of {}",
        names.len()
    );
}
