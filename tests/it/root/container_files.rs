// SPDX-License-Identifier: BSD-2-Clause
//! User functions in files of containers: overlay mounts over one lower directory, in mount namespaces
//! and control groups of their own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::cgroup::{Cgroup, docker_names};
use super::harness::{Trace, run};
use super::sys;

const PROGRAM: &str = r#"
#include <stdio.h>
#include <unistd.h>

__attribute__((noinline)) int lose(void)
{
	return close(-1) ? -9 : 0;
}

int main(void)
{
	char text[16];

	write(1, "ready\n", 6);
	while (read(0, text, sizeof(text)) > 0)
		lose();
	return 0;
}
"#;

/// The lower directory of the containers, and what they share.
struct Image(PathBuf);

impl Image {
    fn new() -> Self {
        let directory = PathBuf::from(format!("/tmp/image-{}", sys::unique()));
        let app = directory.join("lower/app");
        fs::create_dir_all(&app).unwrap();
        let source = directory.join("loses.c");
        fs::write(&source, PROGRAM).unwrap();
        let compiled = Command::new("gcc")
            .args(["-static", "-O1", "-o"])
            .args([&app.join("loses"), &source])
            .status();
        assert!(compiled.unwrap().success());
        Self(directory)
    }

    fn host_root(&self) -> String {
        self.0.join("host").display().to_string()
    }

    /// Starts a container of this name, whose program waits.
    fn start(&self, name: &str, digit: char) -> Container {
        let id = digit.to_string().repeat(64);
        docker_names(&self.host_root(), &id, name);
        let cgroup = Cgroup::new(&format!("docker/{id}"));
        Container::start(&self.0, name, cgroup, &id)
    }
}

struct Container {
    child: Child,
    _cgroup: Cgroup,
}

impl Container {
    fn start(image: &Path, name: &str, cgroup: Cgroup, id: &str) -> Self {
        let script = "set -e; mkdir -p $2/upper $2/work $2/merged
            echo $$ > /sys/fs/cgroup/docker/$3/cgroup.procs
            mount -t overlay overlay -o lowerdir=$1/lower,upperdir=$2/upper,workdir=$2/work $2/merged
            exec chroot $2/merged /app/loses";
        let own = image.join(name).display().to_string();
        let mut child = Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh"])
            .args([&image.display().to_string(), &own, id])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self {
            child,
            _cgroup: cgroup,
        }
    }

    fn lose(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn arguments(root: &str) -> Vec<&str> {
    let glob = "u:/app/loses:lose:int";
    vec![
        "-e",
        glob,
        "-sn",
        "-v",
        "--container",
        "web",
        "--container",
        "shop",
        "--host-root",
        root,
    ]
}

#[test]
fn containers_over_one_image_have_one_probe_and_each_event_once() {
    let image = Image::new();
    let (mut web, mut shop) = (image.start("web", 'a'), image.start("shop", 'b'));
    let root = image.host_root();
    let trace = Trace::start(&arguments(&root));
    web.lose();
    shop.lose();
    web.end();
    shop.end();
    let report = trace.finish();
    let mut names: Vec<String> = report
        .sessions
        .iter()
        .map(|session| session.0["context"]["container"]["name"].to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["\"shop\"", "\"web\""], "{}", report.stderr);
    assert_eq!(report.summary.count("functions"), 1);
    assert_eq!(report.summary.count("started"), 2);
    assert_eq!(report.sessions[0].result(), "-EBADF");
    // It is no file of the host.
    let said = run(&["-e", "u:/app/loses:lose:int"]).failed(1);
    assert!(said.contains("failed to open `/app/loses`"), "{said}");
}

/// One that shares the file, and after all have ended one with a file that is not probed any more.
#[test]
fn containers_that_start_later_are_probed_and_let_go_when_they_end() {
    let image = Image::new();
    let mut web = image.start("web", 'a');
    let root = image.host_root();
    let trace = Trace::start(&arguments(&root));
    web.lose();
    let mut shop = image.start("shop", 'b');
    trace.wait_until_said("container `shop` has started");
    shop.lose();
    for container in [web, shop] {
        container.end();
    }
    trace.wait_until_said("the last container with a probed file has ended");
    let mut again = image.start("web", 'c');
    trace.wait_until_said("container `web`: 1 functions of `/app/loses` are traced from now on");
    again.lose();
    again.end();
    let report = trace.finish();
    assert_eq!(
        report.sessions.len(),
        3,
        "{:#?}\n{}",
        report.sessions,
        report.stderr
    );
    for session in &report.sessions {
        assert_eq!(session.result(), "-EBADF");
    }
    assert_eq!(report.summary.count("started"), 3);
}
