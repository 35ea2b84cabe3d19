// SPDX-License-Identifier: BSD-2-Clause
//! Processes: whose calls are traced, beside those chosen by id and name.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Choice, NamespaceRef};

/// Options of this heading.
#[derive(Args, Debug)]
#[command(next_help_heading = "Processes")]
pub struct Processes {
    /// Apply -p and -P to future children of these processes, too
    #[arg(long)]
    pub follow: bool,

    /// Only tasks with this effective user (name or number).
    ///
    /// All options of this heading are repeatable. The values of one option are OR-ed, different options
    /// (also -p and -n) are AND-ed. Prefix a value with `!` to exclude it. --uid and --gid take
    /// comma lists.
    #[arg(long = "uid", value_name = "USER", value_delimiter = ',')]
    pub users: Vec<Choice<String>>,

    /// Only tasks with this effective group (name or number)
    #[arg(long = "gid", value_name = "GROUP", value_delimiter = ',')]
    pub groups: Vec<Choice<String>>,

    /// Only tasks in this control group or below it.
    ///
    /// PATH is `/sys/fs/cgroup/a.slice` or `/a.slice`. --cgroup, --unit and --container count as one
    /// option: their values are OR-ed.
    #[arg(long = "cgroup", value_name = "PATH")]
    pub cgroups: Vec<Choice<PathBuf>>,

    /// Only tasks of this systemd unit.
    ///
    /// UNIT is `nginx.service`, `nginx` or `user.slice`, for example.
    #[arg(long = "unit", value_name = "UNIT")]
    pub units: Vec<Choice<String>>,

    /// Only tasks in this container, whether it runs now or starts later.
    ///
    /// NAME is the container's name, its id (at least the first 4 digits), or its pod as `POD` or
    /// `NAMESPACE/POD`. `list containers` shows the containers that run.
    #[arg(long = "container", value_name = "NAME")]
    pub containers: Vec<Choice<String>>,

    /// With --container: wait even if a similar name exists.
    ///
    /// Without this option, a name that no container has is an error if a similar name exists.
    #[arg(long = "await", requires = "containers")]
    pub await_containers: bool,

    /// Only tasks in this mount namespace.
    ///
    /// PID means the namespace of that process, INODE is the number of a namespace, FILE a file such as
    /// `/proc/1/ns/mnt` or `/run/netns/blue`.
    #[arg(long = "mntns", value_name = "PID|INODE|FILE")]
    pub mount_namespaces: Vec<Choice<NamespaceRef>>,

    /// Only tasks in this PID namespace; values as for --mntns
    #[arg(long = "pidns", value_name = "PID|INODE|FILE")]
    pub pid_namespaces: Vec<Choice<NamespaceRef>>,

    /// Only tasks in this network namespace; values as for --mntns
    #[arg(long = "netns", value_name = "PID|INODE|FILE")]
    pub net_namespaces: Vec<Choice<NamespaceRef>>,

    /// Read what container runtimes keep below DIR instead of `/`
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub host_root: PathBuf,
}
