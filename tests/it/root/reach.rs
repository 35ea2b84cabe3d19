// SPDX-License-Identifier: BSD-2-Clause
//! Where functions are attached to one by one: what the entry functions reach comes first, and
//! what is seen in stacks follows.

use super::harness::{Trace, attaches_slowly, run};

/// Of many functions, `udp_ioctl` by name; it is called through two pointers.
const SOCKETS: &[&str] = &[
    "-e",
    "__x64_sys_ioctl",
    "-a",
    "sock_*",
    "-a",
    "inet_*",
    "-a",
    "udp_ioctl",
];

/// The numbers of "312 of 1444 matching functions reachable from …".
fn numbers(stderr: &str) -> Option<(u32, u32)> {
    let (before, rest) = stderr.split_once(" of ")?;
    let armed = before.rsplit(' ').next()?.parse().ok()?;
    let matching = rest.split(' ').next()?.parse().ok()?;
    stderr
        .contains("reachable from")
        .then_some((armed, matching))
}

#[test]
fn the_reachable_functions_come_first_where_each_costs_time() {
    let ended = run(&["-c", "bpf", "--dry-run", "-v"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let all = run(&["-c", "bpf", "--dry-run", "-v", "--all-matching"]);
    assert_eq!(all.status.code(), Some(0), "{}", all.stderr);
    assert_eq!(numbers(&all.stderr), None, "{}", all.stderr);
    assert!(all.stdout.contains("  allow array_map_alloc_check\n"));
    if !attaches_slowly() {
        assert_eq!(numbers(&ended.stderr), None, "{}", ended.stderr);
        assert_eq!(ended.stdout, all.stdout);
        return;
    }
    let (armed, matching) = numbers(&ended.stderr).unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(armed > 100 && armed * 2 < matching, "{}", ended.stderr);
    assert!(ended.stderr.contains("--all-matching"), "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .contains(&format!("{armed} functions would be"))
    );
    assert!(
        all.stdout
            .contains(&format!("{matching} functions would be"))
    );
    // Called directly, at any depth; through `map->ops`.
    assert!(ended.stdout.contains("  allow bpf_check\n"));
    assert!(ended.stdout.contains("  allow btf_check_all_metas\n"));
    assert!(!ended.stdout.contains("  allow array_map_alloc_check\n"));
    let why = "array_map_alloc_check: not reached by direct calls";
    assert!(ended.stdout.contains(why), "{}", ended.stdout);
}

#[test]
fn what_is_seen_in_a_stack_is_traced_from_then_on() {
    let trace = Trace::start(&[SOCKETS, &["-sn", "-n", "first,second"]].concat());
    trace.simfail(&["--comm", "first", "ioctl-socket"]);
    if attaches_slowly() {
        trace.wait_until_said("traced from now on");
    }
    trace.simfail(&["--comm", "second", "ioctl-socket"]);
    let report = trace.finish();
    let first = report.only("first");
    // `udp_ioctl` says -ENOIOCTLCMD, of which `sock_do_ioctl` makes -ENOTTY. If that is not traced,
    // it is not known who does.
    let maker = if attaches_slowly() {
        "udp_ioctl"
    } else {
        "sock_do_ioctl"
    };
    assert_eq!(first.culprit(), maker, "{first:#?}");
    let stack = first.stack_functions();
    assert!(stack.contains(&"sock_ioctl"), "{stack:?} {}", report.stderr);
    assert_eq!(
        first.chain().contains(&"sock_ioctl"),
        !attaches_slowly(),
        "{:?}",
        first.chain()
    );
    let second = report.only("second");
    assert_eq!(second.culprit(), "sock_do_ioctl", "{second:#?}");
    assert!(
        second.chain().contains(&"sock_ioctl"),
        "{:?}",
        second.chain()
    );
}

#[test]
fn what_made_an_error_behind_a_pointer_is_traced_from_then_on() {
    // More than 64 match; `array_map_alloc_check` is called through `map->ops`.
    let trace = Trace::start(&[
        "-e",
        "__x64_sys_bpf",
        "-e",
        "__sys_bpf",
        "-a",
        "map_create",
        "-a",
        "*_map_alloc*",
        "-a",
        "*_map_free",
        "-a",
        "*_map_lookup_elem",
        "-a",
        "*_map_get_next_key",
        "-sn",
        "-n",
        "first,second",
    ]);
    trace.simfail(&["--comm", "first", "bpf-map-value-size"]);
    if attaches_slowly() {
        trace.wait_until_said("traced from now on");
    }
    trace.simfail(&["--comm", "second", "bpf-map-value-size"]);
    let report = trace.finish();
    let first = report.only("first").culprit();
    assert_eq!(first != "array_map_alloc_check", attaches_slowly());
    let second = report.only("second").culprit();
    assert_eq!(second, "array_map_alloc_check", "{}", report.stderr);
}
