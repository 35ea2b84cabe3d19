// SPDX-License-Identifier: BSD-2-Clause
//! How to get missing debug information: the command of this distribution, or debuginfod.

use std::fs;
use std::path::Path;

/// Describes how to get debug information. `release` is the kernel's release, if known. `root` is
/// the directory that contains `/etc`. `fetch` describes how to download it, if that is possible:
/// `` `--debuginfod` fetches it``.
#[must_use]
pub fn remedy(root: &Path, release: Option<&str>, fetch: Option<&str>) -> String {
    let install = match (release, family(root)) {
        (Some(release), Some("debian")) => {
            format!("`apt install linux-image-{release}-dbg` brings it")
        }
        (Some(release), Some("ubuntu")) => {
            format!("`apt install linux-image-{release}-dbgsym` brings it")
        }
        (Some(release), Some("fedora")) => {
            format!("`dnf debuginfo-install kernel-core-{release}` brings it")
        }
        (Some(_), Some("suse")) => "`zypper install kernel-default-debuginfo` brings it".to_owned(),
        _ => "install the kernel's debug package".to_owned(),
    };
    match fetch {
        Some(fetch) => format!("{install}, or {fetch}"),
        None => install,
    }
}

/// The distribution family that determines the names of packages and servers, according to
/// `os-release` below `root`; `None` if it is unknown.
#[must_use]
pub fn family(root: &Path) -> Option<&'static str> {
    let about = fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
    known_family(&about)
}

/// The first known family among those that `os-release` names.
fn known_family(about: &str) -> Option<&'static str> {
    let value = |name: &str| {
        let mut lines = about.lines();
        lines.find_map(|line| {
            Some(
                line.strip_prefix(name)?
                    .strip_prefix('=')?
                    .trim_matches('"'),
            )
        })
    };
    let names = [value("ID"), value("ID_LIKE")].into_iter().flatten();
    names
        .flat_map(str::split_whitespace)
        .find_map(|name| match name {
            "debian" => Some("debian"),
            "ubuntu" => Some("ubuntu"),
            "fedora" | "rhel" | "centos" => Some("fedora"),
            "suse" | "opensuse" | "opensuse-leap" | "opensuse-tumbleweed" | "sles" => Some("suse"),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::remedy;

    fn of(about: &str, fetch: Option<&str>) -> String {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/os-release"), about).unwrap();
        remedy(root.path(), Some("6.12.1-amd64"), fetch)
    }

    #[test]
    fn the_command_is_that_of_the_distribution() {
        let fetch = Some("`--debuginfod` fetches it");
        assert_eq!(
            of("PRETTY_NAME=\"x\"\nID=debian\n", fetch),
            "`apt install linux-image-6.12.1-amd64-dbg` brings it, or `--debuginfod` fetches it"
        );
        assert!(of("ID=ubuntu\nID_LIKE=debian\n", None).contains("dbgsym"));
        assert!(of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", None).contains("dnf"));
        assert!(of("ID=opensuse-leap", None).contains("zypper"));
        for unknown in ["", "ID=", "ID=other", "nonsense"] {
            assert_eq!(of(unknown, None), "install the kernel's debug package");
        }
    }
}
