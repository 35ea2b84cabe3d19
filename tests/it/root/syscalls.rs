// SPDX-License-Identifier: BSD-2-Clause
//! The arguments of failed system calls.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::harness::{Report, Trace, attaches_slowly};
use super::view::Session;
use crate::gcc::compile;

/// Fails in ways that programs do not: with bytes that are no text, addresses of nothing, the table
/// of 32-bit programs.
const ODD: &str = r#"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char longest[4097];

int main(void)
{
	/* Below 4 GiB, as 32-bit calls need it. */
	char *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result;

	open("/nosuch/\x1b[31m\xff\"", O_RDWR | O_CREAT, 0640);
	memset(longest, 'x', 4096);
	open(longest, O_RDONLY);
	open((char *)8, O_RDONLY);
	open("", O_RDONLY);
	strcpy(low, "/nosuch/32");
	asm volatile("int $0x80" : "=a"(result) : "a"(295), "b"(-100), "c"(low), "d"(0), "S"(0) : "memory");
	return 0;
}
"#;

fn calls(report: &Report) -> Vec<Value> {
    let of = |session: &Session| session.0["syscall"].clone();
    report.sessions.iter().map(of).collect()
}

/// Returns the values of the arguments by their names.
fn values(call: &Value) -> Value {
    let arguments = call["arguments"].as_array().unwrap();
    let named = arguments.iter().map(|argument| {
        let name = argument["name"].as_str().unwrap().to_owned();
        (name, argument["value"].clone())
    });
    Value::Object(named.collect())
}

#[test]
fn a_failed_system_call_is_shown_with_its_arguments() {
    let trace = Trace::start(&["-e", "*_sys_{openat,mount,connect}", "-n", "python3", "-sn"]);
    let script = r#"
import ctypes, os, socket
libc = ctypes.CDLL(None)
libc.mount(b"none", b"/nosuch", b"tmpfs", 1, b"size=1")
for attempt in (lambda: os.open("/nosuch/file", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640),
                lambda: socket.socket().connect(("127.0.0.1", 9)),
                lambda: socket.socket(socket.AF_UNIX).connect("/nosuch")):
    try: attempt()
    except OSError: pass
"#;
    let ran = Command::new("python3").args(["-c", script]).status();
    assert!(ran.unwrap().success());
    let report = trace.finish();
    let calls = calls(&report);
    let has = |name: &str, wanted: &Value| {
        calls.iter().any(|call| {
            let values = values(call);
            let agrees = |(name, value): (&String, &Value)| values[name] == *value;
            call["name"] == name && wanted.as_object().unwrap().iter().all(agrees)
        })
    };
    let mount = json!({"source": "none", "target": "/nosuch", "fstype": "tmpfs",
        "flags": "MS_RDONLY", "data": "size=1"});
    assert!(has("mount", &mount), "{calls:?}");
    let inet = json!({"family": "AF_INET", "port": 9, "addr": "127.0.0.1"});
    assert!(
        has("connect", &json!({"addr": inet, "addrlen": 16})),
        "{calls:?}"
    );
    let unix = json!({"family": "AF_UNIX", "path": "/nosuch"});
    assert!(has("connect", &json!({"addr": unix})), "{calls:?}");
    let open = json!({"dirfd": "AT_FDCWD", "path": "/nosuch/file", "mode": "0640",
        "flags": "O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC"});
    assert!(has("openat", &open), "{calls:?}");
}

/// Fails with descriptors of all kinds, and with arrays.
const DESCRIPTORS: &str = r#"
import ctypes, fcntl, os, select, socket
libc = ctypes.CDLL(None)
def fails(attempt, *arguments, **named):
    try: attempt(*arguments, **named)
    except OSError: pass
os.chdir("/usr/bin")
fails(os.open, "no-such", os.O_RDONLY)
etc = os.open("/etc", os.O_RDONLY)
fails(os.open, "no-such-below", os.O_RDONLY, dir_fd=etc)
fails(os.open, "/no-such-at-all", os.O_RDONLY, dir_fd=etc)
passwd = os.open("/etc/passwd", os.O_RDONLY)
fails(fcntl.ioctl, passwd, 0x5401)
fails(os.writev, passwd, [b"first", b"", b"x" * 70])
proc = os.open("/proc/self/status", os.O_RDONLY)
fails(fcntl.ioctl, proc, 0x5402)
gone = os.open("/run/gone\x1b", os.O_CREAT | os.O_RDWR)
os.unlink("/run/gone\x1b")
fails(fcntl.ioctl, gone, 0x5403)
libc.writev(gone, (ctypes.c_ulong * 4)(8, 5, 0, 6), 2)
fails(os.lseek, os.pipe()[0], 0, 0)
poll = select.epoll()
fails(os.read, poll.fileno(), 8)
fails(socket.socket().connect, ("127.0.0.1", 9))
fails(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendmsg, [b"hello", b"you"], [], 0, "/nosuch")
fails(os.execv, "/no-such-program", ["name", "a b", "y" * 70])
libc.syscall(321, 0, ctypes.byref((ctypes.c_uint * 32)(2, 4, 0, 1)), 72)
"#;

#[test]
fn descriptors_are_shown_with_their_files() {
    let has_files = !attaches_slowly();
    let trace = Trace::start(&[
        "-e",
        "*_sys_{openat,ioctl,lseek,read,connect,writev,sendmsg,execve,bpf}",
        "-n",
        "python3",
        "-sn",
    ]);
    let ran = Command::new("python3").args(["-c", DESCRIPTORS]).status();
    assert!(ran.unwrap().success());
    let report = trace.finish();
    let calls = calls(&report);
    if !has_files {
        assert!(!calls.is_empty(), "{:?}", report.summary);
        let mut arguments = calls
            .iter()
            .flat_map(|call| call["arguments"].as_array().unwrap());
        assert!(
            arguments.all(|argument| argument["file"].is_null()),
            "{calls:?}"
        );
        return;
    }
    let argument = |call: &str, number: usize, is_it: &dyn Fn(&Value) -> bool| {
        let mut calls = calls.iter().filter(|of| of["name"] == call);
        let found = calls.find(|call| is_it(&call["arguments"]));
        let found = found.unwrap_or_else(|| panic!("no such {call} in {calls:?}"));
        found["arguments"][number].clone()
    };
    let opened = |path: &str| argument("openat", 0, &|it| it[1]["value"] == path)["file"].clone();
    assert_eq!(opened("no-such"), "/usr/bin");
    assert_eq!(opened("no-such-below"), "/etc");
    assert_eq!(opened("/no-such-at-all"), Value::Null);
    // The interpreter fails with TCGETS, too.
    let has = |name: &str, file: &dyn Fn(&str) -> bool| {
        let is_it = |it: &Value| it[1]["value"] == name && it[0]["file"].as_str().is_some_and(file);
        argument("ioctl", 0, &is_it);
    };
    has("TCGETS", &|file| file == "/etc/passwd");
    has("TCSETS", &|file| {
        file.starts_with("/proc/") && file.ends_with("/status")
    });
    has("TCSETSW", &|file| file == "/run/gone\u{1b} (deleted)");
    let file = |call: &str| {
        argument(call, 0, &|_| true)["file"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(file("lseek").starts_with("pipe:["), "{}", file("lseek"));
    assert!(file("connect").starts_with("TCP:["), "{}", file("connect"));
    assert_eq!(
        argument("read", 0, &|it| it[2]["value"] == 8)["file"],
        "anon_inode:[eventpoll]"
    );
    assert_eq!(
        argument("writev", 1, &|it| it[0]["file"] == "/etc/passwd")["value"],
        json!([
            {"base": "first", "len": 5},
            {"base": "", "len": 0},
            {"base": "x".repeat(63), "len": 70},
        ])
    );
    assert_eq!(
        argument("sendmsg", 1, &|_| true)["value"],
        json!({
            "name": {"family": "AF_UNIX", "path": "/nosuch"},
            "iov": [{"base": "hello", "len": 5}],
            "controllen": 0,
        })
    );
    let unreadable = argument("writev", 1, &|it| it[2]["value"] == 2);
    assert_eq!(
        unreadable["value"],
        json!([{"base": null, "len": 5}, {"base": null, "len": 6}])
    );
    let argv = argument("execve", 1, &|it| it[0]["value"] == "/no-such-program");
    assert_eq!(argv["value"], json!(["name", "a b", "y".repeat(63)]));
    let attributes = argument("bpf", 1, &|_| true)["value"].clone();
    assert_eq!(attributes["map_type"], "BPF_MAP_TYPE_ARRAY");
    assert_eq!(attributes["value_size"], 0);
}

#[test]
fn odd_arguments_are_shown_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), ODD, &["-O1", "-w"]);
    let trace = Trace::start(&[
        "-e",
        "*_sys_openat",
        "-n",
        "program",
        "-sn",
        "-x",
        "ENOENT,EFAULT,ENAMETOOLONG",
    ]);
    let ran = Command::new(&program).stdout(Stdio::null()).status();
    assert!(ran.unwrap().success());
    let report = trace.finish();
    let paths: Vec<Value> = calls(&report)
        .iter()
        .map(|call| {
            let path = &call["arguments"][1];
            json!([call["abi"], path["value"], path["cut"], path["unreadable"]])
        })
        .collect();
    for wanted in [
        json!(["native", "/nosuch/\u{1b}[31m\u{fffd}\"", false, false]),
        json!(["native", "x".repeat(255), true, false]),
        json!(["native", null, false, true]),
        json!(["native", "", false, false]),
        json!(["compat", "/nosuch/32", false, false]),
    ] {
        assert!(
            paths.contains(&wanted),
            "{wanted} is not among {paths:?}: {:?}",
            report.summary
        );
    }
}

#[test]
fn arguments_are_not_read_if_they_are_not_wanted() {
    let options = ["-n", "simfail", "-sn", "--no-args"];
    for (entry, case) in [
        ("*_sys_openat", "open-missing"),
        ("ksys_write", "write-no-space"),
    ] {
        let trace = Trace::start(&[&["-e", entry][..], &options[..]].concat());
        trace.simfail(&[case]);
        let report = trace.finish();
        let session = report.only("simfail");
        assert!(session.0["syscall"].is_null());
        assert!(session.0["arguments"].is_null());
    }
}

#[test]
fn other_entry_functions_are_shown_with_their_arguments() {
    let entries = ["-e", "get_fs_type", "-e", "ksys_write"];
    let trace = Trace::start(&[&entries[..], &["--only-entries", "-n", "python3"]].concat());
    let script = r#"
import ctypes
ctypes.CDLL(None).mount(b"none", b"/mnt", b"nosuchfs", 0, None)
libc = ctypes.CDLL(None)
libc.write(77, b"hello", 5)
libc.write(78, ctypes.c_void_p(8), 5)
libc.write(79, b"\x1b[31m\xff", 5)
"#;
    let ran = Command::new("python3").args(["-c", script]).status();
    assert!(ran.unwrap().success());
    let report = trace.finish();
    let of = |function: &str| {
        let sessions = report.sessions.iter();
        let of_function = sessions.filter(|session| session.0["entry"]["function"] == function);
        let of_function = of_function.map(|session| {
            assert_eq!(session.0["syscall"], Value::Null);
            values(&session.0)
        });
        Vec::from_iter(of_function)
    };
    assert_eq!(of("get_fs_type"), [json!({"name": "nosuchfs"})]);
    let writes = [
        json!({"fd": 77, "buf": "hello", "count": 5}),
        json!({"fd": 78, "buf": null, "count": 5}),
        json!({"fd": 79, "buf": "\u{1b}[31m\u{fffd}", "count": 5}),
    ];
    assert_eq!(of("ksys_write"), writes);
}
