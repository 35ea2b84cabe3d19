// SPDX-License-Identifier: BSD-2-Clause
//! Control groups: the unified hierarchy, where it is mounted, what is in it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::files::HostFiles;

/// Cgroups that are looked at; a host has some hundreds.
const MAX_CGROUPS: usize = 1 << 18;

/// What of control groups a host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The unified hierarchy (v2), and no other.
    Unified,
    /// The unified one beside others, which have the controllers: who is in which container is
    /// the same in both.
    Hybrid,
    /// Others only (v1): what a task's cgroup is cannot be asked by programs.
    Legacy,
}

/// A hierarchy of cgroups that tells tasks apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// What the host has.
    pub layout: Layout,
    /// Where it is mounted.
    mount: PathBuf,
}

/// A cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// The inode number of its directory, by which programs know it.
    pub id: u64,
    /// Its path from the root of the hierarchy: `/system.slice/ssh.service`.
    pub path: String,
}

impl Hierarchy {
    /// Finds it.
    ///
    /// # Errors
    /// When no hierarchy is mounted.
    pub fn find(files: &HostFiles) -> Result<Self> {
        let mounts = files.read("proc/self/mountinfo").unwrap_or_default();
        let mounts = String::from_utf8_lossy(&mounts);
        let of_kind =
            |kind: &'static str| mounts.lines().filter_map(move |line| mount_of(line, kind));
        let unified = of_kind("cgroup2").next().map(|(mount, _)| mount);
        let mut legacy: Vec<(String, String)> = of_kind("cgroup").collect();
        // systemd's own has every unit; the others are as good.
        legacy.sort_by_key(|(_, options)| !options.contains("name=systemd"));
        let (layout, mount) = match (unified, legacy.first()) {
            (Some(mount), None) => (Layout::Unified, mount),
            (Some(mount), Some(_)) => (Layout::Hybrid, mount),
            (None, Some((mount, _))) => (Layout::Legacy, mount.clone()),
            (None, None) => bail!("no control groups: no file system `cgroup2` is mounted"),
        };
        Ok(Self {
            layout,
            mount: files.path(mount),
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The cgroup that is meant: a path below the mount point, or one from the hierarchy's root.
    ///
    /// # Errors
    /// When there is none, with what is next to it.
    pub fn named(&self, named: &Path) -> Result<String> {
        let below = named.strip_prefix(&self.mount);
        let relative = below.unwrap_or(named);
        let relative = relative.strip_prefix("/").unwrap_or(relative);
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !relative.components().all(is_plain) {
            bail!("`{}` is no path of a cgroup", named.display());
        }
        let text = relative
            .to_str()
            .context("the path of a cgroup is no text")?;
        let directory = self.mount.join(relative);
        let is_cgroup = directory.join("cgroup.procs").exists();
        if !is_cgroup {
            bail!("there is no cgroup `{}`", named.display());
        }
        Ok(format!("/{text}"))
    }

    /// The id of a cgroup, by its path.
    #[must_use]
    pub fn id(&self, path: &str) -> Option<u64> {
        let directory = self.directory(path);
        fs::symlink_metadata(directory)
            .ok()
            .map(|found| found.ino())
    }

    /// Goes through a cgroup and all below it, parents first: `visit` says whether to go on below.
    pub fn walk(&self, path: &str, visit: &mut dyn FnMut(&Cgroup) -> bool) {
        let mut waiting = vec![path.to_owned()];
        let mut n_seen = 0;
        while let Some(path) = waiting.pop() {
            let Some(id) = self.id(&path) else { continue };
            n_seen += 1;
            let cgroup = Cgroup { id, path };
            if n_seen > MAX_CGROUPS || !visit(&cgroup) {
                continue;
            }
            // Only after it is known may it be looked into: who is made in it meanwhile is either
            // seen here, or follows it.
            waiting.extend(self.children(&cgroup.path));
        }
    }

    fn children(&self, path: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.directory(path)) else {
            return Vec::new();
        };
        let directories = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let names = directories.filter_map(|entry| entry.file_name().into_string().ok());
        let parent = path.trim_end_matches('/');
        names.map(|name| format!("{parent}/{name}")).collect()
    }

    fn directory(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }

    /// The processes in a cgroup and below it, as the host numbers them.
    #[must_use]
    pub fn processes(&self, path: &str) -> Vec<u32> {
        let mut pids = Vec::new();
        self.walk(path, &mut |cgroup| {
            let file = self.directory(&cgroup.path).join("cgroup.procs");
            let text = fs::read_to_string(file).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            true
        });
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

/// The last part of a path that is a systemd unit's: the unit that a process belongs to.
#[must_use]
pub fn unit_of(path: &str) -> Option<&str> {
    let suffixes = [".service", ".scope", ".mount", ".socket", ".swap"];
    let mut parts = path.rsplit('/');
    parts.find(|part| suffixes.iter().any(|suffix| part.ends_with(suffix)))
}

/// Mount point and options of a line of `mountinfo`, if it is of this file system.
fn mount_of(line: &str, kind: &str) -> Option<(String, String)> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut file_system = file_system.split(' ');
    if file_system.next()? != kind {
        return None;
    }
    let point = unescaped(mount.split(' ').nth(4)?);
    Some((point, file_system.nth(1)?.to_owned()))
}

/// `\040` and the like of `/proc`.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                plain.push(char::from(code));
                rest = &after[3..];
            }
            None => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Hierarchy, Layout, unescaped, unit_of};
    use crate::target::HostFiles;

    fn host(mounts: &str, cgroups: &[&str]) -> (tempfile::TempDir, HostFiles) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::write(root.path().join("proc/self/mountinfo"), mounts).unwrap();
        for cgroup in cgroups {
            let directory = root.path().join(cgroup);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("cgroup.procs"), "12\n34\n").unwrap();
        }
        let files = HostFiles::below(root.path());
        (root, files)
    }

    const V2: &str = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "36 25 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
        37 25 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
    const BESIDE: &str = "38 25 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_hierarchy_that_tells_tasks_apart_is_found() {
        for (mounts, layout, mount) in [
            (V2.to_owned(), Layout::Unified, "sys/fs/cgroup"),
            (
                format!("{V1}{BESIDE}"),
                Layout::Hybrid,
                "sys/fs/cgroup/unified",
            ),
            (V1.to_owned(), Layout::Legacy, "sys/fs/cgroup/systemd"),
        ] {
            let (root, files) = host(&mounts, &[]);
            let found = Hierarchy::find(&files).unwrap();
            assert_eq!(found.layout, layout);
            assert_eq!(found.mount(), root.path().join(mount));
        }
        let (_root, files) = host("1 2 0:1 / / rw - ext4 /dev/vda rw\nshort\n", &[]);
        assert!(Hierarchy::find(&files).is_err());
    }

    #[test]
    fn a_cgroup_is_named_by_either_path_and_walked_with_all_below() {
        let cgroups = ["sys/fs/cgroup/a.slice/b.service", "sys/fs/cgroup/a.slice"];
        let (root, files) = host(V2, &cgroups);
        let found = Hierarchy::find(&files).unwrap();
        let mounted = root.path().join("sys/fs/cgroup/a.slice");
        for name in [
            mounted.as_path(),
            Path::new("/a.slice"),
            Path::new("a.slice"),
        ] {
            assert_eq!(found.named(name).unwrap(), "/a.slice");
        }
        for bad in ["../../etc", "/a.slice/../..", "nothing"] {
            assert!(found.named(Path::new(bad)).is_err(), "{bad}");
        }
        let mut seen = Vec::new();
        found.walk("/a.slice", &mut |cgroup| {
            seen.push(cgroup.path.clone());
            true
        });
        assert_eq!(seen, ["/a.slice", "/a.slice/b.service"]);
        assert_eq!(found.processes("/a.slice"), [12, 34]);
    }

    #[test]
    fn the_unit_is_the_innermost() {
        let path = "/user.slice/user@0.service/app.slice/run-1.scope/x";
        assert_eq!(unit_of(path), Some("run-1.scope"));
        assert_eq!(unit_of("/kubepods/burstable"), None);
        assert_eq!(unescaped("/a\\040b\\134c\\9"), "/a b\\c\\9");
    }
}
