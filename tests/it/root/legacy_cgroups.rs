// SPDX-License-Identifier: BSD-2-Clause
//! Hosts with control groups of version 1, alone and beside those of version 2: what is said of
//! them, and that containers are told by their mount namespaces there.

use std::fs;
use std::io::Write;
use std::panic;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::cgroup::{ID, docker_names};
use super::harness::{Report, Trace, run, simfail, simfail_program};
use super::sys;

const BPF: &[&str] = &["-e", "*_sys_bpf", "-sn", "-n", "inside,outside"];

const V1: &str = "mkdir /sys/fs/cgroup/systemd && \
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd";
const V2: &str = "mkdir /sys/fs/cgroup/unified && \
    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified";

/// Goes on where only these control groups are mounted: in a mount namespace of its own.
fn on_host_with(mounts: &[&str], then: impl FnOnce() + Send + 'static) {
    let mounts = mounts.join(" && ");
    let host = thread::spawn(move || {
        sys::leave_mount_namespace();
        let script = format!(
            "mount --make-rprivate / && umount -a -t cgroup2 && \
             mount -t tmpfs tmpfs /sys/fs/cgroup && {mounts}"
        );
        let mounted = Command::new("sh").args(["-c", &script]).status();
        assert!(mounted.unwrap().success());
        then();
    });
    if let Err(failure) = host.join() {
        panic::resume_unwind(failure);
    }
}

/// A program in a cgroup, which fails when it is told to.
struct Contained {
    child: Child,
    cgroup: String,
}

impl Contained {
    /// Starts it by way of another program: `unshare -m`, `env`.
    fn start(by: &str, cgroup: &str) -> Self {
        fs::create_dir_all(cgroup).unwrap();
        let mark = format!("/tmp/contained-{}", sys::unique());
        let script = format!(
            "echo $$ > \"$1/cgroup.procs\" && exec {by} sh -c \
             'touch \"$1\"; read line; exec \"$0\" --comm inside bpf-cmd' \"$0\" \"$2\""
        );
        let mut child = Command::new("sh")
            .args(["-c", &script, &simfail_program(), cgroup, &mark])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        while !fs::exists(&mark).unwrap() {
            assert!(child.try_wait().unwrap().is_none(), "{by} in {cgroup}");
            thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            cgroup: cgroup.to_owned(),
        }
    }

    fn fails(mut self) {
        self.child.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(self.child.wait().unwrap().success());
        // Or its hierarchy stays for ever.
        fs::remove_dir(&self.cgroup).unwrap();
    }
}

fn traced(options: &[&str], workload: impl FnOnce()) -> Report {
    let trace = Trace::start(&[BPF, options].concat());
    workload();
    simfail(&["--comm", "outside", "bpf-cmd"]);
    trace.finish()
}

fn comms(report: &Report) -> Vec<&str> {
    report.sessions.iter().map(|of| of.comm()).collect()
}

#[test]
fn version_1_alone_has_containers_by_mount_namespace() {
    on_host_with(&[V1], || {
        let root = "/tmp/host-v1";
        docker_names(root, ID, "web");
        let own = ["--host-root", root];
        let directory = "/sys/fs/cgroup/systemd/docker";
        let inside = Contained::start("unshare -m", &format!("{directory}/{ID}"));

        let listed = run(&["list", "containers", "--json", own[0], own[1]]);
        let listed: Value = serde_json::from_str(listed.stdout.trim()).unwrap();
        assert_eq!(
            (&listed["name"], &listed["processes"]),
            (&"web".into(), &1.into())
        );

        let report = traced(&[&own[..], &["--container", "web"]].concat(), || {
            inside.fails()
        });
        assert_eq!(comms(&report), ["inside"], "{}", report.stderr);
        let said = "version 1 only: they are told by their mount namespaces, and those that start \
                    later are not seen";
        assert!(report.stderr.contains(said), "{}", report.stderr);

        let other = ID.replace("7be9", "0000");
        docker_names(root, &other, "plain");
        let shares_ours = Contained::start("env", &format!("{directory}/{other}"));
        for (option, said) in [
            (
                ["--cgroup", "/docker"],
                "version 1 only, which programs cannot ask for",
            ),
            (
                ["--unit", "web"],
                "version 1 only, which programs cannot ask for",
            ),
            (
                ["--container", "unheard-of"],
                "there is no container `unheard-of`",
            ),
            (
                ["--container", "plain"],
                "`plain` has no mount namespace of its own",
            ),
        ] {
            let stderr = run(&[BPF, &own, &option].concat()).failed(1);
            assert!(
                stderr.contains(said) && stderr.contains("hint: "),
                "{stderr}"
            );
        }
        shares_ours.fails();
        fs::remove_dir(directory).unwrap();
    });
}

#[test]
fn a_session_names_its_container_by_mount_namespace_too() {
    on_host_with(&[V1], || {
        let root = "/tmp/host-v1-named";
        docker_names(root, ID, "web");
        let directory = "/sys/fs/cgroup/systemd/docker";
        let inside = Contained::start("unshare -m", &format!("{directory}/{ID}"));
        let report = traced(&["--host-root", root], || inside.fails());
        assert_eq!(
            report.only("inside").0["context"]["container"]["name"],
            "web"
        );
        let outside = &report.only("outside").0["context"];
        assert_eq!(outside["container"], Value::Null, "{outside}");
        // Ids of version 1 are no ids of version 2.
        assert_eq!(outside["cgroup"], Value::Null, "{outside}");
        fs::remove_dir(directory).unwrap();
    });
}

#[test]
fn both_versions_have_containers_of_both() {
    on_host_with(&[V1, V2], || {
        let root = "/tmp/host-hybrid";
        docker_names(root, ID, "web");
        let other = ID.replace("7be9", "0000");
        docker_names(root, &other, "db");
        let own = ["--host-root", root];
        let named = |name| [&own[..], &["--container", name]].concat();
        let docker = "/sys/fs/cgroup/systemd/docker";
        let in_v1 = Contained::start("unshare -m", &format!("{docker}/{ID}"));
        let report = traced(&named("web"), || in_v1.fails());
        assert_eq!(comms(&report), ["inside"], "{}", report.stderr);
        let said = "told by their mount namespaces";
        assert!(report.stderr.contains(said), "{}", report.stderr);
        fs::remove_dir(docker).unwrap();

        let docker = "/sys/fs/cgroup/unified/docker";
        let in_v2 = Contained::start("env", &format!("{docker}/{other}"));
        let report = traced(&named("db"), || in_v2.fails());
        assert_eq!(comms(&report), ["inside"], "{}", report.stderr);
        let said = "versions 1 and 2 side by side";
        assert!(report.stderr.contains(said), "{}", report.stderr);

        let in_v2 = Contained::start("env", &format!("{docker}/{other}"));
        let report = traced(&["--cgroup", "/docker"], || in_v2.fails());
        assert_eq!(comms(&report), ["inside"], "{}", report.stderr);
        fs::remove_dir(docker).unwrap();
    });
}
