// SPDX-License-Identifier: BSD-2-Clause
//! Finds the container of a cgroup by its path. Each runtime has its own names for cgroups, with
//! the systemd driver and with the cgroupfs driver.

use std::fmt;

/// A container runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// Docker (moby).
    Docker,
    /// containerd: Kubernetes, nerdctl.
    Containerd,
    /// CRI-O, of Kubernetes.
    Crio,
    /// Podman, with or without root.
    Podman,
    /// systemd-nspawn, and other containers that are registered as machines.
    Nspawn,
    /// LXC, LXD, Incus, Proxmox.
    Lxc,
    /// runc without another runtime above it.
    Runc,
    /// Some OCI runtime that the path does not identify.
    Oci,
}

impl Runtime {
    /// Whether the ids of its containers are their names.
    #[must_use]
    pub fn goes_by_names(self) -> bool {
        matches!(self, Self::Nspawn | Self::Lxc)
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Podman => "podman",
            Self::Nspawn => "systemd-nspawn",
            Self::Lxc => "lxc",
            Self::Runc => "runc",
            Self::Oci => "oci",
        })
    }
}

/// A container, according to the path of its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InPath<'p> {
    /// Its container runtime.
    pub runtime: Runtime,
    /// Its id; its name if the runtime names cgroups by it.
    pub id: String,
    /// The id of its Kubernetes pod, with dashes; `None` if it has no pod.
    pub pod_uid: Option<String>,
    /// The path of the container's own cgroup, which exists as long as the container.
    pub cgroup: &'p str,
}

/// Prefixes of `PREFIX-ID.scope` (systemd) and `PREFIX-ID` (cgroupfs).
const PREFIXES: &[(&str, Runtime)] = &[
    ("docker", Runtime::Docker),
    ("cri-containerd", Runtime::Containerd),
    ("containerd", Runtime::Containerd),
    ("nerdctl", Runtime::Containerd),
    ("crio", Runtime::Crio),
    ("libpod", Runtime::Podman),
    ("libpod-payload", Runtime::Podman),
    ("runc", Runtime::Runc),
];

/// The innermost container that contains a cgroup; `None` if there is none.
#[must_use]
pub fn container_of(path: &str) -> Option<InPath<'_>> {
    let mut end = path.len();
    loop {
        let within = path.get(..end)?;
        let start = within.rfind('/')?;
        let part = &within[start + 1..];
        let parents = &within[..start];
        if let Some((runtime, id)) = by_part(part, parents) {
            return Some(InPath {
                runtime,
                id,
                pod_uid: pod_uid(path, part),
                cgroup: within,
            });
        }
        end = start;
    }
}

fn by_part(part: &str, parents: &str) -> Option<(Runtime, String)> {
    let unit = part.strip_suffix(".scope").unwrap_or(part);
    for (prefix, runtime) in PREFIXES {
        let id = unit
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('-'));
        if let Some(id) = id.filter(|id| is_id(id)) {
            return Some((*runtime, id.to_owned()));
        }
    }
    // containerd without a systemd scope: `SLICE:cri-containerd:ID`.
    let mut pieces = part.rsplitn(3, ':');
    if let (Some(id), Some(prefix), Some(_)) = (pieces.next(), pieces.next(), pieces.next())
        && is_id(id)
    {
        let known = PREFIXES.iter().find(|(known, _)| *known == prefix);
        return Some((
            known.map_or(Runtime::Oci, |(_, runtime)| *runtime),
            id.to_owned(),
        ));
    }
    let parent = parents.rsplit('/').next().unwrap_or_default();
    machine(part, parents)
        .or_else(|| lxc(part, parent))
        .or_else(|| bare(part, parent))
}

/// Parses `machine-NAME.scope` and `systemd-nspawn@NAME.service`. Virtual machines are not
/// containers.
fn machine(part: &str, parents: &str) -> Option<(Runtime, String)> {
    if let Some(name) = part.strip_prefix("systemd-nspawn@") {
        let name = unescaped(name.strip_suffix(".service")?);
        return Some((Runtime::Nspawn, name));
    }
    if !parents.split('/').any(|parent| parent == "machine.slice") {
        return None;
    }
    let name = unescaped(part.strip_prefix("machine-")?.strip_suffix(".scope")?);
    if name.starts_with("qemu-") {
        return None;
    }
    match name.strip_prefix("lxc-").map(|rest| rest.split_once('-')) {
        Some(Some((number, name))) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((Runtime::Lxc, name.to_owned()))
        }
        _ => Some((Runtime::Nspawn, name)),
    }
}

fn lxc(part: &str, parent: &str) -> Option<(Runtime, String)> {
    let name = match part.strip_prefix("lxc.payload.") {
        Some(name) => name,
        None if parent == "lxc" || parent == "lxc.payload" => part,
        None => return None,
    };
    (!name.is_empty()).then(|| (Runtime::Lxc, name.to_owned()))
}

/// Parses a directory whose whole name is the id.
fn bare(part: &str, parent: &str) -> Option<(Runtime, String)> {
    // AWS Fargate: 32 digits, a dash, more digits.
    let is_fargate = part.split_once('-').is_some_and(|(task, number)| {
        is_hex(task, 32) && number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    if !is_hex(part, 64) && !is_fargate {
        return None;
    }
    let runtime = if parent == "docker" || parent.starts_with("actions_job") {
        Runtime::Docker
    } else if pod_of(parent).is_some() {
        Runtime::Containerd
    } else {
        Runtime::Oci
    };
    Some((runtime, part.to_owned()))
}

/// The id of the pod whose cgroup is the nearest parent of a component.
fn pod_uid(path: &str, part: &str) -> Option<String> {
    let parts = path.rsplit('/').skip_while(|other| *other != part);
    // `SLICE:cri-containerd:ID` contains the slice of its pod.
    let mut parts = parts.map(|part| part.split_once(":").map_or(part, |(slice, _)| slice));
    parts.find_map(pod_of)
}

/// Parses `podUID` and `kubepods-burstable-podUID.slice`, with any prefix.
fn pod_of(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let at = name.rfind("pod")?;
    let is_start = at == 0 || name.as_bytes().get(at - 1) == Some(&b'-');
    let uid = name[at + 3..].replace('_', "-");
    let plain = uid.bytes().filter(|byte| *byte != b'-').count();
    let is_uid = plain == 32
        && uid
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (is_start && is_uid).then_some(uid)
}

/// Whether the text has 64 hexadecimal digits. Names that users choose are shorter and are found in
/// the files of the runtime.
fn is_id(text: &str) -> bool {
    is_hex(text, 64)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Decodes escapes in systemd unit names, such as `\x2d`.
fn unescaped(name: &str) -> String {
    let mut plain = Vec::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("\\x") {
        plain.extend(before.bytes());
        match after
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok())
        {
            Some(code) => {
                plain.push(code);
                rest = &after[2..];
            }
            None => {
                plain.extend(b"\\x");
                rest = after;
            }
        }
    }
    plain.extend(rest.bytes());
    String::from_utf8_lossy(&plain).into_owned()
}
