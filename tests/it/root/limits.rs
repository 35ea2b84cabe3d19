// SPDX-License-Identifier: BSD-2-Clause
//! Limits that are reached: which one it is, its value, and how much of it is used.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::cgroup::Cgroup;
use super::harness::{Report, Trace, bare_program};
use super::setting::Setting;
use super::view::Session;

/// Runs into one limit after the other. The ones that only others than root have come last.
const SCRIPT: &str = r#"
import ctypes, mmap, os, resource, sys
libc = ctypes.CDLL(None, use_errno=True)
def fails(attempt, *arguments):
    try: attempt(*arguments)
    except OSError: return
    sys.exit("%r did not fail" % (attempt,))
def limited(which, limit, attempt, *arguments):
    before = resource.getrlimit(which)
    resource.setrlimit(which, (limit, before[1]))
    fails(attempt, *arguments)
    resource.setrlimit(which, before)
def call(function, *arguments):
    if function(*arguments) < 0: raise OSError(ctypes.get_errno(), "failed")
def open_many():
    while True: os.open("/", os.O_RDONLY)
limited(resource.RLIMIT_NOFILE, 20, open_many)
os.closerange(3, 20)
fails(lambda: call(libc.inotify_init1, 0))
fails(lambda: call(libc.unshare, 0x10000000))
file = os.open("/run/limited", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
limited(resource.RLIMIT_FSIZE, 1000, os.pwrite, file, b"x", 4000)
limited(resource.RLIMIT_AS, 1 << 30, mmap.mmap, -1, 2 << 30)
with open(sys.argv[1] + "/cgroup.procs", "w") as procs: procs.write("0")
fails(os.fork)
with open(os.path.dirname(sys.argv[1]) + "/cgroup.procs", "w") as procs: procs.write("0")
os.setuid(12345)
limited(resource.RLIMIT_MEMLOCK, 65536, call, libc.mlock, ctypes.c_void_p(id(libc) & ~4095), 1 << 20)
limited(resource.RLIMIT_NPROC, 0, os.fork)
"#;

/// Returns the words for the limit of each failed call, by call and errno.
fn told(report: &Report, call: &str, result: &str) -> Vec<String> {
    let of_call =
        |session: &&Session| session.0["syscall"]["name"] == call && session.result() == result;
    let limits = report.sessions.iter().filter(of_call);
    let limits = limits.map(|session| &session.0["refusal"]);
    let limits = limits.filter(|refusal| refusal["class"] == "limit");
    limits
        .map(|refusal| refusal["words"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn limits_are_told_with_their_values_and_what_is_used() {
    let settings = [
        Setting::set("/proc/sys/fs/inotify/max_user_instances", "0"),
        Setting::set("/proc/sys/user/max_user_namespaces", "0"),
    ];
    let group = Path::new("/sys/fs/cgroup/limited");
    let _group = Cgroup::new("limited");
    fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+pids").unwrap();
    fs::write(group.join("pids.max"), "1").unwrap();
    let trace = Trace::spawn(bare_program(&["-n", "python3", "--json"])).ready();
    let ran = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(group)
        .output();
    let ran = ran.unwrap();
    let report = trace.finish();
    drop(settings);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    for (call, result, wanted) in [
        (
            "openat",
            "-EMFILE",
            "RLIMIT_NOFILE (ulimit -n) is 20, and no descriptor below is free",
        ),
        (
            "inotify_init1",
            "-EMFILE",
            "fs.inotify.max_user_instances is 0 for each user",
        ),
        (
            "unshare",
            "-ENOSPC",
            "user.max_user_namespaces is 0 for each user",
        ),
        (
            "pwrite64",
            "-EFBIG",
            "RLIMIT_FSIZE (ulimit -f) is 1000 bytes; writing at 4000",
        ),
        (
            "mmap",
            "-ENOMEM",
            "RLIMIT_AS (ulimit -v) is 1073741824 bytes; ",
        ),
        (
            "clone",
            "-EAGAIN",
            "pids.max of the control group is 1; it has 1 processes and threads",
        ),
        (
            "mlock",
            "-ENOMEM",
            "RLIMIT_MEMLOCK (ulimit -l) is 65536 bytes; ",
        ),
        (
            "clone",
            "-EAGAIN",
            "RLIMIT_NPROC (ulimit -u) is 0; the user has ",
        ),
    ] {
        let told = told(&report, call, result);
        let is_told = told.iter().any(|words| words.starts_with(wanted));
        assert!(is_told, "{call} {result}: {told:?}: {:?}", report.summary);
    }
}
