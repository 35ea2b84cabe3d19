// SPDX-License-Identifier: BSD-2-Clause
//! Processes: whose calls are traced, beside those chosen by id and name.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::targeting::pid;
use crate::spec::Pid;

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
    pub mount_namespaces: Vec<Choice<NamespaceArg>>,

    /// Only tasks in this PID namespace; values as for --mntns
    #[arg(long = "pidns", value_name = "PID|INODE|FILE")]
    pub pid_namespaces: Vec<Choice<NamespaceArg>>,

    /// Only tasks in this network namespace; values as for --mntns
    #[arg(long = "netns", value_name = "PID|INODE|FILE")]
    pub net_namespaces: Vec<Choice<NamespaceArg>>,

    /// Read what container runtimes keep below DIR instead of `/`
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub host_root: PathBuf,
}

/// Something wanted, or with a `!` not wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<T> {
    /// Whether it is wanted.
    pub wanted: bool,
    /// What.
    pub what: T,
}

impl<T: FromStr<Err: ToString>> FromStr for Choice<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (wanted, what) = match text.strip_prefix('!') {
            Some(what) => (false, what),
            None => (true, text),
        };
        if what.is_empty() {
            return Err("a value is missing".to_owned());
        }
        let what = what.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(Self { wanted, what })
    }
}

/// Which namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceArg {
    /// That of a process.
    Of(Pid),
    /// Its inode number.
    Inode(u64),
    /// A file that is a namespace.
    File(PathBuf),
}

impl FromStr for NamespaceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::File(PathBuf::from(text)));
        }
        // As `readlink /proc/PID/ns/net` has it.
        let inside = text
            .split_once(":[")
            .and_then(|(_, rest)| rest.strip_suffix(']'));
        match inside.unwrap_or(text).parse::<u64>() {
            // Numbers of namespaces begin far behind those of processes.
            Ok(number) if number > NAMESPACES_FROM || inside.is_some() => Ok(Self::Inode(number)),
            Ok(_) => pid(text).map(Self::Of),
            Err(_) => Err("a process id, the number of a namespace, or the path of one".to_owned()),
        }
    }
}

/// `PROC_DYNAMIC_FIRST` of the kernel, where numbers of namespaces begin; a few are just below.
const NAMESPACES_FROM: u64 = 0xefff_0000;
