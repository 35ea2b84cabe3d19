// SPDX-License-Identifier: BSD-2-Clause
//! The use cases: each matches on every kernel, and catches real failures. Where attaching is
//! cheap the whole of it is attached, and every culprit is held to the table of simfail; where
//! functions are attached one by one, a narrowed set has to do.

use std::process::{Command, Stdio};

use super::harness::{Trace, attaches_slowly, kernel, run};
use super::table::{self, Case};
use super::view::Session;

/// A use case, and what is expected of it.
struct UseCase {
    name: &'static str,
    /// Beginnings of the names of the cases of simfail that it is for.
    cases: &'static [&'static str],
    /// How many of 100 culprits must agree with the table, where all of it is attached.
    floor: usize,
    narrowed: Narrowed,
}

struct Narrowed {
    /// The system call's function, and for 6.1, where it has no type, the next one.
    arguments: &'static [&'static str],
    case: &'static str,
    /// Where the table's culprit cannot be traced.
    culprit: Option<&'static str>,
}

fn check(use_case: &UseCase) {
    let dry = run(&["--dry-run", "-c", use_case.name]);
    assert_eq!(dry.status.code(), Some(0), "{}", dry.stderr);
    assert!(dry.stdout.contains("\n  entry "), "{}", dry.stdout);
    if attaches_slowly() {
        check_narrowed(&use_case.narrowed);
    } else {
        check_all(use_case);
    }
}

fn check_narrowed(narrowed: &Narrowed) {
    let arguments = [narrowed.arguments, &["-sn", "-n", "narrowed"]].concat();
    let trace = Trace::start(&arguments);
    trace.simfail(&["--comm", "narrowed", narrowed.case]);
    let report = trace.finish();
    let case = table::find(narrowed.case);
    let session = case
        .session(&report.of("narrowed"))
        .unwrap_or_else(|| panic!("{} was not caught: {:#?}", case.name, report.sessions));
    match narrowed.culprit {
        Some(culprit) => assert_eq!(session.culprit(), culprit),
        None => assert!(case.agrees(session), "{case:?}: {session:#?}"),
    }
}

fn check_all(use_case: &UseCase) {
    let is_for = |case: &Case| {
        let mut prefixes = use_case.cases.iter();
        case.fails() && prefixes.any(|prefix| case.name.starts_with(prefix))
    };
    let cases: Vec<Case> = table::read().into_iter().filter(is_for).collect();
    let trace = Trace::start(&["-c", use_case.name, "-sn"]);
    for (index, case) in cases.iter().enumerate() {
        trace.simfail(&["--comm", &comm(index), &case.name]);
    }
    let report = trace.finish();
    let mut agree = 0;
    let mut others = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let sessions = report.of(&comm(index));
        match case.session(&sessions) {
            Some(session) if case.agrees(session) => agree += 1,
            Some(session) => others.push(format!(
                "{}: {} instead of {}; chain {:?}, handled {:?}",
                case.name,
                session.culprit(),
                case.culprit,
                session.chain(),
                session.handled(),
            )),
            None => others.push(format!("{}: not caught", case.name)),
        }
    }
    let summary = format!(
        "{} on {}: {agree} of {} culprits agree\n{}",
        use_case.name,
        kernel(),
        cases.len(),
        others.join("\n"),
    );
    // Shown with the log: which cases the reader should look at.
    #[expect(clippy::print_stdout, reason = "what the test found, for its log")]
    {
        println!("{summary}");
    }
    assert!(agree * 100 >= use_case.floor * cases.len(), "{summary}");
    for session in &report.sessions {
        session.assert_orderly();
    }
}

fn comm(index: usize) -> String {
    format!("case-{index}")
}

#[test]
fn bpf_catches_failing_bpf_calls() {
    check(&UseCase {
        name: "bpf",
        cases: &["bpf-"],
        floor: 80,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "__x64_sys_bpf",
                "-e",
                "__sys_bpf",
                "-a",
                "map_create",
                "-a",
                "htab_map_alloc_check",
            ],
            case: "bpf-map-key-size",
            culprit: None,
        },
    });
}

#[test]
fn perf_catches_failing_perf_event_open() {
    // Before 5.19 the core of perf is built without tracing: what it calls stands in for it.
    let old = kernel() == "5.10";
    check(&UseCase {
        name: "perf",
        cases: &["perf-"],
        floor: 100,
        narrowed: if old {
            Narrowed {
                arguments: &["-e", "hw_breakpoint_event_init"],
                case: "perf-type",
                culprit: Some("hw_breakpoint_event_init"),
            }
        } else {
            Narrowed {
                arguments: &[
                    "-e",
                    "__x64_sys_perf_event_open",
                    "-e",
                    "perf_copy_attr",
                    "-a",
                    "perf_copy_attr",
                ],
                case: "perf-size",
                culprit: None,
            }
        },
    });
}

#[test]
fn fs_catches_failing_file_and_mount_calls() {
    check(&UseCase {
        name: "fs",
        cases: &[
            "open-",
            "read-",
            "write-",
            "seek-",
            "truncate-",
            "fallocate-",
            "rename-",
            "mkdir-",
            "rmdir-",
            "setxattr-",
            "getxattr-",
            "mount-",
            "umount-",
            "fsopen-",
        ],
        floor: 95,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "__x64_sys_openat",
                "-a",
                "do_filp_open",
                "-a",
                "path_openat",
                "-a",
                "may_open",
            ],
            case: "open-dir-write",
            culprit: None,
        },
    });
}

/// The modules that cases of netlink need.
fn load_modules() {
    let modprobe = Command::new("modprobe")
        .args(["-a", "nf_tables", "xfrm_user"])
        .status();
    assert!(modprobe.unwrap().success());
}

/// The `sendto()` that brings a batch or a request succeeds.
#[test]
fn net_catches_requests_of_nf_tables_and_xfrm() {
    load_modules();
    let narrowed = [
        "-e",
        "nf_tables_deltable",
        "-e",
        "xfrm_user_rcv_msg",
        "-a",
        "{nft_table_lookup,xfrm_del_sa,xfrm_user_state_lookup}",
    ];
    let chosen: &[&str] = if attaches_slowly() {
        &narrowed
    } else {
        &["-c", "net"]
    };
    let trace = Trace::start(&[chosen, &["-sn"]].concat());
    let cases = ["netlink-nft-missing", "netlink-xfrm-missing"];
    for (index, name) in cases.iter().enumerate() {
        trace.simfail(&["--comm", &comm(index), name]);
    }
    let report = trace.finish();
    for (index, name) in cases.iter().enumerate() {
        let case = table::find(name);
        let sessions = report.of(&comm(index));
        let failed = |session: &&Session| case.agrees(session);
        assert!(sessions.iter().any(failed), "{case:?}: {sessions:#?}");
    }
}

#[test]
fn net_catches_failing_socket_calls() {
    load_modules();
    check(&UseCase {
        name: "net",
        cases: &[
            "socket-",
            "bind-",
            "connect-",
            "accept-",
            "setsockopt-",
            "send-",
            "recv-",
            "shutdown-",
            "not-a-socket",
            "netlink-",
        ],
        floor: 95,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "__x64_sys_bind",
                "-e",
                "__sys_bind",
                "-a",
                "__sys_bind",
                "-a",
                "inet_bind",
                "-a",
                "__inet_bind",
            ],
            case: "bind-foreign",
            culprit: None,
        },
    });
}

#[test]
fn mm_catches_failing_memory_calls() {
    check(&UseCase {
        name: "mm",
        cases: &[
            "mmap-",
            "munmap-",
            "mprotect-",
            "mremap-",
            "madvise-",
            "mlock-",
            "memfd-",
        ],
        floor: 85,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "__x64_sys_mprotect",
                "-e",
                "do_mprotect_pkey",
                "-a",
                "do_mprotect_pkey",
            ],
            case: "mprotect-unmapped",
            culprit: None,
        },
    });
}

#[test]
fn cgroup_catches_failing_writes_to_control_files() {
    check(&UseCase {
        name: "cgroup",
        cases: &["cgroup-"],
        floor: 50,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "cgroup_file_write",
                "-a",
                "cgroup_subtree_control_write",
            ],
            case: "cgroup-controller",
            culprit: None,
        },
    });
}

#[test]
fn module_catches_modules_that_do_not_load() {
    check(&UseCase {
        name: "module",
        cases: &["module-"],
        floor: 100,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "__x64_sys_init_module",
                "-e",
                "load_module",
                "-a",
                "load_module",
            ],
            case: "module-garbage",
            culprit: None,
        },
    });
}

/// `chroot` without the capability: the hook is asked, and the capability module answers.
#[test]
fn lsm_shows_the_security_module_that_refuses() {
    let trace = Trace::start(&["-e", "lsm:capable", "-n", "chroot", "-x", "EPERM", "-sn"]);
    let nobody = ["--reuid=65534", "--clear-groups", "chroot", "/", "true"];
    let ended = Command::new("setpriv")
        .args(nobody)
        .stderr(Stdio::null())
        .status();
    assert!(!ended.unwrap().success());
    let report = trace.finish();
    let sessions = report.of("chroot");
    assert!(!sessions.is_empty(), "{}", report.stderr);
    assert_eq!(sessions[0].chain(), ["security_capable", "cap_capable"]);
    assert_eq!(sessions[0].result(), "-EPERM");
}

#[test]
fn io_uring_catches_failing_set_ups() {
    check(&UseCase {
        name: "io_uring",
        cases: &["uring-"],
        floor: 50,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "__x64_sys_io_uring_setup",
                "-e",
                "io_uring_setup",
                "-a",
                "io_uring_setup",
            ],
            case: "uring-flags",
            culprit: None,
        },
    });
}

#[test]
fn exec_catches_programs_that_are_not_executed() {
    check(&UseCase {
        name: "exec",
        cases: &["exec-"],
        floor: 100,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "__x64_sys_execve",
                "-a",
                "{bprm_execve,do_open_execat}",
            ],
            case: "exec-busy",
            culprit: None,
        },
    });
}

#[test]
fn process_catches_failing_signals_limits_and_users() {
    check(&UseCase {
        name: "process",
        cases: &[
            "clone-", "kill-", "signal-", "pidfd-", "ptrace-", "prctl-", "rlimit-", "sched-",
            "seccomp-", "setuid-",
        ],
        floor: 100,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "{__x64_sys_tgkill,do_send_specific}",
                "-a",
                "check_kill_permission",
            ],
            case: "signal-number",
            culprit: None,
        },
    });
}

#[test]
fn ns_catches_failing_namespaces() {
    check(&UseCase {
        name: "ns",
        cases: &["unshare-", "setns-", "pivot-root-", "uid-map-", "clone-"],
        floor: 100,
        narrowed: Narrowed {
            arguments: &["-e", "{__x64_sys_setns,userns_install}"],
            case: "setns-own-user",
            culprit: None,
        },
    });
}

#[test]
fn keys_catches_failing_keys() {
    check(&UseCase {
        name: "keys",
        cases: &["key-"],
        floor: 100,
        narrowed: Narrowed {
            arguments: &[
                "-e",
                "{__x64_sys_keyctl,keyctl_revoke_key}",
                "-a",
                "{lookup_user_key,key_lookup}",
            ],
            case: "key-missing",
            culprit: None,
        },
    });
}

#[test]
fn time_catches_failing_clocks_and_timers() {
    check(&UseCase {
        name: "time",
        cases: &["timerfd-", "clock-", "timer-", "sleep-"],
        floor: 100,
        narrowed: Narrowed {
            arguments: &["-e", "{__x64_sys_timer_create,do_timer_create}"],
            case: "timer-signal",
            culprit: None,
        },
    });
}

#[test]
fn ioctl_catches_failing_requests_and_writes_to_attributes() {
    let arguments: &[&str] = if attaches_slowly() {
        &[
            "-e",
            "__x64_sys_ioctl",
            "-e",
            "kernfs_fop_write_iter",
            "-a",
            "enabled_store",
        ]
    } else {
        &["-c", "ioctl"]
    };
    let dry = run(&["--dry-run", "-c", "ioctl"]);
    assert_eq!(dry.status.code(), Some(0), "{}", dry.stderr);
    let trace = Trace::start(&[arguments, &["-sn"]].concat());
    trace.simfail(&["--comm", "asks", "ioctl-not-tty"]);
    let write = "echo nonsense > /sys/kernel/mm/transparent_hugepage/enabled";
    let mut shell = Command::new("sh");
    shell.args(["-c", write]).stderr(Stdio::null());
    assert!(!shell.status().unwrap().success());
    let report = trace.finish();
    let asks = report.only("asks");
    assert_eq!(
        (asks.chain()[0], asks.result()),
        ("__x64_sys_ioctl", "-ENOTTY")
    );
    let writes = report.of("sh");
    let is_write = |session: &&&Session| session.chain()[0] == "kernfs_fop_write_iter";
    let write = writes.iter().find(is_write).unwrap();
    assert_eq!(
        (write.culprit(), write.result()),
        ("enabled_store", "-EINVAL")
    );
}
