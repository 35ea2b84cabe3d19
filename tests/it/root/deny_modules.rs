// SPDX-License-Identifier: BSD-2-Clause
//! The use case `deny` where a seccomp filter, `AppArmor` or TOMOYO refuses. They are switched on here,
//! with policies for single programs.

use std::fs;

use super::deny::{Refused, check_refusals, not_on, refused, sh};
use super::harness::{Trace, kernel};
use super::sys;

/// A program that refuses itself a system call: number, and what the filter returns.
const PREPARE_FILTER: &str = r#"
mkdir -p /tmp/deny && cd /tmp/deny && cat > filter <<'END'
my ($nr, $action, @arguments) = @ARGV;
my $filter = join "", map { pack "SCCL", @$_ }
    [0x20, 0, 0, 0], [0x15, 0, 1, $nr], [6, 0, 0, hex $action], [6, 0, 0, 0x7fff0000];
my $program = pack "Sx6P", 4, $filter;
syscall(157, 38, 1, 0, 0, 0);
syscall(157, 22, 2, $program) == 0 or die "no filter: $!";
syscall($nr, map { $_ + 0 } @arguments);
END
"#;

const FILTERED: &[Refused] = &[
    refused(
        "perl filter 83 5000d 0 0",
        "seccomp",
        "system call mkdir was answered with EACCES (SECCOMP_RET_ERRNO)",
    ),
    refused(
        "perl filter 165 50001 0 0 0 0 0",
        "seccomp",
        "system call mount was answered with EPERM (SECCOMP_RET_ERRNO)",
    ),
    refused(
        "perl filter 84 30000 0",
        "seccomp",
        "system call rmdir was answered with SIGSYS (SECCOMP_RET_TRAP)",
    ),
    // Where the filter runs, 5.10 ends the process: the call does not return.
    not_on(
        &["5.10"],
        refused(
            "perl filter 87 80000000 0",
            "seccomp",
            "system call unlink was answered by ending",
        ),
    ),
];

#[test]
fn other_errors_of_filters_are_chosen_by_their_number() {
    assert!(sh(PREPARE_FILTER));
    let trace = Trace::start(&["-e", "__seccomp_filter", "-x", "ENOSYS"]);
    sh("cd /tmp/deny; perl filter 83 5000d 0 0; perl filter 84 50026 0");
    let report = trace.finish();
    let errors: Vec<&str> = report.sessions.iter().map(|it| it.result()).collect();
    assert_eq!(errors, ["-ENOSYS"], "{:#?}", report.sessions);
}

/// Copies of programs, so that nothing else is confined.
const PREPARE_APPARMOR: &str = r#"
mkdir -p /tmp/deny/apparmor && cd /tmp/deny/apparmor && cp /bin/cat /bin/mount /usr/bin/perl . &&
echo s > secret && cat > profile <<'END'
profile retsnoop-test /tmp/deny/apparmor/* {
  capability,
  network unix,
  /** rmix,
  audit deny /tmp/deny/apparmor/secret r,
  deny /etc/gshadow r,
  deny capability sys_time,
}
END
grep -q apparmor /sys/kernel/security/lsm && apparmor_parser -r -K profile
"#;

/// Kernels whose `AppArmor` has functions with more arguments than trampolines can take there.
const FEW_ARGUMENTS: &[&str] = &["5.10", "6.1"];

const BY_APPARMOR: &[Refused] = &[
    refused(
        "apparmor/cat apparmor/secret",
        "apparmor",
        "profile \"retsnoop-test\", operation \"open\", name \"/tmp/deny/apparmor/secret\"",
    ),
    not_on(
        FEW_ARGUMENTS,
        refused(
            "apparmor/cat apparmor/secret",
            "apparmor",
            "name \"/tmp/deny/apparmor/secret\", permissions read",
        ),
    ),
    // A rule that is not audited.
    refused(
        "apparmor/cat /etc/gshadow",
        "apparmor",
        "gshadow\", permissions read",
    ),
    refused(
        "apparmor/mount -t tmpfs none /mnt",
        "apparmor",
        "operation \"mount\", name \"/mnt/\" (failed mntpnt match)",
    ),
    refused(
        "apparmor/perl -e 'syscall(41, 2, 1, 0)'",
        "apparmor",
        "operation \"create\", address family inet, socket type stream",
    ),
    Refused {
        asker: "cap_settime",
        ..refused(
            "apparmor/perl -e '$time = pack(\"qq\", 1, 1); syscall(164, $time, 0)'",
            "apparmor",
            "profile \"retsnoop-test\", capability CAP_SYS_TIME",
        )
    },
    refused(
        "sleep 60 & apparmor/perl -e 'kill 9, shift' $!; kill $!",
        "apparmor",
        "operation \"signal\"",
    ),
];

/// TOMOYO reads its policy when `/sbin/init` is first executed, by a program that the kernel runs.
const PREPARE_TOMOYO: &str = r#"
mkdir -p /tmp/deny/tomoyo/d && cd /tmp/deny/tomoyo && cp /bin/rmdir /bin/mkdir . || exit 1
cat > /sbin/tomoyo-init <<'END'
#!/bin/sh
cd /sys/kernel/security/tomoyo || exit 1
cat > profile <<'PROFILE'
0-CONFIG={ mode=disabled grant_log=no reject_log=no }
1-CONFIG={ mode=disabled grant_log=no reject_log=no }
1-CONFIG::file::rmdir={ mode=enforcing grant_log=no reject_log=no }
1-CONFIG::file::mkdir={ mode=enforcing grant_log=no reject_log=no }
PROFILE_VERSION=20110903
PROFILE
for program in rmdir mkdir; do
  echo "initialize_domain /tmp/deny/tomoyo/$program from any" > exception_policy
  printf '<kernel> /tmp/deny/tomoyo/%s\nuse_profile 1\nuse_group 0\n\n' $program > domain_policy
done
END
chmod 755 /sbin/tomoyo-init; rm -f /sbin/init; cp /bin/true /sbin/init; /sbin/init
grep -q enforcing /sys/kernel/security/tomoyo/profile
"#;

const BY_TOMOYO: &[Refused] = &[
    refused(
        "tomoyo/rmdir tomoyo/d",
        "tomoyo",
        "file rmdir /tmp/deny/tomoyo/d/ in domain \"<kernel> /tmp/deny/tomoyo/rmdir\"",
    ),
    refused(
        "tomoyo/mkdir tomoyo/new",
        "tomoyo",
        "file in domain \"<kernel> /tmp/deny/tomoyo/mkdir\"",
    ),
];

const BY_PROGRAM: &[Refused] = &[refused(
    "ln -s x link",
    "bpf_lsm",
    "(refuse_all) at hook path_symlink",
)];

/// All in one run, because attaching takes a minute where it is done one by one.
#[test]
fn filters_and_modules_are_told_with_what_they_know() {
    for prepare in [PREPARE_FILTER, PREPARE_APPARMOR, PREPARE_TOMOYO] {
        assert!(sh(prepare), "{prepare}");
    }
    let mut cases = [FILTERED, BY_APPARMOR, BY_TOMOYO].concat();
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap();
    let refusing = if modules.contains("bpf") {
        cases.extend(BY_PROGRAM);
        Some(sys::refuse_symlink())
    } else {
        // Debian's 5.10 does not switch it on: no program can refuse there.
        assert_eq!(kernel(), "5.10");
        None
    };
    let n_told = check_refusals(&cases);
    drop(refusing);
    assert!(n_told >= 11, "{n_told}");
    assert!(sh("ln -s x /tmp/deny/link"));
}
