// SPDX-License-Identifier: BSD-2-Clause
//! Settings of the machine that affect tracing: sysctls, security modules, the processor. This
//! module parses `/proc` and `/sys` and does not judge the values.

use std::fs::{self, File};
use std::io::{self, Read};

use super::facts::KernelFiles;

/// The values that were read; `None` if a value is not available.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// `kernel.kptr_restrict`: who may see addresses.
    pub kptr_restrict: Option<i64>,
    /// `kernel.perf_event_paranoid`: what users without privileges may do with perf.
    pub perf_event_paranoid: Option<i64>,
    /// `kernel.unprivileged_bpf_disabled`: whether users without privileges may load BPF programs.
    pub unprivileged_bpf_disabled: Option<i64>,
    /// `net.core.bpf_jit_enable`: whether BPF programs are compiled.
    pub bpf_jit_enable: Option<i64>,
    /// The active security modules, in the kernel's order.
    pub security_modules: Option<Vec<String>>,
    /// Number of last branches that the processor records; `None` if it records none.
    pub last_branches: Option<u32>,
    /// Name of the processor, from `/proc/cpuinfo`.
    pub processor: Option<String>,
    /// Why `/proc/kcore` cannot be read; `None` if it can.
    pub kcore_problem: Option<String>,
    /// Number of modules with type information of their own.
    pub modules_with_types: usize,
}

impl HostSettings {
    /// Reads all settings.
    #[must_use]
    pub fn read(files: &KernelFiles) -> Self {
        let text = |path: &str| fs::read_to_string(files.path(path)).ok();
        let number = |path: &str| text(path).and_then(|text| text.trim().parse().ok());
        let modules = text("sys/kernel/security/lsm")
            .map(|list| list.trim().split(',').map(str::to_owned).collect());
        Self {
            kptr_restrict: number("proc/sys/kernel/kptr_restrict"),
            perf_event_paranoid: number("proc/sys/kernel/perf_event_paranoid"),
            unprivileged_bpf_disabled: number("proc/sys/kernel/unprivileged_bpf_disabled"),
            bpf_jit_enable: number("proc/sys/net/core/bpf_jit_enable"),
            security_modules: modules,
            last_branches: text("sys/bus/event_source/devices/cpu/caps/branches")
                .and_then(|number| number.trim().parse().ok())
                .filter(|&number| number > 0),
            processor: text("proc/cpuinfo").as_deref().and_then(processor),
            kcore_problem: kcore(files).err().map(|error| error.to_string()),
            modules_with_types: files.modules_with_btf().len(),
        }
    }
}

/// The name of the first processor in `/proc/cpuinfo`.
fn processor(cpuinfo: &str) -> Option<String> {
    let mut lines = cpuinfo.lines();
    let line = lines.find(|line| line.starts_with("model name"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.trim().to_owned())
}

/// Checks that `/proc/kcore` can be opened and read. Lockdown makes the open fail.
fn kcore(files: &KernelFiles) -> io::Result<()> {
    let mut magic = [0; 4];
    File::open(files.path("proc/kcore"))?.read_exact(&mut magic)?;
    if &magic == b"\x7fELF" {
        Ok(())
    } else {
        Err(io::Error::other("not an ELF file"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::HostSettings;
    use crate::kernel::facts::KernelFiles;

    #[test]
    fn settings_are_read_where_they_are() {
        let root = tempfile::tempdir().unwrap();
        let files = KernelFiles::below(root.path());
        let nothing = HostSettings::read(&files);
        assert_eq!(nothing.kptr_restrict, None);
        assert!(nothing.kcore_problem.is_some());
        for (path, text) in [
            ("proc/sys/kernel/kptr_restrict", "2\n"),
            ("proc/sys/kernel/perf_event_paranoid", "-1\n"),
            ("sys/kernel/security/lsm", "lockdown,capability,bpf\n"),
            ("sys/bus/event_source/devices/cpu/caps/branches", "32\n"),
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: Some CPU\nmodel name\t: x\n",
            ),
            ("proc/kcore", "\x7fELF and so on"),
            ("sys/kernel/btf/vmlinux", ""),
            ("sys/kernel/btf/xfs", ""),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let read = HostSettings::read(&files);
        assert_eq!(
            (read.kptr_restrict, read.perf_event_paranoid),
            (Some(2), Some(-1))
        );
        assert_eq!(
            read.security_modules.unwrap(),
            ["lockdown", "capability", "bpf"]
        );
        assert_eq!(read.last_branches, Some(32));
        assert_eq!(read.processor.as_deref(), Some("Some CPU"));
        assert_eq!(read.kcore_problem, None);
        assert_eq!(read.modules_with_types, 1);
    }
}
