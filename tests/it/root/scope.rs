// SPDX-License-Identifier: BSD-2-Clause
//! Whose calls are traced: users, control groups, units, containers, namespaces; alone, negated and
//! together. Each time the same program fails inside and outside, and only the inside one is shown.

use std::fs;
use std::process::Command;

use super::cgroup::{Cgroup, ID, docker_names};
use super::harness::{Report, Trace, kernel, run, simfail_program};
use super::sys;

const BPF: &[&str] = &["-e", "*_sys_bpf", "-sn"];

/// The names of the threads that failed, in order.
fn failed(report: &Report) -> Vec<&str> {
    report
        .sessions
        .iter()
        .map(|session| session.comm())
        .collect()
}

fn traced(options: &[&str], workload: impl FnOnce()) -> Vec<String> {
    let trace = Trace::start(&[BPF, options].concat());
    workload();
    let report = trace.finish();
    // Out of scope is not even started.
    assert_eq!(
        report.summary.count("started"),
        report.sessions.len() as u64
    );
    failed(&report).into_iter().map(str::to_owned).collect()
}

fn fail(comm: &str) {
    super::harness::simfail(&["--comm", comm, "bpf-cmd"]);
}

/// Runs simfail by another program, which is one of util-linux.
fn fail_by(words: &[&str], comm: &str) {
    let status = Command::new(words[0])
        .args(&words[1..])
        .args([&simfail_program(), "--comm", comm, "bpf-cmd"])
        .status();
    // 3: it minds that 5.10 tells it `EPERM`, which is a failure of the call all the same.
    let code = status.unwrap().code();
    let is_refused = code == Some(3) && kernel() == "5.10";
    assert!(code == Some(0) || is_refused, "{words:?}: {code:?}");
}

const NOBODY: &[&str] = &["setpriv", "--reuid", "65534", "--clear-groups"];
const NOGROUP: &[&str] = &["setpriv", "--regid", "65534", "--clear-groups"];

#[test]
fn users_and_groups() {
    let both = || {
        fail("root");
        fail_by(NOGROUP, "nogroup");
    };
    assert_eq!(traced(&["--gid", "65534"], both), ["nogroup"]);
    assert_eq!(
        traced(&["--gid", "!65534", "-n", "root,nogroup"], both),
        ["root"]
    );
    assert_eq!(
        traced(&["--gid", "root,65534", "-n", "root,nogroup"], both),
        ["root", "nogroup"]
    );
    let both = || {
        fail("root");
        fail_by(NOBODY, "nobody");
    };
    // Who is not root may not ask, which is a failure as well.
    assert_eq!(
        traced(&["--uid", "nobody", "-n", "nobody"], both),
        ["nobody"]
    );
    assert_eq!(
        traced(&["--uid", "!65534", "-n", "root,nobody"], both),
        ["root"]
    );
    // The effective ids count: those that rights go by.
    let both = || {
        fail_by(&["setpriv", "--euid", "65534"], "effective");
        fail_by(&["setpriv", "--ruid", "65534"], "real");
    };
    let ours = ["-n", "effective,real"];
    let with = |options: &[&str]| traced(&[options, &ours].concat(), both);
    assert_eq!(with(&["--uid", "65534"]), ["effective"]);
    assert_eq!(with(&["--uid", "!nobody"]), ["real"]);
    // Kinds are joined by "and".
    assert_eq!(traced(&["--uid", "root", "--gid", "65534"], both), [""; 0]);
}

#[test]
fn a_cgroup_with_all_below_it_and_what_is_made_there_later() {
    let inside = Cgroup::new("scope-a");
    let below = Cgroup::new("scope-a/b");
    let beside = Cgroup::new("scope-ab");
    let all = || {
        let later = Cgroup::new("scope-a/b/later");
        let deeper = Cgroup::new("scope-a/b/later/deeper");
        inside.fails("inside");
        below.fails("below");
        beside.fails("beside");
        fail("outside");
        later.fails("later");
        deeper.fails("deeper");
        drop(deeper);
    };
    assert_eq!(
        traced(&["--cgroup", "/scope-a"], all),
        ["inside", "below", "later", "deeper"]
    );
    let path = "/sys/fs/cgroup/scope-a";
    assert_eq!(
        traced(&["--cgroup", path, "--cgroup", "!scope-a/b"], all),
        ["inside"]
    );
    let ours = ["-n", "inside,below,beside,outside,later,deeper"];
    let without = [&["--cgroup", "!/scope-a"], &ours[..]].concat();
    assert_eq!(traced(&without, all), ["beside", "outside"]);
    let either = ["--cgroup", "scope-a/b", "--cgroup", "/scope-ab"];
    assert_eq!(traced(&either, all), ["below", "beside", "later", "deeper"]);
}

#[test]
fn a_unit_by_its_name() {
    let slice = Cgroup::new("system.slice");
    let unit = Cgroup::new("system.slice/my-web.service");
    let other = Cgroup::new("system.slice/other.service");
    let both = || {
        unit.fails("web");
        other.fails("other");
        slice.fails("slice");
    };
    assert_eq!(traced(&["--unit", "my-web"], both), ["web"]);
    assert_eq!(traced(&["--unit", "my-web.service"], both), ["web"]);
    assert_eq!(
        traced(&["--unit", "system.slice"], both),
        ["web", "other", "slice"]
    );
    let stderr = run(&[BPF, &["--unit", "my-wev.service"]].concat()).failed(1);
    assert!(stderr.contains("similar: `my-web.service`"), "{stderr}");
}

#[test]
fn namespaces_by_process_number_and_file() {
    for (option, flag, kind) in [
        ("--mntns", "-m", "mnt"),
        ("--netns", "-n", "net"),
        ("--pidns", "-pf", "pid"),
    ] {
        let file = format!("/tmp/holder-{kind}");
        let script = "echo $$ > \"$0\"; exec sleep 1000";
        let mut holder = Command::new("unshare")
            .args([flag, "sh", "-c", script, &file])
            .spawn()
            .unwrap();
        while fs::read_to_string(&file).unwrap_or_default().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        // Who unshares PIDs is not in the new namespace, its child is.
        let pid = match kind {
            "pid" => children(holder.id()),
            _ => fs::read_to_string(&file).unwrap().trim().to_owned(),
        };
        let inside = [
            "nsenter".to_owned(),
            "-t".to_owned(),
            pid.clone(),
            flag.replace('f', ""),
        ];
        let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
        let both = || {
            fail_by(&inside, "inside");
            fail("outside");
        };
        let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        let link = link.to_str().unwrap().to_owned();
        let number = link.split(['[', ']']).nth(1).unwrap();
        let path = format!("/proc/{pid}/ns/{kind}");
        for named in [pid.as_str(), number, &link, &path] {
            assert_eq!(
                traced(&[option, named], both),
                ["inside"],
                "{option} {named}"
            );
        }
        let not = format!("!{pid}");
        let without = [option, &not, "-n", "inside,outside"];
        assert_eq!(traced(&without, both), ["outside"], "{option}");
        sys::kill(pid.parse().unwrap(), sys::SIGKILL);
        holder.wait().unwrap();
    }
}

fn children(pid: u32) -> String {
    let file = format!("/proc/{pid}/task/{pid}/children");
    fs::read_to_string(file).unwrap().trim().to_owned()
}

#[test]
fn future_children_are_followed_on_request() {
    let shell = |options: &[&str]| {
        let mut shell = Command::new("sh");
        let script = "read line; \"$0\" --comm child bpf-cmd; read line";
        shell.args(["-c", script, &simfail_program()]);
        let mut shell = shell.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = shell.id().to_string();
        let found = traced(&[&["-p", &pid], options].concat(), || {
            use std::io::Write as _;
            let mut pipe = shell.stdin.take().unwrap();
            pipe.write_all(b"go\n").unwrap();
            drop(pipe);
            shell.wait().unwrap();
        });
        found.len()
    };
    assert_eq!(shell(&[]), 0);
    assert_eq!(shell(&["--follow"]), 1);
}

#[test]
fn a_container_that_runs_and_one_that_starts_later() {
    let root = "/tmp/containers";
    docker_names(root, ID, "web");
    let own = ["--host-root", root];
    let running = Cgroup::new(&format!("docker/{ID}"));
    let both = || {
        running.fails("inside");
        fail("outside");
    };
    for named in ["web", "7be9", ID] {
        assert_eq!(
            traced(&[&own[..], &["--container", named]].concat(), both),
            ["inside"],
            "{named}"
        );
    }
    drop(running);
    // By name, with cgroups inside of its own, and another container beside.
    let other = ID.replace("7be9", "0000");
    docker_names(root, &other, "db");
    let trace = Trace::start(&[BPF, &own, &["-v", "--container", "web"]].concat());
    assert!(trace.said("container `web` does not run now: waiting"));
    let container = Cgroup::new(&format!("system.slice/docker-{ID}.scope"));
    let inner = Cgroup::new(&format!("system.slice/docker-{ID}.scope/init"));
    let beside = Cgroup::new(&format!("system.slice/docker-{other}.scope"));
    trace.wait_until_said("container `web` has started: it is traced from now on");
    container.fails("container");
    beside.fails("beside");
    // Its inner groups are found a moment after itself.
    trace.wait_until_shown(|shown| shown.contains("\"inner\""), || inner.fails("inner"));
    let report = trace.finish();
    let mut failed = failed(&report);
    failed.dedup();
    assert_eq!(failed, ["container", "inner"], "{}", report.stderr);
    assert_eq!(report.summary.count("untraced.noticed_late"), 0);
    drop(inner);
}

#[test]
fn a_container_is_found_though_the_buffer_was_full_when_it_started() {
    let root = "/tmp/containers";
    docker_names(root, ID, "web");
    let small = ["-v", "--ringbuf-size", "1", "--container", "web"];
    let trace = Trace::start(&[BPF, &["--host-root", root], &small].concat());
    trace.signal(sys::SIGSTOP);
    let _others: Vec<Cgroup> = (0..2000)
        .map(|number| Cgroup::new(&format!("crowd-{number}")))
        .collect();
    let container = Cgroup::new(&format!("docker-{ID}.scope"));
    trace.signal(sys::SIGCONT);
    trace.wait_until_said(
        "container `web` started while the buffer was full: it is traced from now",
    );
    container.fails("inside");
    let report = trace.finish();
    assert_eq!(failed(&report), ["inside"], "{}", report.stderr);
    // Records of 552 bytes and their heads of 8: after 937 of them half of a MiB is full, and the
    // other half is for sessions.
    assert_eq!(report.summary.count("untraced.noticed_late"), 2001 - 937);
    assert!(
        report
            .stderr
            .contains("1064 new control groups were noticed late"),
        "{}",
        report.stderr
    );
}

#[test]
fn a_container_that_is_not_there_is_waited_for_unless_a_similar_one_is() {
    let root = "/tmp/containers";
    docker_names(root, ID, "shop-web");
    let run_with =
        |options: &[&str]| run(&[BPF, &["--host-root", root, "--duration", "1"], options].concat());
    let stderr = run_with(&["--container", "shop-wev"]).failed(1);
    for said in [
        "there is no container `shop-wev`",
        "similar: `shop-web`; --await",
    ] {
        assert!(stderr.contains(said), "{stderr}");
    }
    let ended = run_with(&["--container", "shop-wev", "--await"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    for name in ["shop-wev", "entirely-other"] {
        let ended = run_with(&["--container", name, "--await"]);
        let said = format!("there is no container `{name}` now: waiting for it to start");
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    }
    let ended = run_with(&["--container", "entirely-other"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let ended = run_with(&["--container", "shop-web"]);
    let said = "container `shop-web` does not run now: waiting for it to start";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn what_is_not_there_is_one_error_with_a_hint() {
    for (options, said) in [
        (&["--uid", "nobodi"][..], "there is no user `nobodi`"),
        (&["--gid", "rot"], "there is no group `rot`"),
        (
            &["--cgroup", "/no/such"],
            "there is no control group `/no/such`",
        ),
        (
            &["--unit", "no-such-unit"],
            "there is no unit with a control group",
        ),
        (&["--netns", "4194304"], "there is no process 4194304"),
        (&["--netns", "/etc/passwd"], "`/etc/passwd` is no namespace"),
        (
            &["--netns", "/proc/self/ns/mnt"],
            "is no namespace of kind net",
        ),
    ] {
        let stderr = run(&[BPF, options].concat()).failed(1);
        assert!(
            stderr.contains(said) && stderr.contains("hint: "),
            "{stderr}"
        );
    }
}
