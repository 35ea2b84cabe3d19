// SPDX-License-Identifier: BSD-2-Clause
//! Reads the facts of a kernel from `/proc`, `/sys` and tracefs, below a root directory.
//!
//! The root is `/` on a live system, and a directory of recorded files in tests. No other code has
//! these paths. This module only calls parsers and does not interpret what it reads.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::absent::AbsentModule;
use super::btf::{Btf, BtfBytes};
use super::kallsyms::Kallsyms;
use super::kcore::Kcore;
use super::preemption::preempts;
use super::traceable::Traceable;
use crate::spec::Pid;

/// The input of a selection.
#[derive(Debug)]
pub struct KernelFacts {
    /// All symbols.
    pub kallsyms: Kallsyms,
    /// The functions that ftrace lists. `None` if the kernel's text is used instead, or if
    /// attaching shows what the kernel refuses.
    pub traceable: Option<Traceable>,
    /// The kernel's memory, to read its text; `None` if it is not readable.
    pub text: Option<Arc<Kcore>>,
    /// The kernel's types; without them no result is judged by its type.
    pub kernel_btf: Option<Arc<Btf>>,
    /// The types of modules by name. Only those of relevant modules are needed.
    pub module_btf: BTreeMap<String, Btf>,
    /// Modules that are not loaded yet. `kallsyms` contains their symbols.
    pub absent: Arc<[AbsentModule]>,
}

/// Mount points of tracefs, the usual one first.
const TRACEFS: [&str; 2] = ["sys/kernel/tracing", "sys/kernel/debug/tracing"];

/// The files of a kernel, live or recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFiles {
    root: PathBuf,
    reads_kcore: bool,
}

impl Default for KernelFiles {
    fn default() -> Self {
        Self::below("/")
    }
}

impl KernelFiles {
    /// Uses the files below `root`.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            reads_kcore: true,
        }
    }

    /// Whether the kernel's memory is read.
    #[must_use]
    pub fn with_kcore(mut self, is_read: bool) -> Self {
        self.reads_kcore = is_read;
        self
    }

    /// The path of `relative`, which has no leading `/`.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Reads `/proc/kallsyms`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or when the kernel hides the addresses.
    pub fn kallsyms(&self) -> Result<Kallsyms> {
        let path = self.path("proc/kallsyms");
        Kallsyms::parse(read(&path)?)
            .with_context(|| format!("`{}` cannot be used", path.display()))
    }

    /// Opens `/proc/kcore`, the kernel's memory.
    ///
    /// # Errors
    ///
    /// As [`Kcore::open`].
    pub fn kcore(&self) -> Result<Kcore> {
        ensure!(self.reads_kcore, "`/proc/kcore` is not read: --no-kcore");
        Kcore::open(&self.path("proc/kcore"))
    }

    /// Reads `available_filter_functions`, the names of what ftrace can trace.
    ///
    /// # Errors
    ///
    /// When the list cannot be read: no tracefs, or no permission.
    pub fn traceable(&self) -> Result<Traceable> {
        self.tracefs("available_filter_functions")
            .map(Traceable::parse)
    }

    /// Reads `available_filter_functions_addrs`, which also has addresses that distinguish
    /// functions of the same name. Since 6.5 (83f74441bcb1, "ftrace: Show all functions with
    /// addresses in `available_filter_functions_addrs`"). Reading it takes 1.5 times as long.
    ///
    /// # Errors
    ///
    /// As [`KernelFiles::traceable`].
    pub fn traceable_addresses(&self) -> Result<Traceable> {
        self.tracefs("available_filter_functions_addrs")
            .map(Traceable::parse)
    }

    /// Reads the list of events that tracefs has, a `category:name` on each line.
    ///
    /// # Errors
    ///
    /// As [`KernelFiles::traceable`].
    pub fn trace_events(&self) -> Result<String> {
        let bytes = self.tracefs("available_events")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads the number and the format of an event; `None` if there is no such event.
    #[must_use]
    pub fn trace_event(&self, category: &str, name: &str) -> Option<(u64, String)> {
        let file = |file| {
            let bytes = self
                .tracefs(&format!("events/{category}/{name}/{file}"))
                .ok()?;
            String::from_utf8(bytes).ok()
        };
        Some((file("id")?.trim().parse().ok()?, file("format")?))
    }

    fn tracefs(&self, file: &str) -> Result<Vec<u8>> {
        let mut denied = None;
        for directory in TRACEFS {
            let path = self.path(directory).join(file);
            match fs::read(&path) {
                Ok(bytes) if !bytes.is_empty() => return Ok(bytes),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    denied.get_or_insert((path, error));
                }
                _ => {}
            }
        }
        match denied {
            Some((path, error)) => {
                Err(error).with_context(|| format!("failed to read `{}`", path.display()))
            }
            None => bail!(
                "no tracefs: `{file}` is neither in `/{}` nor in `/{}`",
                TRACEFS[0],
                TRACEFS[1]
            ),
        }
    }

    /// The mount point of tracefs; `None` if there is none or if it is not accessible.
    #[must_use]
    pub fn tracefs_directory(&self) -> Option<PathBuf> {
        let mut all = TRACEFS.iter().map(|directory| self.path(directory));
        all.find(|directory| directory.join("events").is_dir())
    }

    /// Reads the kernel's type information.
    ///
    /// # Errors
    ///
    /// When the kernel has none (`CONFIG_DEBUG_INFO_BTF`) or when it is malformed.
    pub fn kernel_btf(&self) -> Result<Arc<Btf>> {
        let path = self.path("sys/kernel/btf/vmlinux");
        let mapped = File::open(&path).and_then(|file| BtfBytes::of_kernel(&file));
        let bytes = mapped.or_else(|_| read(&path).map(BtfBytes::from))?;
        let btf = Btf::parse(bytes, None);
        btf.map(Arc::new)
            .with_context(|| format!("failed to understand `{}`", path.display()))
    }

    /// Reads the type information of a module, based on the kernel's.
    ///
    /// # Errors
    ///
    /// When the module has none or when it is malformed.
    pub fn module_btf(&self, module: &str, base: &Arc<Btf>) -> Result<Btf> {
        let path = self.path("sys/kernel/btf").join(module);
        let btf = Btf::parse(read(&path)?, Some(Arc::clone(base)));
        btf.with_context(|| format!("failed to understand `{}`", path.display()))
    }

    /// The names of the modules that have type information, whether it is valid or not.
    #[must_use]
    pub fn modules_with_btf(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("sys/kernel/btf")) else {
            return Vec::new();
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.filter_map(|name| name.into_string().ok());
        names.filter(|name| name != "vmlinux").collect()
    }

    /// The perf event type of single kprobes, and the bit of their configuration that selects
    /// return probes (0 to 63). `None` if the kernel does not have it (`CONFIG_KPROBE_EVENTS`).
    #[must_use]
    pub fn kprobe_pmu(&self) -> Option<(u32, u8)> {
        self.probe_pmu("kprobe")
    }

    /// The same for single uprobes (`CONFIG_UPROBE_EVENTS`).
    #[must_use]
    pub fn uprobe_pmu(&self) -> Option<(u32, u8)> {
        self.probe_pmu("uprobe")
    }

    fn probe_pmu(&self, name: &str) -> Option<(u32, u8)> {
        let devices = self.path("sys/bus/event_source/devices");
        let pmu = devices.join(name);
        let kind = fs::read_to_string(pmu.join("type")).ok()?;
        let bit = fs::read_to_string(pmu.join("format/retprobe")).ok()?;
        let bit = bit.trim().strip_prefix("config:")?.parse().ok()?;
        (bit < 64).then_some((kind.trim().parse().ok()?, bit))
    }

    /// Whether a process with this id exists.
    #[must_use]
    pub fn process_exists(&self, pid: Pid) -> bool {
        self.path(format!("proc/{pid}")).exists()
    }

    /// Whether the kernel may preempt programs of trampolines while they run.
    #[must_use]
    pub fn preempts_programs(&self) -> bool {
        let text = |path| {
            let bytes = read(&self.path(path)).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let version = text("proc/sys/kernel/version").unwrap_or_default();
        preempts(&version, text("sys/kernel/debug/sched/preempt").as_deref())
    }

    /// Number of threads of all processes; `None` if `/proc/loadavg` cannot be read.
    #[must_use]
    pub fn n_threads(&self) -> Option<u32> {
        let text = fs::read_to_string(self.path("proc/loadavg")).ok()?;
        let (_, all) = text.split(' ').nth(3)?.split_once('/')?;
        all.parse().ok()
    }

    /// One more than the number of the last CPU that is online; `None` if sysfs does not tell.
    #[must_use]
    pub fn n_cpus(&self) -> Option<u32> {
        let text = fs::read_to_string(self.path("sys/devices/system/cpu/online")).ok()?;
        let last = text.trim().rsplit([',', '-']).next()?;
        last.parse::<u32>().ok()?.checked_add(1)
    }

    /// The kernel's release, as `uname -r` prints it.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub fn release(&self) -> Result<String> {
        let bytes = read(&self.path("proc/sys/kernel/osrelease"))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))
}

impl KernelFacts {
    /// Reads the types of modules. Returns the names of modules without readable types.
    pub fn add_modules(
        &mut self,
        files: &KernelFiles,
        modules: impl IntoIterator<Item = String>,
    ) -> Vec<String> {
        let mut without = Vec::new();
        for module in modules {
            let base = self.kernel_btf.as_ref();
            let absent = self.absent.iter().find(|absent| absent.name == module);
            let btf = |base| match absent {
                Some(absent) => absent.btf(base),
                None => files.module_btf(&module, base).ok(),
            };
            match base.and_then(btf) {
                Some(btf) => {
                    self.module_btf.insert(module, btf);
                }
                None => without.push(module),
            }
        }
        without
    }
}
