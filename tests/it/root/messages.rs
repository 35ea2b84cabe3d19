// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel says in words while a system call fails.

use serde_json::{Value, json};

use super::harness::{Ended, Report, kernel, run};
use super::view::Session;

/// Fails as its arguments say.
const FAILING: &str = r#"
import ctypes, os, resource, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def mount(data):
    libc.mount(b"none", b"/mnt", b"tmpfs", 0, data)
def fsconfig(key, value):
    libc.syscall(431, libc.syscall(430, b"tmpfs", 0), 1, key, value, 0)
def netlink():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    # A route (RTM_NEWROUTE) of IPv4 with a prefix of 64 bits.
    route = struct.pack("BBBBBBBBI", 2, 64, 0, 0, 254, 3, 0, 1, 0)
    s.send(struct.pack("IHHII", 16 + len(route), 24, 0x405, 1, 0) + route)
def bpf():
    # On 5.10 the maps of the tracer count against the limit of all of root's processes.
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (-1, -1))
    code = ctypes.create_string_buffer(struct.pack("BBhi", 0x95, 0, 0, 0), 8)
    name, log = ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(65536)
    at = ctypes.addressof
    attr = struct.pack("IIQQIIQII", 1, 1, at(code), at(name), 1, 65536, at(log), 0, 0)
    libc.syscall(321, 5, ctypes.create_string_buffer(attr, 120), 120)
def flood():
    os.write(os.open("/proc/sysrq-trigger", os.O_WRONLY), b"m")
for what in sys.argv[1:]:
    if what == "mount": mount(b"mode=999")
    if what == "escape": mount(b"no\x1b[31m=1")
    if what == "fsconfig": fsconfig(b"mode", b"999")
    if what == "netlink": netlink()
    if what == "bpf": bpf()
    if what == "flood": flood()
"#;

const ENTRIES: &str = "*_sys_{mount,fsconfig,sendto,bpf}";

/// Traces with these options. What is shown is `stdout`.
fn shown(options: &[&str], what: &[&str]) -> Ended {
    let file = format!("/tmp/messages-{}", super::sys::unique());
    let command = ["-sn", "-o", &file, "--", "python3", "-c", FAILING];
    let ended = run(&[options, &command, what].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let stdout = std::fs::read_to_string(&file).unwrap();
    Ended { stdout, ..ended }
}

fn traced(options: &[&str], what: &[&str]) -> Report {
    let globs = ["-e", ENTRIES, "-e", "inet_rtm_newroute", "--json"];
    shown(&[&globs[..], options].concat(), what).report()
}

fn messages(report: &Report) -> Vec<Value> {
    let of = |session: &Session| session.0["messages"].clone();
    report.sessions.iter().map(of).collect()
}

fn decided(source: &str, text: &str) -> Value {
    json!([{"text": text, "source": source, "when": "decided"}])
}

#[test]
fn the_kernels_words_are_told_with_the_failure_that_they_are_about() {
    let what = ["mount", "escape", "fsconfig", "netlink", "bpf"];
    let report = traced(&[], &what);
    let found = messages(&report);
    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!(found[0], decided("printk", "tmpfs: Bad value for 'mode'"));
    let unknown = "tmpfs: Unknown parameter 'no\u{1b}[31m'";
    assert_eq!(found[1], decided("printk", unknown));
    let of_log = decided("fs_context", "tmpfs: Bad value for 'mode'");
    assert_eq!(found[2], of_log);
    assert_eq!(found[3], decided("netlink", "Invalid prefix length"));
    let reason = json!({"text": "R0 !read_ok", "source": "bpf", "when": "decided"});
    assert_eq!(found[4][0], reason, "{}", kernel());
}

#[test]
fn they_are_left_out_if_nobody_wants_them() {
    let found = traced(&["--no-messages"], &["mount", "fsconfig"]);
    assert_eq!(messages(&found), [json!([]), json!([])]);
    assert!(found.sessions.iter().all(|it| it.0["notes"] == json!([])));
}

#[test]
fn in_text_they_are_below_the_call_and_escaped() {
    let text = shown(&["-e", "*_sys_mount"], &["mount", "escape"]).stdout;
    let said = "\nkernel said \"tmpfs: Bad value for 'mode'\"\n";
    assert!(text.contains(said), "{text}");
    assert!(text.contains("kernel said \"tmpfs: Unknown parameter 'no\\x1b[31m'\"\n"));
    assert!(
        !text.contains('\u{1b}') && !text.contains("events:"),
        "{text}"
    );
}

/// Not on 5.10, where only what goes to the console is told, which is little of it.
#[test]
fn of_a_flood_the_last_ones_are_told_and_the_others_counted() {
    let report = shown(&["-e", "*_sys_write", "-S", "--json"], &["flood"]).report();
    let is_flood = |session: &&Session| session.0["messages"] != json!([]);
    let flood = report.sessions.iter().find(is_flood).unwrap();
    let said = flood.0["messages"].as_array().unwrap();
    // Sixteen are kept, and equal ones are told once.
    assert!((8..=16).contains(&said.len()), "{}", said.len());
    assert!(said.iter().all(|message| message["when"] == "nearby"));
    assert!(flood.0["losses"]["missing_notes"].as_u64().unwrap() > 0);
}
