// SPDX-License-Identifier: BSD-2-Clause
//! Control groups: their hierarchies, the mount points, and the groups in them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::files::HostFiles;
use super::owner::Owner;

/// Maximum number of cgroups that are visited. A host has some hundreds.
const MAX_CGROUPS: usize = 1 << 18;

/// Which hierarchies of control groups a host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupLayout {
    /// Only the unified hierarchy (v2).
    Unified,
    /// The unified hierarchy, and v1 hierarchies that have the controllers. Containers have the
    /// same tasks in both.
    Hybrid,
    /// Only v1 hierarchies. BPF programs cannot read the cgroup of a task.
    Legacy,
}

/// A hierarchy of cgroups that identifies the workload of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Which hierarchies the host has.
    pub layout: CgroupLayout,
    /// Mount point of the hierarchy.
    mount: PathBuf,
    /// Mount point of the v1 hierarchy, if the host has both.
    beside: Option<PathBuf>,
}

/// A control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Inode number of its directory, which is the id that BPF programs see.
    pub id: u64,
    /// Path from the root of the hierarchy: `/system.slice/ssh.service`.
    pub path: String,
    /// Who created it.
    pub maker: Owner,
}

impl Hierarchy {
    /// Finds the hierarchy in `/proc/self/mountinfo`.
    ///
    /// # Errors
    ///
    /// When no hierarchy is mounted.
    pub fn find(files: &HostFiles) -> Result<Self> {
        let mounts = files.read("proc/self/mountinfo").unwrap_or_default();
        let mounts = String::from_utf8_lossy(&mounts);
        let of_kind = |kind: &'static str| {
            let mut found: Vec<Mount> = mounts
                .lines()
                .filter_map(|line| mount_of(line, kind))
                .collect();
            // Mounts of the whole hierarchy are preferred to those of a part. Among v1 hierarchies,
            // that of systemd has every unit. The others are equivalent.
            found.sort_by_key(|mount| (!mount.is_whole, !mount.options.contains("name=systemd")));
            let paths = found.into_iter().map(|mount| files.path(mount.point));
            paths.into_iter().find(|path| files.has(path))
        };
        let (layout, mount, beside) = match (of_kind("cgroup2"), of_kind("cgroup")) {
            (Some(mount), None) => (CgroupLayout::Unified, mount, None),
            (Some(mount), beside) => (CgroupLayout::Hybrid, mount, beside),
            (None, Some(mount)) => (CgroupLayout::Legacy, mount, None),
            (None, None) => bail!("no control groups: no file system `cgroup2` is mounted"),
        };
        Ok(Self {
            layout,
            mount,
            beside,
        })
    }

    /// The v1 hierarchy of a hybrid host; `None` on other hosts.
    #[must_use]
    pub fn beside(&self) -> Option<Self> {
        self.beside.clone().map(|mount| Self {
            layout: CgroupLayout::Legacy,
            mount,
            beside: None,
        })
    }

    /// The mount point.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// Returns the path of a cgroup from the root of the hierarchy. `named` is such a path, or one
    /// below the mount point.
    ///
    /// # Errors
    ///
    /// When there is no such cgroup, or when the path is malformed.
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

    /// Visits a cgroup and all below it, parents first. `visit` returns whether to descend.
    pub fn walk(&self, path: &str, visit: &mut dyn FnMut(&Cgroup) -> bool) {
        self.walk_directories(path, &mut |cgroup, _| visit(cgroup));
    }

    /// As [`Self::walk`], with the directory of each cgroup.
    fn walk_directories(&self, path: &str, visit: &mut dyn FnMut(&Cgroup, &Path) -> bool) {
        let host = owner_of(&self.mount).unwrap_or_default();
        let top = self.directory(path);
        let parent = top.parent().and_then(owner_of).unwrap_or(host);
        let parent = if top == self.mount { host } else { parent };
        let mut waiting = vec![(top, parent)];
        let mut n_seen = 0;
        while let Some((directory, maker)) = waiting.pop() {
            let Ok(found) = fs::symlink_metadata(&directory) else {
                continue;
            };
            n_seen += 1;
            let path = self.path_of(&directory);
            let cgroup = Cgroup {
                id: found.ino(),
                maker: Owner::of(&path, maker, host),
                path,
            };
            if n_seen > MAX_CGROUPS || !found.is_dir() || !visit(&cgroup, &directory) {
                continue;
            }
            // The children are read after the visit. A cgroup that is created meanwhile is either
            // found here, or created after its parent was visited.
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            waiting.extend(inner.map(|entry| (entry.path(), found.uid())));
        }
    }

    /// Who created the cgroup with this path. If it no longer exists, its remaining parents decide.
    #[must_use]
    pub fn maker(&self, path: &str) -> Owner {
        let host = owner_of(&self.mount).unwrap_or_default();
        let directory = self.directory(path);
        let parents = directory.ancestors().skip(1);
        let mut parents = parents.take_while(|parent| parent.starts_with(&self.mount));
        let uid = parents.find_map(owner_of).unwrap_or(host);
        Owner::of(path, uid, host)
    }

    /// The path as text. Whoever may create cgroups may give them names that are not UTF-8.
    fn path_of(&self, directory: &Path) -> String {
        let relative = directory.strip_prefix(&self.mount).unwrap_or(directory);
        format!("/{}", relative.to_string_lossy())
    }

    fn directory(&self, path: &str) -> PathBuf {
        let relative = path.trim_start_matches('/');
        if relative.is_empty() {
            self.mount.clone()
        } else {
            self.mount.join(relative)
        }
    }

    /// The ids of the processes in a cgroup and below it, in the initial PID namespace, sorted.
    #[must_use]
    pub fn processes(&self, path: &str) -> Vec<u32> {
        let mut pids = Vec::new();
        self.walk_directories(path, &mut |_, directory| {
            let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            true
        });
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

fn owner_of(directory: &Path) -> Option<u32> {
    let found = fs::symlink_metadata(directory).ok()?;
    Some(found.uid())
}

/// The last component of a path that is a systemd unit: the unit that a process belongs to.
#[must_use]
pub fn unit_of(path: &str) -> Option<&str> {
    let suffixes = [".service", ".scope", ".mount", ".socket", ".swap"];
    let mut parts = path.rsplit('/');
    parts.find(|part| suffixes.iter().any(|suffix| part.ends_with(suffix)))
}

/// A mount in `mountinfo`.
struct Mount {
    point: String,
    /// Whether the root of the hierarchy is mounted, as opposed to a part of it.
    is_whole: bool,
    options: String,
}

/// Parses a line of `mountinfo`; `None` if the file system is of another type.
fn mount_of(line: &str, kind: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut file_system = file_system.split(' ');
    if file_system.next()? != kind {
        return None;
    }
    let mut mount = mount.split(' ').skip(3);
    Some(Mount {
        is_whole: mount.next()? == "/",
        point: unescaped(mount.next()?),
        options: file_system.nth(1)?.to_owned(),
    })
}

/// Decodes octal escapes of `/proc`, such as `\040`.
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
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{CgroupLayout, Hierarchy, unescaped, unit_of};
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
            (V2.to_owned(), CgroupLayout::Unified, "sys/fs/cgroup"),
            (
                format!("{V1}{BESIDE}"),
                CgroupLayout::Hybrid,
                "sys/fs/cgroup/unified",
            ),
            (V1.to_owned(), CgroupLayout::Legacy, "sys/fs/cgroup/systemd"),
        ] {
            let below = ["pids", "systemd", "unified"].map(|name| format!("sys/fs/cgroup/{name}"));
            let (root, files) = host(&mounts, &below.each_ref().map(String::as_str));
            let found = Hierarchy::find(&files).unwrap();
            assert_eq!(found.layout, layout);
            assert_eq!(found.mount(), root.path().join(mount));
        }
        let (_root, files) = host("1 2 0:1 / / rw - ext4 /dev/vda rw\nshort\n", &[]);
        assert!(Hierarchy::find(&files).is_err());
    }

    #[test]
    fn the_whole_of_it_is_preferred_to_a_part_and_none_outside_of_the_root_is_taken() {
        let part = "30 24 0:30 /box /run/box rw - cgroup2 cgroup2 rw\n";
        let (root, files) = host(&format!("{part}{V2}"), &["run/box", "sys/fs/cgroup"]);
        let found = Hierarchy::find(&files).unwrap();
        assert_eq!(found.mount(), root.path().join("sys/fs/cgroup"));
        assert!(found.beside().is_none());

        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().display();
        let up = "/..".repeat(20);
        let up = format!("35 24 0:30 / {up}{path} rw - cgroup2 cgroup2 rw\n");
        let (_root, files) = host(&up, &[]);
        assert!(Hierarchy::find(&files).is_err());
        let (root, files) = host(V2, &["sys/fs"]);
        symlink(outside.path(), root.path().join("sys/fs/cgroup")).unwrap();
        assert!(Hierarchy::find(&files).is_err());
    }

    #[test]
    fn both_hierarchies_of_a_hybrid_host_can_be_asked() {
        let cgroups = ["sys/fs/cgroup/unified/a", "sys/fs/cgroup/systemd/b"];
        let (_root, files) = host(&format!("{V1}{BESIDE}"), &cgroups);
        let found = Hierarchy::find(&files).unwrap();
        assert!(found.named(Path::new("/a")).is_ok() && found.named(Path::new("/b")).is_err());
        let beside = found.beside().unwrap();
        assert_eq!(beside.layout, CgroupLayout::Legacy);
        assert!(beside.named(Path::new("/b")).is_ok());
    }

    #[test]
    fn a_cgroup_whose_name_is_no_text_hides_nothing() {
        let (root, files) = host(V2, &["sys/fs/cgroup"]);
        let odd = OsStr::from_bytes(b"odd\xff");
        let inner = root.path().join("sys/fs/cgroup").join(odd).join("inner");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("cgroup.procs"), "56\n").unwrap();
        let found = Hierarchy::find(&files).unwrap();
        assert_eq!(found.processes("/"), [12, 34, 56]);
        let mut seen = Vec::new();
        found.walk("/", &mut |cgroup| {
            seen.push(cgroup.path.clone());
            true
        });
        assert_eq!(seen, ["/", "/odd\u{fffd}", "/odd\u{fffd}/inner"]);
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
