// SPDX-License-Identifier: BSD-2-Clause
//! Namespaces of processes and of files, and their inode numbers.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process;

use anyhow::{Context, Result, bail};
use nix::sys::statfs::{FsType, statfs};

use super::files::HostFiles;
use crate::spec::Pid;

/// `NSFS_MAGIC` of `linux/magic.h`.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// A type of namespace, as in `/proc/PID/ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceKind {
    /// Mount namespace (`mnt`).
    Mount,
    /// PID namespace (`pid`).
    Pid,
    /// Network namespace (`net`).
    Net,
}

impl fmt::Display for NamespaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Net => "net",
        })
    }
}

/// The inode number of a namespace of a process.
///
/// # Errors
///
/// When there is no such process, or when access is denied.
pub fn of_process(files: &HostFiles, pid: Pid, kind: NamespaceKind) -> Result<u64> {
    let link = files.path(format!("proc/{pid}/ns/{kind}"));
    if !files.path(format!("proc/{pid}")).exists() {
        bail!("there is no process {pid}");
    }
    let target = fs::read_link(&link);
    let target = target.with_context(|| format!("failed to read `{}`", link.display()))?;
    let number = target.to_str().and_then(|text| number_of(text, kind));
    number.with_context(|| format!("`{}` is no namespace of kind {kind}", link.display()))
}

/// The mount namespaces that do not belong to containers: that of process 1, and our own.
#[must_use]
pub fn of_host(files: &HostFiles) -> BTreeSet<u64> {
    let pids = [1, process::id()].into_iter();
    let found = pids.filter_map(|pid| of_process(files, Pid(pid), NamespaceKind::Mount).ok());
    found.collect()
}

/// The inode number of the namespace that a file refers to: `/run/netns/NAME`, `/proc/PID/ns/net`.
///
/// # Errors
///
/// When the file is not a namespace, or one of another type.
pub fn of_file(path: &Path, kind: NamespaceKind) -> Result<u64> {
    let found =
        fs::metadata(path).with_context(|| format!("failed to look at `{}`", path.display()))?;
    let is_namespace =
        statfs(path).is_ok_and(|found| found.filesystem_type() == FsType(NSFS_MAGIC));
    if !is_namespace {
        bail!("`{}` is no namespace", path.display());
    }
    // A link in `/proc` shows the type of the namespace. A mounted one does not.
    if let Some(target) = fs::read_link(path).ok().as_deref().and_then(Path::to_str)
        && target.ends_with(']')
        && number_of(target, kind).is_none()
    {
        bail!(
            "`{}` is no namespace of kind {kind}: `{target}`",
            path.display()
        );
    }
    Ok(found.ino())
}

/// Parses a link such as `mnt:[4026531840]`; `None` if it is of another type.
fn number_of(text: &str, kind: NamespaceKind) -> Option<u64> {
    let text = text.strip_prefix(&kind.to_string())?;
    text.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process;

    use super::{NamespaceKind, of_file, of_process};
    use crate::spec::Pid;
    use crate::target::HostFiles;

    #[test]
    fn our_own_namespaces_by_process_and_by_file() {
        let files = HostFiles::below("/");
        for kind in [NamespaceKind::Mount, NamespaceKind::Pid, NamespaceKind::Net] {
            let number = of_process(&files, Pid(process::id()), kind).unwrap();
            assert!(number > 1_000, "{number}");
            let file = format!("/proc/self/ns/{kind}");
            assert_eq!(of_file(Path::new(&file), kind).unwrap(), number);
        }
    }

    #[test]
    fn what_is_no_namespace_is_told() {
        let error = |path: &str| {
            of_file(Path::new(path), NamespaceKind::Net)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error("/etc/passwd"), "`/etc/passwd` is no namespace");
        assert!(error("/proc/self/ns/mnt").contains("is no namespace of kind net: `mnt:["));
        assert!(error("/nowhere").contains("failed to look at"));
        let files = HostFiles::below("/");
        let gone = of_process(&files, Pid(4_194_304), NamespaceKind::Net).unwrap_err();
        assert_eq!(gone.to_string(), "there is no process 4194304");
    }
}
