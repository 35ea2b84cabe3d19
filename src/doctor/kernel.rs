// SPDX-License-Identifier: BSD-2-Clause
//! Checks of the kernel: types, symbols, traceable functions, BPF helpers and maps.

use std::io;
use std::sync::Arc;

use crate::kernel::btf::Btf;
use crate::kernel::facts::KernelFiles;
use crate::kernel::host_settings::HostSettings;
use crate::kernel::symbols::SymbolReader;
use crate::render::{Check, CheckSection, CheckState};

/// The kernel's types, or why they cannot be read.
pub(crate) struct KernelTypes(pub(crate) Result<Arc<Btf>, String>);

impl KernelTypes {
    pub(crate) fn read(files: &KernelFiles) -> Self {
        Self(files.kernel_btf().map_err(|error| format!("{error:#}")))
    }

    /// Returns whether an enum of the kernel has a value of this name; `None` if the types do not
    /// tell.
    fn knows(&self, enumeration: &str, value: &str) -> Option<bool> {
        let btf = self.0.as_ref().ok()?;
        if btf.enum_value(enumeration, value).is_some() {
            return Some(true);
        }
        // If the enum itself is missing, the value may exist nevertheless.
        btf.has_type(enumeration).then_some(false)
    }
}

fn check(id: &str, title: &str, state: CheckState, found: impl Into<String>) -> Check {
    Check::new(CheckSection::Kernel, id, title, state, found)
}

/// The number of the kernel's symbols, and how they are read.
pub(crate) struct Symbols {
    number: Result<usize, String>,
    /// Why the text of `/proc/kallsyms` is used; `None` if the symbols are in the kernel's memory.
    why_text: Option<String>,
    /// Whether the kernel's text can be read, which shows what is traceable.
    reads_memory: bool,
}

impl Symbols {
    pub(crate) fn read(files: &KernelFiles) -> Self {
        let kcore = files.kcore().map(Arc::new);
        let reads_memory = kcore.is_ok();
        let mut reader = SymbolReader::new(files, kcore);
        let symbols = reader.of_kernel();
        Self {
            number: symbols
                .map(|symbols| symbols.len())
                .map_err(|error| format!("{error:#}")),
            why_text: reader.why_text().map(str::to_owned),
            reads_memory,
        }
    }

    /// Returns true if the permission to read `/proc/kallsyms` matters.
    pub(crate) fn needs_text(&self) -> bool {
        self.why_text.is_some()
    }
}

pub(crate) fn checks(
    files: &KernelFiles,
    host_settings: &HostSettings,
    types: &KernelTypes,
    read: &Symbols,
) -> Vec<Check> {
    vec![
        btf(types, host_settings),
        symbols(read),
        traceable(files, read.reads_memory),
        ring_buffer(types),
        cookies(types),
        jit(host_settings.bpf_jit_enable),
        lsm(host_settings.security_modules.as_deref()),
        last_branches(host_settings.last_branches, types),
    ]
}

fn btf(types: &KernelTypes, host_settings: &HostSettings) -> Check {
    let (state, found) = match &types.0 {
        Ok(btf) => (
            CheckState::Ok,
            format!(
                "{} types; {} modules with types of their own",
                btf.type_count(),
                host_settings.modules_with_types
            ),
        ),
        Err(why) => (CheckState::Missing, why.clone()),
    };
    check("btf", "BTF", state, found)
        .essential()
        .cost("nothing can be traced: results are judged by their types")
        .hint("the kernel must be built with `CONFIG_DEBUG_INFO_BTF`")
}

fn symbols(read: &Symbols) -> Check {
    let (state, found) = match (&read.number, &read.why_text) {
        (Ok(number), None) => (
            CheckState::Ok,
            format!("{number} symbols, from the kernel's memory"),
        ),
        (Ok(number), Some(why)) => (
            CheckState::Ok,
            format!("{number} symbols, from `/proc/kallsyms` ({why})"),
        ),
        (Err(error), _) => (CheckState::Missing, error.clone()),
    };
    check("symbols", "symbols", state, found)
        .essential()
        .cost("nothing can be traced: functions are attached to by their addresses")
        .hint("it takes CAP_SYSLOG and `sysctl kernel.kptr_restrict=1` (or 0)")
}

/// Checks ftrace's list. It is essential only if the kernel's text cannot be read.
fn traceable(files: &KernelFiles, reads_text: bool) -> Check {
    let traceable = files.traceable();
    let is_denied = traceable.as_ref().is_err_and(is_permission);
    let (state, found) = match traceable {
        Ok(functions) => (
            CheckState::Ok,
            format!("{} traceable functions", functions.len()),
        ),
        Err(error) if reads_text => (CheckState::Limited, format!("{error:#}")),
        Err(error) => (CheckState::Missing, format!("{error:#}")),
    };
    let hint = if is_denied {
        "run as root: it is root's to read"
    } else {
        "mount it: `mount -t tracefs tracefs /sys/kernel/tracing`"
    };
    let check = check("tracefs", "tracefs", state, found).hint(hint);
    if reads_text {
        check.cost("functions that share their name are left out")
    } else {
        check
            .essential()
            .cost("nothing can be traced: which functions can be is not known")
    }
}

fn is_permission(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
    })
}

fn by_type(known: Option<bool>, since: &str) -> (CheckState, String) {
    match known {
        Some(true) => (CheckState::Ok, "yes".to_owned()),
        Some(false) => (
            CheckState::Missing,
            format!("no: kernels have it from {since} on"),
        ),
        None => (
            CheckState::Unknown,
            "the kernel's types do not tell".to_owned(),
        ),
    }
}

/// Since 5.8 (457f44363a88, "bpf: Implement BPF ring buffer and verifier support for it").
fn ring_buffer(types: &KernelTypes) -> Check {
    let known = types.knows("bpf_map_type", "BPF_MAP_TYPE_RINGBUF");
    let (state, found) = by_type(known, "5.8");
    check("ring_buffer", "BPF ring buffer", state, found)
        .essential()
        .cost("nothing can be traced: there is no way for sessions to reach us")
        .hint("a kernel from 5.10 on is needed")
}

/// Since 5.15 (7adfc6c9b315, "bpf: Add `bpf_get_attach_cookie()` BPF helper to access `bpf_cookie`
/// value"). Only kprobe back ends use cookies. Kernels with links for many kprobes (5.18) have
/// cookies.
fn cookies(types: &KernelTypes) -> Check {
    let known = types.knows("bpf_func_id", "BPF_FUNC_get_attach_cookie");
    let (state, found) = by_type(known, "5.15");
    check("cookies", "BPF cookies", state, found)
        .cost("nothing where functions are attached one by one: each has programs of its own")
}

fn jit(enabled: Option<i64>) -> Check {
    let (state, found) = match enabled {
        Some(0) => (CheckState::Limited, "off".to_owned()),
        Some(_) => (CheckState::Ok, "on".to_owned()),
        // Only root can read the file.
        None => (CheckState::Unknown, "not shown".to_owned()),
    };
    check("jit", "BPF JIT compiler", state, found)
        .cost("no back end fentry, and programs that are interpreted cost ten times as much")
        .hint("`sysctl net.core.bpf_jit_enable=1`")
}

fn lsm(modules: Option<&[String]>) -> Check {
    let (state, found) = match modules {
        Some(modules) if modules.iter().any(|name| name == "bpf") => {
            (CheckState::Ok, format!("active, of {}", modules.join(", ")))
        }
        Some(modules) => (
            CheckState::Limited,
            format!("not among the active ones: {}", modules.join(", ")),
        ),
        None => (
            CheckState::Unknown,
            "securityfs does not show it".to_owned(),
        ),
    };
    check("bpf_lsm", "BPF LSM", state, found)
        .cost("nothing: we attach to `security_*` functions, and to no hook by itself")
}

/// The helper exists since 5.16 (856c02dbce4f, "bpf: Introduce helper `bpf_get_branch_snapshot`").
fn last_branches(recorded: Option<u32>, types: &KernelTypes) -> Check {
    let helper = types.knows("bpf_func_id", "BPF_FUNC_get_branch_snapshot");
    let (state, found) = match (recorded, helper) {
        (Some(number), Some(true)) => (CheckState::Ok, format!("the processor keeps {number}")),
        (Some(_), _) => (
            CheckState::Missing,
            "the kernel has no helper for them: from 5.16 on".to_owned(),
        ),
        (None, _) => (
            CheckState::Missing,
            "neither the processor nor a hypervisor offers them".to_owned(),
        ),
    };
    check("lbr", "last branch records", state, found).cost("nothing yet: they are not used so far")
}
