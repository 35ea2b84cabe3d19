// SPDX-License-Identifier: BSD-2-Clause
//! What a descriptor is: the path of its file, or a name for what has no path.

use super::Area;

/// Offsets in `struct area_file` of `events.h`.
const IS_CUT: usize = 8;
const IS_DELETED: usize = 12;
const TYPE: usize = 16;
const NAMES: usize = 32;

/// Bytes of a name that are read at most, without the NUL (`MAX_FILE_NAME` of `files.bpf.h`).
const MAX_NAME: usize = 71;

/// File systems whose files have no path, and what `/proc/PID/fd` calls those files; `""` if their own
/// name follows in brackets instead of the number of the inode.
const WITHOUT_PATH: &[(&[u8], &str)] = &[
    (b"sockfs", "socket"),
    (b"pipefs", "pipe"),
    (b"anon_inodefs", ""),
    (b"nsfs", "namespace"),
    (b"pidfs", "pidfd"),
];

/// Returns what was read of a descriptor; `None` if nothing was. The traced program may have chosen the
/// names: escape them before output.
pub(super) fn file(area: &Area) -> Option<Vec<u8>> {
    let Area::Bytes(bytes) = area else {
        return None;
    };
    let flag = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes) != 0)
    };
    let inode = u64::from_ne_bytes(*bytes.first_chunk()?);
    let (is_cut, is_deleted) = (flag(IS_CUT)?, flag(IS_DELETED)?);
    let kind = bytes.get(TYPE..NAMES)?.split(|byte| *byte == 0).next()?;
    let names: Vec<&[u8]> = bytes.get(NAMES..)?.split(|byte| *byte == 0).collect();
    // Each name ends with a NUL.
    let names = names.split_last().map_or(&[][..], |(_, names)| names);
    let without = WITHOUT_PATH.iter().find(|(name, _)| *name == kind);
    if let Some((_, what)) = without {
        return Some(without_path(what, names.first().copied(), inode));
    }
    let mut path = Vec::with_capacity(bytes.len());
    if is_cut {
        path.extend(b"...");
    }
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend(*name);
        if name.len() == MAX_NAME {
            path.extend(b"...");
        }
    }
    if path.is_empty() {
        path.push(b'/');
    }
    if is_deleted {
        path.extend(b" (deleted)");
    }
    Some(path)
}

/// Returns `socket:[4711]`, `TCP:[4711]` for a socket that names its protocol, `anon_inode:[eventpoll]`.
fn without_path(what: &str, name: Option<&[u8]>, inode: u64) -> Vec<u8> {
    let name = name.unwrap_or_default();
    if what.is_empty() {
        return [b"anon_inode:", name].concat();
    }
    let what = match name {
        b"" | b"/" => what.as_bytes(),
        // Names of pipes and namespaces are made when they are read.
        name => name,
    };
    [what, b":[", inode.to_string().as_bytes(), b"]"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, is_cut: bool, is_deleted: bool, names: &[&str]) -> String {
        let mut bytes = 4711_u64.to_ne_bytes().to_vec();
        bytes.extend(u32::from(is_cut).to_ne_bytes());
        bytes.extend(u32::from(is_deleted).to_ne_bytes());
        bytes.extend(kind.as_bytes());
        bytes.resize(NAMES, 0);
        for name in names {
            bytes.extend(name.as_bytes());
            bytes.push(0);
        }
        String::from_utf8(file(&Area::Bytes(bytes)).unwrap()).unwrap()
    }

    #[test]
    fn names_from_the_inside_become_a_path() {
        assert_eq!(
            read("ext4", false, false, &["passwd", "etc"]),
            "/etc/passwd"
        );
        assert_eq!(read("ext4", false, false, &[]), "/");
        assert_eq!(
            read("tmpfs", false, true, &["x", "tmp"]),
            "/tmp/x (deleted)"
        );
        assert_eq!(read("ext4", true, false, &["c", "b"]), ".../b/c");
        let long = "n".repeat(MAX_NAME);
        assert_eq!(read("ext4", false, false, &[&long]), format!("/{long}..."));
    }

    #[test]
    fn what_has_no_path_has_a_number_or_a_name() {
        assert_eq!(read("sockfs", false, false, &["NETLINK"]), "NETLINK:[4711]");
        assert_eq!(read("sockfs", false, false, &[""]), "socket:[4711]");
        assert_eq!(read("pipefs", false, false, &[""]), "pipe:[4711]");
        assert_eq!(
            read("anon_inodefs", false, false, &["[eventpoll]"]),
            "anon_inode:[eventpoll]"
        );
    }

    #[test]
    fn of_too_few_bytes_nothing_is_told() {
        for len in 0..NAMES {
            assert_eq!(file(&Area::Bytes(vec![0xff; len])), None, "{len}");
        }
        assert!(file(&Area::Bytes(vec![0xff; 256])).is_some());
        assert_eq!(file(&Area::None), None);
    }
}
