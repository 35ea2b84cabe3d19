// SPDX-License-Identifier: BSD-2-Clause
//! Control groups and containers made by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::simfail_program;

/// A cgroup that goes when it is dropped.
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    pub(super) fn new(path: &str) -> Self {
        let path = Path::new("/sys/fs/cgroup").join(path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Runs simfail in there, under this name.
    pub(super) fn fails(&self, comm: &str) {
        self.fails_by("", comm);
    }

    /// The same by way of another program.
    pub(super) fn fails_by(&self, by: &str, comm: &str) {
        let script =
            format!("echo $$ > \"$1/cgroup.procs\" && exec {by} \"$0\" --comm \"$2\" bpf-cmd");
        let path = self.0.to_str().unwrap();
        let status = Command::new("sh")
            .args(["-c", &script, &simfail_program(), path, comm])
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

pub(super) const ID: &str = "7be92808767a667f35c8505cbf40d14e931ef6db5b0210329cf193b15ba9d605";

/// Docker's file for a container, below `root`.
pub(super) fn docker_names(root: &str, id: &str, name: &str) {
    let directory = format!("{root}/var/lib/docker/containers/{id}");
    fs::create_dir_all(&directory).unwrap();
    let config = format!(r#"{{"Name": "/{name}", "Config": {{"Image": "shop:2"}}}}"#);
    fs::write(format!("{directory}/config.v2.json"), config).unwrap();
    // The kernel's own files are those of this host.
    for shown in ["proc", "sys"] {
        let link = format!("{root}/{shown}");
        if !fs::exists(&link).unwrap() {
            fs::create_dir_all(&link).unwrap();
            let from = format!("/{shown}");
            let mounted = Command::new("mount")
                .args(["--rbind", &from, &link])
                .status();
            assert!(mounted.unwrap().success());
        }
    }
}
