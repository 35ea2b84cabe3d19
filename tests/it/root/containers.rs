// SPDX-License-Identifier: BSD-2-Clause
//! What is said of a session's task: its container, unit, control group, and its ids inside; and
//! the list of containers.

use serde_json::Value;

use super::cgroup::{Cgroup, ID, docker_names};
use super::harness::{Trace, run};

const BPF: &[&str] = &["-e", "*_sys_bpf", "-sn", "-n", "inside"];

#[test]
fn a_session_says_where_it_ran_though_all_of_it_is_gone() {
    let root = "/tmp/containers";
    docker_names(root, ID, "web");
    let own = ["--host-root", root];
    let path = format!("/docker/{ID}");
    let container = Cgroup::new(&path[1..]);
    let text = Trace::start_text(&[BPF, &own].concat());
    let json = Trace::start(&[BPF, &own].concat());
    container.fails_by("unshare -pf", "inside");
    drop(container);
    let report = json.finish();
    let session = report.only("inside");
    let context = &session.0["context"];
    assert_eq!(context["cgroup"], path, "{context}");
    assert_eq!(context["container"]["name"], "web");
    assert_eq!(context["container"]["id"], ID);
    assert_eq!(context["container"]["image"], "shop:2");
    // The first process of its PID namespace.
    assert_eq!(context["tgid_inside"], 1);
    assert_ne!(context["pidns"], 4_026_531_836_u32);
    let shown = text.interrupt().stdout;
    let line = "in container web (docker 7be92808767a, image shop:2), TID/PID inside 1/1";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn a_session_outside_of_containers_says_its_unit() {
    let unit = Cgroup::new("system.slice/my-web.service");
    let trace = Trace::start(BPF);
    unit.fails("inside");
    let report = trace.finish();
    let context = &report.only("inside").0["context"];
    assert_eq!(context["unit"], "my-web.service", "{context}");
    assert_eq!(context["cgroup"], "/system.slice/my-web.service");
    assert_eq!(context["container"], Value::Null);
    assert_eq!(context["tgid_inside"], Value::Null);
}

#[test]
fn containers_are_listed() {
    let root = "/tmp/containers";
    docker_names(root, ID, "web");
    let _container = Cgroup::new(&format!("docker/{ID}"));
    let ended = run(&["list", "containers", "--json", "--host-root", root]);
    let listed: Value = serde_json::from_str(ended.stdout.trim()).unwrap();
    assert_eq!(listed["name"], "web");
    assert_eq!(listed["runtime"], "docker");
    assert_eq!(listed["processes"], 0);
    let ended = run(&["list", "containers", "--host-root", root]);
    assert!(
        ended.stdout.contains("\nweb   7be92808767a  docker"),
        "{}",
        ended.stdout
    );
}
