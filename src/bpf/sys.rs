// SPDX-License-Identifier: BSD-2-Clause
//! Thin wrappers of the bpf(2) calls that libbpf-rs does not offer. All `unsafe` of the crate's
//! own BPF code stands here; a raw descriptor becomes an `OwnedFd` in the same statement.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use libbpf_rs::{AsRawLibbpf, OpenObject};
use libbpf_sys::{
    BPF_F_KPROBE_MULTI_RETURN, BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_RAW_TRACEPOINT,
    BPF_PROG_TYPE_TRACING, bpf_attach_type, bpf_btf_get_fd_by_id, bpf_btf_get_next_id,
    bpf_btf_info, bpf_insn, bpf_link_create, bpf_link_create_opts, bpf_link_info,
    bpf_obj_get_info_by_fd, bpf_object__prepare, bpf_prog_info, bpf_prog_load, bpf_prog_load_opts,
    bpf_prog_type, bpf_raw_tracepoint_open, libbpf_set_print,
};

/// `BPF_TRACE_*` as the kernel's ABI numbers them.
pub(super) const TRACE_FENTRY: bpf_attach_type = 24;
pub(super) const TRACE_FEXIT: bpf_attach_type = 25;
pub(super) const TRACE_KPROBE_MULTI: bpf_attach_type = 42;
pub(super) const TRACE_KPROBE_SESSION: bpf_attach_type = 56;

const LICENSE: &CStr = c"Dual BSD/GPL";

/// What of the mass-attaching kinds this kernel offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelSupport {
    /// `kprobe.session` links (6.10, with `CONFIG_FPROBE`).
    pub kprobe_session: bool,
    /// `kprobe.multi` links (5.18, with `CONFIG_FPROBE`).
    pub kprobe_multi: bool,
}

impl KernelSupport {
    /// Asks the kernel, without attaching anything.
    #[must_use]
    pub fn probe() -> Self {
        Self {
            kprobe_session: probe_kprobe_multi(TRACE_KPROBE_SESSION),
            kprobe_multi: probe_kprobe_multi(TRACE_KPROBE_MULTI),
        }
    }
}

/// What a program is loaded for.
#[derive(Clone, Copy, Debug)]
pub(super) enum ProgramKind<'fd> {
    /// kprobe.multi, kprobe.session.
    Kprobe(bpf_attach_type),
    /// A raw tracepoint.
    RawTracepoint,
    /// fentry or fexit of one function.
    Trampoline {
        attach_type: bpf_attach_type,
        btf_id: u32,
        /// The BTF object of a module; `None` for vmlinux.
        module_btf: Option<BorrowedFd<'fd>>,
    },
}

/// Keeps libbpf from writing to stderr: what it says is in the errors it returns.
pub fn silence_libbpf() {
    // SAFETY: a null callback is documented to turn printing off.
    let _previous = unsafe { libbpf_set_print(None) };
}

/// Relocates programs and creates maps, without loading programs.
pub(super) fn prepare(object: &mut OpenObject) -> io::Result<()> {
    // SAFETY: the pointer comes from a live, opened and not yet loaded object.
    check(unsafe { bpf_object__prepare(object.as_libbpf_object().as_ptr()) }).map(drop)
}

/// Loads one program; `log` receives the verifier's words when it is refused.
pub(super) fn load_program(
    name: &CStr,
    insns: &[bpf_insn],
    kind: ProgramKind<'_>,
    log: Option<&mut [u8]>,
) -> io::Result<OwnedFd> {
    let mut opts = bpf_prog_load_opts {
        sz: size_of::<bpf_prog_load_opts>() as _,
        attempts: 1,
        ..Default::default()
    };
    let program_type = match kind {
        ProgramKind::Kprobe(attach_type) => {
            opts.expected_attach_type = attach_type;
            BPF_PROG_TYPE_KPROBE
        }
        ProgramKind::RawTracepoint => BPF_PROG_TYPE_RAW_TRACEPOINT,
        ProgramKind::Trampoline {
            attach_type,
            btf_id,
            module_btf,
        } => {
            opts.expected_attach_type = attach_type;
            opts.attach_btf_id = btf_id;
            opts.attach_btf_obj_fd = module_btf.map_or(0, |fd| fd.as_raw_fd() as u32);
            BPF_PROG_TYPE_TRACING
        }
    };
    if let Some(log) = log {
        opts.log_level = 1;
        opts.log_size = log.len() as u32;
        opts.log_buf = log.as_mut_ptr().cast();
    }
    load(program_type, name, insns, &mut opts)
}

fn load(
    kind: bpf_prog_type,
    name: &CStr,
    insns: &[bpf_insn],
    opts: &mut bpf_prog_load_opts,
) -> io::Result<OwnedFd> {
    // SAFETY: all pointers are to live slices and strings for the duration of the call.
    let fd = unsafe {
        bpf_prog_load(
            kind,
            name.as_ptr(),
            LICENSE.as_ptr(),
            insns.as_ptr(),
            insns.len() as _,
            opts,
        )
    };
    own(fd)
}

/// Attaches a trampoline program to the function it was loaded for.
pub(super) fn attach_tracing(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: a null name is what BPF_RAW_TRACEPOINT_OPEN takes for tracing programs.
    own(unsafe { bpf_raw_tracepoint_open(ptr::null(), program.as_raw_fd()) })
}

/// Attaches a program to a raw tracepoint.
pub(super) fn attach_raw_tracepoint(name: &CStr, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the name lives through the call.
    own(unsafe { bpf_raw_tracepoint_open(name.as_ptr(), program.as_raw_fd()) })
}

/// Attaches a program to many addresses at once; `cookies` belong to `addrs` one by one.
pub(super) fn attach_kprobe_multi(
    program: BorrowedFd<'_>,
    attach_type: bpf_attach_type,
    is_return: bool,
    addrs: &[u64],
    cookies: &[u64],
) -> io::Result<OwnedFd> {
    assert_eq!(addrs.len(), cookies.len(), "one cookie for each address");
    let mut opts = bpf_link_create_opts {
        sz: size_of::<bpf_link_create_opts>() as _,
        ..Default::default()
    };
    opts.__bindgen_anon_1.kprobe_multi.flags = if is_return {
        BPF_F_KPROBE_MULTI_RETURN
    } else {
        0
    };
    opts.__bindgen_anon_1.kprobe_multi.cnt = addrs.len() as u32;
    opts.__bindgen_anon_1.kprobe_multi.addrs = addrs.as_ptr();
    opts.__bindgen_anon_1.kprobe_multi.cookies = cookies.as_ptr();
    // SAFETY: `opts` holds pointers to slices that live through the call.
    own(unsafe { bpf_link_create(program.as_raw_fd(), 0, attach_type, &raw const opts) })
}

/// Whether the kernel knows such links: it reads the addresses only after it has accepted the
/// program and the kind of link, so addresses that cannot be read answer `EFAULT` where links
/// exist. (Asking for an unknown symbol would do as well, but has the kernel go through all.)
fn probe_kprobe_multi(attach_type: bpf_attach_type) -> bool {
    let mut opts = bpf_prog_load_opts {
        sz: size_of::<bpf_prog_load_opts>() as _,
        attempts: 1,
        expected_attach_type: attach_type,
        ..Default::default()
    };
    // r0 = 0; exit
    let program = [instruction(0xb7), instruction(0x95)];
    let Ok(program) = load(BPF_PROG_TYPE_KPROBE, c"retsnoop_probe", &program, &mut opts) else {
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

fn instruction(code: u8) -> bpf_insn {
    bpf_insn {
        code,
        ..Default::default()
    }
}

/// `recursion_misses` of a program; 0 where the kernel does not count them (before 5.12).
pub(super) fn recursion_misses(program: BorrowedFd<'_>) -> u64 {
    let mut info = bpf_prog_info::default();
    let mut len = size_of::<bpf_prog_info>() as u32;
    // SAFETY: `info` is as long as `len` says and has no pointers set.
    let err = unsafe {
        bpf_obj_get_info_by_fd(program.as_raw_fd(), (&raw mut info).cast(), &raw mut len)
    };
    if err == 0 { info.recursion_misses } else { 0 }
}

/// `missed` of a kprobe.multi link; 0 where the kernel does not say (before 6.7).
pub(super) fn link_misses(link: BorrowedFd<'_>) -> u64 {
    let mut info = bpf_link_info::default();
    let mut len = size_of::<bpf_link_info>() as u32;
    // SAFETY: `info` is as long as `len` says and has no pointers set.
    let err =
        unsafe { bpf_obj_get_info_by_fd(link.as_raw_fd(), (&raw mut info).cast(), &raw mut len) };
    if err != 0 {
        return 0;
    }
    // SAFETY: the kernel fills the member of the link's kind; all bits are valid integers.
    unsafe { info.__bindgen_anon_1.kprobe_multi.missed }
}

/// The BTF object of a module, by name.
pub(super) fn module_btf(module: &str) -> io::Result<OwnedFd> {
    let wanted = CString::new(module)?;
    let mut id = 0;
    loop {
        let start = id;
        // SAFETY: `id` is a live u32 that the call writes.
        check(unsafe { bpf_btf_get_next_id(start, &raw mut id) })?;
        // SAFETY: the call takes no pointer.
        let Ok(btf) = own(unsafe { bpf_btf_get_fd_by_id(id) }) else {
            continue; // unloaded meanwhile
        };
        if btf_name(&btf)? == wanted {
            return Ok(btf);
        }
    }
}

fn btf_name(btf: &OwnedFd) -> io::Result<CString> {
    let mut name = [0_u8; 128];
    let mut info = bpf_btf_info {
        name: name.as_mut_ptr() as u64,
        name_len: name.len() as u32,
        ..Default::default()
    };
    let mut len = size_of::<bpf_btf_info>() as u32;
    // SAFETY: `info` points to `name`, which is as long as it says and lives through the call.
    check(unsafe {
        bpf_obj_get_info_by_fd(btf.as_raw_fd(), (&raw mut info).cast(), &raw mut len)
    })?;
    Ok(CStr::from_bytes_until_nul(&name)
        .map(CStr::to_owned)
        .unwrap_or_default())
}

/// libbpf's calls return `-errno`.
fn check(ret: i32) -> io::Result<i32> {
    if ret < 0 {
        Err(io::Error::from_raw_os_error(-ret))
    } else {
        Ok(ret)
    }
}

fn own(fd: RawFd) -> io::Result<OwnedFd> {
    let fd = check(fd)?;
    // SAFETY: the kernel just handed out this descriptor to us and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
