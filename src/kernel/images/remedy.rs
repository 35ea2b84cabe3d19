// SPDX-License-Identifier: BSD-2-Clause
//! How to get the debug information that is missing: the command of this distribution, and that
//! of debuginfod, whose cache is looked into.

use std::fs;
use std::path::Path;

use super::KernelIdentity;

/// What to do where there is no image of a kernel; `root` is where `/etc` lies.
#[must_use]
pub fn remedy(root: &Path, kernel: &KernelIdentity) -> String {
    let release = &kernel.release;
    let about = fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
    let install = match family(&about) {
        Some("debian") => format!("`apt install linux-image-{release}-dbg` brings it"),
        Some("ubuntu") => format!("`apt install linux-image-{release}-dbgsym` brings it"),
        Some("fedora") => format!("`dnf debuginfo-install kernel-core-{release}` brings it"),
        Some("suse") => "`zypper install kernel-default-debuginfo` brings it".to_owned(),
        _ => "install the kernel's debug package".to_owned(),
    };
    let fetch = kernel.build_id.as_ref().map_or_else(String::new, |id| {
        format!(", or `debuginfod-find debuginfo {id}` fetches it")
    });
    format!("{install}{fetch}, or name its `vmlinux` with -k")
}

/// The distribution that says how packages are called, of those that `os-release` names.
fn family(about: &str) -> Option<&'static str> {
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
    use crate::kernel::images::{BuildId, KernelIdentity};

    fn of(about: &str, build_id: Option<BuildId>) -> String {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/os-release"), about).unwrap();
        let release = "6.12.1-amd64".to_owned();
        remedy(root.path(), &KernelIdentity { release, build_id })
    }

    #[test]
    fn the_command_is_that_of_the_distribution() {
        let id = Some(BuildId(vec![0xab, 0xcd]));
        assert_eq!(
            of("PRETTY_NAME=\"x\"\nID=debian\n", id),
            "`apt install linux-image-6.12.1-amd64-dbg` brings it, or `debuginfod-find debuginfo \
             abcd` fetches it, or name its `vmlinux` with -k"
        );
        assert!(of("ID=ubuntu\nID_LIKE=debian\n", None).contains("dbgsym"));
        assert!(of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", None).contains("dnf"));
        assert!(of("ID=opensuse-leap", None).contains("zypper"));
        for unknown in ["", "ID=", "ID=other", "nonsense"] {
            assert_eq!(
                of(unknown, None),
                "install the kernel's debug package, or name its `vmlinux` with -k"
            );
        }
    }
}
