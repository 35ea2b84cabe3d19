// SPDX-License-Identifier: BSD-2-Clause
//! Detects what this kernel offers, by trying it.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use libbpf_sys::{bpf_attach_type, bpf_insn, bpf_link_create, bpf_link_create_opts};

use super::super::body::Notes;
use super::links::tracing_multi_link;
use super::{
    ProgramKind, TRACE_KPROBE_MULTI, TRACE_KPROBE_SESSION, TRACE_UPROBE_MULTI, load_program, own,
};
use crate::bpf::settings::TracingMultiTypes;
use crate::spec::BackendKind;

/// Opcodes and immediates of `r0 = 0`, `exit`, and `call bpf_get_attach_cookie`, whose argument,
/// the context, is in r1 at the start.
const RETURN_0: (u8, i32) = (0xb7, 0);
const EXIT: (u8, i32) = (0x95, 0);
const CALL_GET_ATTACH_COOKIE: (u8, i32) = (0x85, 174);

/// Which ways to attach this kernel offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct KernelSupport {
    /// `fsession.multi` links: since 7.2 (ba042ed6446f).
    pub tracing_multi: bool,
    /// `fentry.multi` and `fexit.multi` links: since 7.2 (c1d32dea5d46).
    pub fentry_multi: bool,
    /// `kprobe.session` links: since 6.10 (535a3692ba72), with `CONFIG_FPROBE`.
    pub kprobe_session: bool,
    /// `kprobe.multi` links: since 5.18 (0dcac2725406), with `CONFIG_FPROBE`.
    pub kprobe_multi: bool,
    /// Cookies of single kprobes: since 5.15 (7adfc6c9b315).
    pub cookies: bool,
    /// The kernel preempts programs of trampolines. Meanwhile it does not run them for other tasks
    /// of that CPU.
    pub preempts_programs: bool,
    /// The PMU of single kprobes: since 4.17 (e12f03d7031a, "perf/core: Implement the
    /// '`perf_kprobe`' PMU"), with `CONFIG_KPROBE_EVENTS`.
    pub kprobe: bool,
    /// `uprobe.multi` links: since 6.6 (89ae89f53d20, "bpf: Add multi uprobe link").
    pub uprobe_multi: bool,
    /// The PMU of single uprobes: since 4.17 (33ea4b24277b, "perf/core: Implement the '`perf_uprobe`'
    /// PMU"), with `CONFIG_UPROBE_EVENTS`.
    pub uprobe: bool,
}

impl KernelSupport {
    /// Detects what the kernel offers, without attaching to anything. Facts that cannot be tried
    /// are passed in, from BTF and sysfs: the attach types `types`, whether there is a PMU for
    /// single kprobes, and whether the kernel preempts programs. What is for user functions is not
    /// examined.
    #[must_use]
    pub fn probe(types: TracingMultiTypes, kprobe: bool, preempts_programs: bool) -> Self {
        Self {
            tracing_multi: types.session.is_some_and(probe_tracing_multi),
            fentry_multi: types.entry.is_some_and(probe_tracing_multi)
                && types.exit.is_some_and(probe_tracing_multi),
            kprobe_session: probe_kprobe_multi(TRACE_KPROBE_SESSION),
            kprobe_multi: probe_kprobe_multi(TRACE_KPROBE_MULTI),
            cookies: probe_cookies(),
            preempts_programs,
            kprobe,
            uprobe_multi: false,
            uprobe: false,
        }
    }

    /// Detects what the kernel offers for user functions, too. `uprobe` is whether there is a PMU for
    /// single uprobes. Few runs need that, and to try it takes a fiftieth of a start.
    #[must_use]
    pub fn with_user_functions(self, uprobe: bool) -> Self {
        Self {
            uprobe_multi: probe_uprobe_multi(),
            uprobe,
            ..self
        }
    }

    /// Returns whether the kernel offers a back end. All supported kernels offer trampolines.
    #[must_use]
    pub fn offers(self, backend: BackendKind) -> bool {
        match backend {
            BackendKind::TracingMulti => self.tracing_multi,
            BackendKind::FentryMulti => self.fentry_multi,
            BackendKind::KprobeSession => self.kprobe_session,
            BackendKind::KprobeMulti => self.kprobe_multi,
            BackendKind::Trampoline | BackendKind::SystemCalls => true,
            BackendKind::Kprobe | BackendKind::OnLoad => self.kprobe,
            BackendKind::UprobeMulti => self.uprobe_multi,
            BackendKind::Uprobe => self.uprobe,
        }
    }
}

/// Returns whether the kernel has such links. It reads the addresses only after it has accepted the
/// program and the kind of link. So it answers an unreadable address with `EFAULT` if it has such
/// links. (An unknown symbol would do as well, but makes the kernel search all symbols.)
fn probe_kprobe_multi(attach_type: bpf_attach_type) -> bool {
    let Ok(program) = smallest_program(ProgramKind::Kprobe(attach_type)) else {
        return false;
    };
    let mut opts = bpf_link_create_opts {
        sz: size_of::<bpf_link_create_opts>() as _,
        ..Default::default()
    };
    opts.__bindgen_anon_1.kprobe_multi.cnt = 1;
    opts.__bindgen_anon_1.kprobe_multi.addrs = ptr::without_provenance(usize::MAX);
    // SAFETY: the kernel checks the pointer that is meant to be bad before it reads through it.
    let link =
        own(unsafe { bpf_link_create(program.as_raw_fd(), 0, attach_type, &raw const opts) });
    link.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
}

/// Returns whether the kernel has such links, by the same method: it reads the path only after it has
/// accepted the rest.
fn probe_uprobe_multi() -> bool {
    let Ok(program) = smallest_program(ProgramKind::Kprobe(TRACE_UPROBE_MULTI)) else {
        return false;
    };
    let mut opts = bpf_link_create_opts {
        sz: size_of::<bpf_link_create_opts>() as _,
        ..Default::default()
    };
    opts.__bindgen_anon_1.uprobe_multi.cnt = 1;
    opts.__bindgen_anon_1.uprobe_multi.path = ptr::without_provenance(usize::MAX);
    opts.__bindgen_anon_1.uprobe_multi.offsets = ptr::without_provenance(usize::MAX);
    let fd = program.as_raw_fd();
    // SAFETY: the kernel checks the pointers that are meant to be bad before it reads through them.
    let link = own(unsafe { bpf_link_create(fd, 0, TRACE_UPROBE_MULTI, &raw const opts) });
    link.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
}

/// Returns whether the kernel has tracing links for many functions, by the same method.
fn probe_tracing_multi(attach_type: bpf_attach_type) -> bool {
    let kind = ProgramKind::TracingMulti {
        attach_type,
        module_btf: None,
    };
    let Ok(program) = smallest_program(kind) else {
        return false;
    };
    let nowhere = ptr::without_provenance::<u32>(usize::MAX);
    // SAFETY: the kernel checks the pointer that is meant to be bad before it reads through it.
    let link = unsafe { tracing_multi_link(program.as_fd(), attach_type, nowhere, ptr::null(), 1) };
    link.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
}

/// Returns whether kprobe programs may read the cookie of their link. This is so since 5.15
/// (7adfc6c9b315, "bpf: Add `bpf_get_attach_cookie()` BPF helper to access `bpf_cookie` value"), as
/// are links of perf events (b89fbfbb854c, "bpf: Implement minimal BPF perf link").
fn probe_cookies() -> bool {
    program(ProgramKind::Kprobe(0), &[CALL_GET_ATTACH_COOKIE, EXIT]).is_ok()
}

/// Loads a program that only returns 0.
pub(in crate::bpf) fn smallest_program(kind: ProgramKind<'_>) -> io::Result<OwnedFd> {
    program(kind, &[RETURN_0, EXIT])
}

fn program(kind: ProgramKind<'_>, insns: &[(u8, i32)]) -> io::Result<OwnedFd> {
    let insns: Vec<bpf_insn> = insns
        .iter()
        .map(|&(code, imm)| bpf_insn {
            code,
            imm,
            ..Default::default()
        })
        .collect();
    load_program(c"retsnoop_probe", &insns, &Notes::default(), kind, None)
}
