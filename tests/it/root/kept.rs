// SPDX-License-Identifier: BSD-2-Clause
//! Sessions and chains that used to get lost: to interrupts, to a session around them, to what is
//! called after the failure.

use std::fs::{self, File};
use std::io::Read;
use std::thread;

use super::harness::{Trace, attaches_slowly, program};
use super::sys;

/// What runs on the interrupt stack before `preempt_count` says so, and after it no longer does.
const INTERRUPT_EDGES: &[&str] = &[
    "-a",
    "irq_enter_rcu",
    "-a",
    "irq_exit_rcu",
    "-a",
    "__irq_exit_rcu",
    "-a",
    "tick_irq_enter",
    "-a",
    "irqtime_account_irq",
];

/// Reads so much that the timer interrupts it some times.
fn read_long() {
    let mut zeroes = File::open("/dev/zero").unwrap();
    let mut buffer = vec![1; 32 << 20];
    for _ in 0..4 {
        zeroes.read_exact(&mut buffer).unwrap();
    }
}

/// Of 98 sessions 41 were dropped as "return never seen".
#[test]
fn an_interrupt_does_not_end_the_session_that_it_interrupts() {
    let options = [
        &["-e", "__x64_sys_read", "-n", "reader", "-sn"],
        INTERRUPT_EDGES,
    ]
    .concat();
    let trace = Trace::start(&options);
    let readers = (0..6).map(|_| {
        let thread = thread::Builder::new().name("reader".to_owned());
        thread.spawn(read_long).unwrap()
    });
    let readers: Vec<_> = readers.collect();
    for reader in readers {
        reader.join().unwrap();
    }
    let report = trace.finish();
    let summary = &report.summary;
    assert!(
        summary.count("functions") > 1,
        "nothing of interrupts is traced"
    );
    assert!(summary.count("started") >= 24, "{summary:?}");
    assert_eq!(
        summary.count("started"),
        summary.count("succeeded"),
        "{summary:?}"
    );
}

#[test]
fn all_system_calls_over_all_functions_lose_no_session() {
    let file = format!("/tmp/broad-{}", sys::unique());
    // All functions one at a time would take an hour.
    let (entries, inner, at_least) = if attaches_slowly() {
        (
            "__x64_sys_{execve,openat}",
            "{irq_*_rcu,__irq_exit_rcu}",
            20,
        )
    } else {
        ("__x64_sys_*", "*", 300)
    };
    let mut command = program(&["-e", entries, "-a", inner, "-sn", "--json", "-o", &file]);
    command.args([
        "--",
        "setpriv",
        "--reuid",
        "65534",
        "--clear-groups",
        "sh",
        "-c",
    ]);
    command.arg("ls /nosuch; cat /etc/shadow; /usr/nosuch; true");
    let ended = Trace::spawn(command).wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let text = fs::read_to_string(&file).unwrap();
    let summary: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let count = |path: &str| summary.pointer(path).and_then(|n| n.as_u64()).unwrap();
    assert!(count("/started") > at_least, "{summary}");
    assert_eq!(count("/dropped/abandoned"), 0, "{summary}");
    assert_eq!(
        count("/started"),
        count("/shown") + count("/succeeded") + count("/filtered") + count("/dropped/task_exited"),
        "{summary}"
    );
    let failed = |entry: &str, errno: i32| {
        text.lines().any(|line| {
            line.contains(&format!("\"entry\":{{\"function\":\"{entry}\""))
                && line.contains(&format!("\"errno\":{errno}"))
        })
    };
    assert!(
        failed("__x64_sys_execve", 2),
        "no execve among {} lines",
        text.lines().count()
    );
    assert!(failed("__x64_sys_openat", 13), "no openat of /etc/shadow");
}

/// `-c net -e nf_tables_delchain` showed nothing: the `sendmsg()` around it succeeds.
#[test]
fn an_entry_function_that_fails_in_a_session_that_succeeds_is_shown() {
    let trace = Trace::start(&[
        "-e",
        "__x64_sys_sendto",
        "-e",
        "inet_rtm_deladdr",
        "-sn",
        "-n",
        "nested",
    ]);
    trace.simfail(&["--comm", "nested", "netlink-addr-missing"]);
    let report = trace.finish();
    let session = report.only("nested");
    assert_eq!(session.entry(), "__x64_sys_sendto");
    assert_eq!(session.chain(), ["__x64_sys_sendto", "inet_rtm_deladdr"]);
    assert_eq!(session.culprit(), "inet_rtm_deladdr");
    assert_eq!(session.culprit_object()["result"], "-EADDRNOTAVAIL");
}
