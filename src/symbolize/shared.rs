// SPDX-License-Identifier: BSD-2-Clause
//! The file to which dwz moved the entries that several files have in common (`.gnu_debugaltlink`).
//!
//! Its name comes from a debug file, which is not trusted. It is opened only within the directories
//! that debug files are stored in.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::image::Image;
use super::relocate::RelocationPlacement;

/// Where distributions store debug files.
const DEBUG_ROOT: &str = "/usr/lib/debug";

/// Where dwz stores shared files. Debian's debug files have an absolute path to it.
const DWZ_ROOT: &str = "/usr/lib/debug/.dwz";

/// Maximum length of the name, and of the build id, in bytes (`PATH_MAX`).
const LONGEST_NAME: usize = 4096;

/// The reference to a shared file.
pub(super) struct SharedLink {
    name: PathBuf,
    build_id: Vec<u8>,
}

impl SharedLink {
    /// Reads the section: a name that ends in a zero byte, then a build id.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let (name, build_id) = data.split_at_checked(memchr::memchr(0, data)?)?;
        let (_, build_id) = build_id.split_first()?;
        let is_sane = name.len() <= LONGEST_NAME && build_id.len() <= LONGEST_NAME;
        is_sane.then(|| Self {
            name: PathBuf::from(OsStr::from_bytes(name)),
            build_id: build_id.to_vec(),
        })
    }

    /// Opens the shared file: either the one that `path` names, or the one that is stored by build
    /// id. The build id must match, because another file would give wrong names.
    pub(super) fn open(&self, path: &Path) -> Result<Image, String> {
        // The file itself may be a link. Relative names count from its real directory.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let named = named(&real, &self.name);
        let is_outside = named.is_none();
        let mut places: Vec<PathBuf> = named.into_iter().collect();
        let hex: String = self
            .build_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if let Some((first, rest)) = hex.split_at_checked(2) {
            let place = format!("{DEBUG_ROOT}/.build-id/{first}/{rest}.debug");
            places.push(PathBuf::from(place));
        }
        // The cache of debuginfod clients has a directory for each build id.
        if real.ends_with("debuginfo")
            && let Some(cache) = real.parent().and_then(Path::parent)
        {
            places.push(cache.join(&hex).join("debuginfo"));
        }
        let opened = places.iter().filter_map(|place| {
            Image::open_alone(&place.clone().into(), &RelocationPlacement::Alone).ok()
        });
        let mut fitting = opened.filter(|image| image.build_id() == Some(&self.build_id));
        fitting.next().ok_or_else(|| {
            let why = if is_outside {
                format!("is not below its directory or {DEBUG_ROOT}, and is not opened")
            } else {
                "is not there".to_owned()
            };
            format!(
                "the file that `{}` shares with others, `{}` of build id {hex}, {why}: \
                 some names of inlined functions are missing",
                path.display(),
                self.name.display(),
            )
        })
    }
}

/// Returns the path that a debug file names; `None` if it is outside of the directories that debug
/// files may name.
fn named(real: &Path, name: &Path) -> Option<PathBuf> {
    let directory = real.parent()?;
    let root = match (name.is_absolute(), directory.starts_with(DEBUG_ROOT)) {
        (true, _) => Path::new(DWZ_ROOT),
        (false, true) => Path::new(DEBUG_ROOT),
        (false, false) => directory,
    };
    let place = lexical(&directory.join(name));
    if !place.starts_with(root) {
        return None;
    }
    // Symbolic links must not lead outside either. If the file does not exist, opening it reports
    // that.
    match place.canonicalize() {
        Ok(found) => found
            .starts_with(root.canonicalize().ok()?)
            .then_some(found),
        Err(_) => Some(place),
    }
}

/// Removes `.` and `..` from an absolute path.
fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            component => plain.push(component),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use super::named;

    #[test]
    fn a_shared_file_is_below_the_file_or_where_debug_files_are() {
        let place = |file, name| named(Path::new(file), Path::new(name));
        let below = Some(PathBuf::from("/usr/lib/debug/.dwz/x.debug"));
        let file = "/usr/lib/debug/.build-id/ab/cd.debug";
        assert_eq!(place(file, "../../.dwz/x.debug"), below);
        assert_eq!(place(file, "/usr/lib/debug/.dwz/x.debug"), below);
        assert_eq!(
            place(file, "/usr/lib/debug/.dwz/../../../../dev/full"),
            None
        );
        assert_eq!(place(file, "../../../../../dev/full"), None);
        assert_eq!(place(file, "/dev/full"), None);
        assert_eq!(place("/home/me/a.debug", "../other/b"), None);
        assert_eq!(place("/home/me/a.debug", "/home/me/b"), None);
        let beside = Some(PathBuf::from("/home/me/b"));
        assert_eq!(place("/home/me/a.debug", "b"), beside);
    }

    #[test]
    fn a_link_does_not_lead_out_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        symlink("/dev/full", real.join("common")).unwrap();
        assert_eq!(named(&real.join("a"), Path::new("common")), None);
        fs::remove_file(real.join("common")).unwrap();
        fs::write(real.join("common"), b"").unwrap();
        assert!(named(&real.join("a"), Path::new("common")).is_some());
    }
}
