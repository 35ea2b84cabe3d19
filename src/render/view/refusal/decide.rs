// SPDX-License-Identifier: BSD-2-Clause
//! What the noted values say: which rule it was, in words. A note that does not explain the error
//! decides nothing.

use std::fmt::Write;

use super::modules;
use crate::knowledge::refusals::RefusalClass;
use crate::spec::{NoteSource, NoteValue};

const EPERM: u16 = 1;
const EACCES: u16 = 13;
const EROFS: u16 = 30;

/// Bits of a wanted access (`MAY_*` of `include/linux/fs.h`).
const MAY_EXEC: u64 = 1;
const MAY_WRITE: u64 = 2;
const MAY_READ: u64 = 4;

/// Flags of an inode (`S_*`).
const S_APPEND: u64 = 1 << 2;
const S_IMMUTABLE: u64 = 1 << 3;

/// Flags of a mount (`MNT_*` of `include/linux/mount.h`), and of a super block.
const MNT_NODEV: u64 = 0x02;
const MNT_NOEXEC: u64 = 0x04;
const SB_RDONLY: u64 = 1;

/// Bits of a mode.
const S_IFMT: u64 = 0o170_000;
const S_IFDIR: u64 = 0o040_000;
const S_IFCHR: u64 = 0o020_000;
const S_IFBLK: u64 = 0o060_000;
const S_ISVTX: u64 = 0o001_000;

/// `O_NOATIME`.
const O_NOATIME: u64 = 0o1_000_000;

/// The values of a note, by name.
pub(super) struct Facts<'a> {
    pub(super) source: &'a NoteSource,
    values: &'a [NoteValue],
}

impl<'a> Facts<'a> {
    pub(super) fn new(source: &'a NoteSource, values: &'a [NoteValue]) -> Self {
        Self { source, values }
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a NoteValue> {
        let index = self
            .source
            .fields
            .iter()
            .position(|field| field.name == name)?;
        self.values.get(index)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.number()
    }

    /// Returns whether the number has one of these bits; false if it is not known.
    pub(super) fn has(&self, name: &str, bits: u64) -> bool {
        self.number(name).is_some_and(|number| number & bits != 0)
    }

    /// Returns the text, `?` if it is not known.
    pub(super) fn text(&self, name: &str) -> String {
        let text = self.value(name).and_then(NoteValue::text);
        text.map_or_else(
            || "?".to_owned(),
            |text| String::from_utf8_lossy(text).into_owned(),
        )
    }

    /// Returns the text in quotes; `None` if it is not known, or empty.
    pub(super) fn quoted(&self, name: &str) -> Option<String> {
        let text = self.value(name).and_then(NoteValue::text)?;
        Some(format!("\"{}\"", String::from_utf8_lossy(text)))
    }

    /// Returns a number or a name, `?` if it is not known.
    pub(super) fn shown(&self, name: &str) -> String {
        match self.value(name) {
            Some(NoteValue::Signed(number)) => number.to_string(),
            Some(NoteValue::Unsigned(number)) => number.to_string(),
            Some(NoteValue::Hex(number)) => format!("{number:#x}"),
            Some(NoteValue::Octal(number)) => format!("{:04o}", number & 0o7777),
            Some(NoteValue::Named(_, name)) => name.clone(),
            _ => "?".to_owned(),
        }
    }

    /// ` of "NAME"`; empty if the name is not known.
    pub(super) fn of_name(&self) -> String {
        match self.value("name").and_then(NoteValue::text) {
            Some(name) => format!(" of \"{}\"", String::from_utf8_lossy(name)),
            None => String::new(),
        }
    }

    fn differ(&self, one: &str, other: &str) -> bool {
        self.number(one)
            .zip(self.number(other))
            .is_some_and(|(one, other)| one != other)
    }
}

/// Returns class and words of a refusal with this error, by what the function or event `source`
/// has noted; `None` if that does not explain it.
pub(super) fn decide(
    source: &str,
    errno: u16,
    facts: &Facts<'_>,
) -> Option<(RefusalClass, String)> {
    match source {
        "cap_capable" => Some(capability(facts)),
        "generic_permission" if errno == EACCES => Some(mode(facts)),
        "inode_permission" => inode(errno, facts),
        "may_open" => open(errno, facts),
        "may_delete" | "may_delete_dentry" if errno == EPERM => delete(facts),
        "may_setattr" | "notify_change" if errno == EPERM => flags("iflags", facts),
        "setattr_prepare" if errno == EPERM && facts.differ("uid", "fsuid") => Some((
            RefusalClass::Owner,
            format!(
                "only the owner{} may, uid {}; asked by uid {}",
                facts.of_name(),
                facts.shown("uid"),
                facts.shown("fsuid")
            ),
        )),
        "path_noexec" if facts.has("mntflags", MNT_NOEXEC) => Some((
            RefusalClass::NoExec,
            format!("the mount{}", facts.of_name()),
        )),
        "mnt_want_write" | "mnt_want_write_file" if errno == EROFS => Some(read_only(facts)),
        "audit_log_path_denied" => protected(facts),
        "security_locked_down" => Some((RefusalClass::Lockdown, facts.shown("reason"))),
        "yama_ptrace_access_check" => Some((
            RefusalClass::Yama,
            format!(
                "kernel.yama.ptrace_scope forbids access to process {} ({})",
                facts.shown("pid"),
                facts.text("target")
            ),
        )),
        "devcgroup_check_permission" | "__cgroup_bpf_check_dev_permission" => Some(device(facts)),
        "hook_file_open" => Some((
            RefusalClass::Landlock,
            format!("opening{}", facts.of_name()),
        )),
        _ => modules::decide(source, errno, facts),
    }
}

fn capability(facts: &Facts<'_>) -> (RefusalClass, String) {
    let namespace = match facts.number("level") {
        Some(0) => "the initial user namespace".to_owned(),
        _ => format!("user namespace {}", facts.shown("userns")),
    };
    let words = format!(
        "{} in {namespace}; asked with effective uid {}",
        facts.shown("capability"),
        facts.shown("euid")
    );
    (RefusalClass::Capability, words)
}

/// What an access asks for: `reading and executing`.
fn wanted(mask: u64, is_directory: bool) -> String {
    let execute = if is_directory {
        "searching"
    } else {
        "executing"
    };
    let all = [
        (MAY_READ, "reading"),
        (MAY_WRITE, "writing"),
        (MAY_EXEC, execute),
    ];
    let wanted = all.iter().filter(|(bit, _)| mask & bit != 0);
    let wanted: Vec<&str> = wanted.map(|(_, word)| *word).collect();
    wanted.join(" and ")
}

fn mode(facts: &Facts<'_>) -> (RefusalClass, String) {
    let mut words = format!(
        "mode {}{}, owner {}:{}",
        facts.shown("mode"),
        facts.of_name(),
        facts.shown("uid"),
        facts.shown("gid")
    );
    if let Some(mask) = facts.number("mask") {
        // Writing to a `String` cannot fail.
        let mode = facts.number("mode").unwrap_or_default();
        let is_directory = mode & S_IFMT == S_IFDIR;
        let _ = write!(words, "; {} wanted", wanted(mask, is_directory));
    }
    let _ = write!(
        words,
        " by uid {}, gid {}",
        facts.shown("fsuid"),
        facts.shown("fsgid")
    );
    (RefusalClass::FileMode, words)
}

fn inode(errno: u16, facts: &Facts<'_>) -> Option<(RefusalClass, String)> {
    if !facts.has("mask", MAY_WRITE) {
        return None;
    }
    if errno == EROFS && facts.has("sbflags", SB_RDONLY) {
        return Some(read_only(facts));
    }
    if errno == EPERM && facts.has("iflags", S_IMMUTABLE) {
        return flags("iflags", facts);
    }
    None
}

fn open(errno: u16, facts: &Facts<'_>) -> Option<(RefusalClass, String)> {
    let kind = facts.number("mode").unwrap_or_default() & S_IFMT;
    if errno == EACCES && (kind == S_IFCHR || kind == S_IFBLK) && facts.has("mntflags", MNT_NODEV) {
        return Some((RefusalClass::NoDev, format!("the mount{}", facts.of_name())));
    }
    if errno == EACCES && facts.has("acc_mode", MAY_EXEC) && facts.has("mntflags", MNT_NOEXEC) {
        return Some((
            RefusalClass::NoExec,
            format!("the mount{}", facts.of_name()),
        ));
    }
    if errno == EPERM && facts.has("iflags", S_APPEND) {
        return flags("iflags", facts);
    }
    if errno == EPERM && facts.has("flag", O_NOATIME) && facts.differ("uid", "fsuid") {
        let words = format!(
            "only the owner{} may open it with O_NOATIME, uid {}; asked by uid {}",
            facts.of_name(),
            facts.shown("uid"),
            facts.shown("fsuid")
        );
        return Some((RefusalClass::Owner, words));
    }
    None
}

fn delete(facts: &Facts<'_>) -> Option<(RefusalClass, String)> {
    if let Some(found) = flags("iflags", facts) {
        return Some(found);
    }
    if facts.has("dirflags", S_APPEND) {
        return Some((
            RefusalClass::AppendOnly,
            format!("the directory{}", facts.of_name()),
        ));
    }
    let is_sticky = facts.has("dirmode", S_ISVTX);
    if is_sticky && facts.differ("uid", "fsuid") && facts.differ("diruid", "fsuid") {
        let words = format!(
            "in a sticky directory (mode {}) only the owners{} and of the directory may, uids {} and \
             {}; asked by uid {}",
            facts.shown("dirmode"),
            facts.of_name(),
            facts.shown("uid"),
            facts.shown("diruid"),
            facts.shown("fsuid")
        );
        return Some((RefusalClass::Owner, words));
    }
    None
}

/// The flags of a file that forbid changes.
fn flags(name: &str, facts: &Facts<'_>) -> Option<(RefusalClass, String)> {
    let file = match facts.value("name").and_then(NoteValue::text) {
        Some(name) => format!("\"{}\"", String::from_utf8_lossy(name)),
        None => String::new(),
    };
    if facts.has(name, S_IMMUTABLE) {
        return Some((RefusalClass::Immutable, file));
    }
    facts
        .has(name, S_APPEND)
        .then_some((RefusalClass::AppendOnly, file))
}

fn read_only(facts: &Facts<'_>) -> (RefusalClass, String) {
    let what = if facts.has("sbflags", SB_RDONLY) {
        "the file system is read-only"
    } else {
        "the mount is read-only"
    };
    (
        RefusalClass::ReadOnly,
        format!("{what} ({})", facts.text("fs")),
    )
}

fn protected(facts: &Facts<'_>) -> Option<(RefusalClass, String)> {
    let operation = facts.text("operation");
    let setting = match operation.as_str() {
        "follow_link" => "fs.protected_symlinks",
        "linkat" => "fs.protected_hardlinks",
        "sticky_create_fifo" => "fs.protected_fifos",
        "sticky_create_regular" => "fs.protected_regular",
        "sticky_create" => "fs.protected_fifos or fs.protected_regular",
        _ => return None,
    };
    Some((RefusalClass::ProtectedLinks, setting.to_owned()))
}

fn device(facts: &Facts<'_>) -> (RefusalClass, String) {
    // `DEVCG_DEV_BLOCK`, `DEVCG_DEV_CHAR`; `DEVCG_ACC_*`.
    let kind = match facts.number("type").map(|kind| kind & 0xffff) {
        Some(1) => "block",
        Some(2) => "character",
        _ => "",
    };
    let all = [(1, "mknod"), (2, "reading"), (4, "writing")];
    let access = facts.number("access").unwrap_or_default();
    let access = all.iter().filter(|(bit, _)| access & bit != 0);
    let access: Vec<&str> = access.map(|(_, word)| *word).collect();
    let words = format!(
        "{kind} device {}:{}, {}",
        facts.shown("major"),
        facts.shown("minor"),
        access.join(" and ")
    );
    (RefusalClass::DeviceCgroup, words)
}
