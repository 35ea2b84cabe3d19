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
    /// With -p or -P: their future children, too
    #[arg(long)]
    pub follow: bool,

    /// Only what this user runs (name or number; the effective one). All options of this heading, -p
    /// and -n: repeatable, any of one kind will do, each kind given must hold; `!` before a value
    /// means all but that
    #[arg(long = "uid", value_name = "USER", value_delimiter = ',')]
    pub users: Vec<Choice<String>>,

    /// Only what runs with this group (name or number; the effective one)
    #[arg(long = "gid", value_name = "GROUP", value_delimiter = ',')]
    pub groups: Vec<Choice<String>>,

    /// Only what is in this control group or below it: `/sys/fs/cgroup/a.slice`, `/a.slice`. One kind
    /// with --unit and --container
    #[arg(long = "cgroup", value_name = "PATH")]
    pub cgroups: Vec<Choice<PathBuf>>,

    /// Only what is in this systemd unit: `nginx.service`, `nginx`, `user.slice`
    #[arg(long = "unit", value_name = "UNIT")]
    pub units: Vec<Choice<String>>,

    /// Only what is in this container, also if it starts later: its name, its id or the first 4 digits
    /// of that at least, its pod as `POD` or `NAMESPACE/POD`; `list containers` shows them
    #[arg(long = "container", value_name = "NAME")]
    pub containers: Vec<Choice<String>>,

    /// With --container: wait for one that is yet to come, although a similar name is there, which
    /// without this is taken for what was meant
    #[arg(long = "await", requires = "containers")]
    pub await_containers: bool,

    /// Only what has this mount namespace: that of a process, its number, or a file that is one
    #[arg(long = "mntns", value_name = "PID|INODE|FILE")]
    pub mount_namespaces: Vec<Choice<NamespaceArg>>,

    /// Only what has this PID namespace
    #[arg(long = "pidns", value_name = "PID|INODE|FILE")]
    pub pid_namespaces: Vec<Choice<NamespaceArg>>,

    /// Only what has this network namespace
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
