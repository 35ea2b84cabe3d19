// SPDX-License-Identifier: BSD-2-Clause
//! Thin wrappers of system calls that libbpf-rs does not offer, mostly bpf(2). They contain all
//! `unsafe` code that we wrote for BPF. A raw descriptor becomes an `OwnedFd` in the same
//! statement.

#![allow(unsafe_code)]

mod closing;
mod exclusive;
mod guardian;
mod identity;
mod links;
mod lsm;
mod mapped;
mod own;
mod support;

use std::ffi::{CStr, CString};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::slice;

use libbpf_rs::{AsRawLibbpf, OpenMapMut, OpenObject, OpenProgram};
use libbpf_sys::{
    BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACEPOINT,
    BPF_PROG_TYPE_TRACING, bpf_attach_type, bpf_btf_get_fd_by_id, bpf_btf_get_next_id,
    bpf_btf_info, bpf_func_info, bpf_insn, bpf_line_info, bpf_map__fd, bpf_obj_get_info_by_fd,
    bpf_object__btf_fd, bpf_object__prepare, bpf_prog_load, bpf_prog_load_opts, bpf_prog_type,
    bpf_program__func_info, bpf_program__func_info_cnt, bpf_program__line_info,
    bpf_program__line_info_cnt, libbpf_set_print,
};

pub(super) use self::closing::Closing;
pub(super) use self::exclusive::Exclusive;
pub(super) use self::guardian::Guardian;
pub use self::identity::real_inode;
pub(super) use self::links::{
    attach_kprobe_multi, attach_raw_tracepoint, attach_tracing, attach_tracing_multi,
    attach_uprobe_multi, link_misses, open_kprobe, open_kprobe_at, open_tracepoint, open_uprobe,
    recursion_misses, run_at_event,
};
pub use self::lsm::{LsmProgram, lsm_programs};
pub(super) use self::mapped::MappedArray;
pub(super) use self::own::{is_in_first_pid_namespace, own_tgid};
pub use self::support::KernelSupport;
pub(super) use self::support::smallest_program;

use super::body::{Body, Notes};

/// Attach types `BPF_TRACE_*`, by their numbers in the kernel's ABI.
pub(super) const TRACE_FENTRY: bpf_attach_type = 24;
pub(super) const TRACE_FEXIT: bpf_attach_type = 25;
pub(super) const TRACE_KPROBE_MULTI: bpf_attach_type = 42;
pub(super) const TRACE_KPROBE_SESSION: bpf_attach_type = 56;
pub(super) const TRACE_UPROBE_MULTI: bpf_attach_type = 48;

const LICENSE: &CStr = c"Dual BSD/GPL";

/// The program type and the attach type of a program, and what it is attached to.
#[derive(Clone, Copy, Debug)]
pub(super) enum ProgramKind<'fd> {
    /// Single kprobes and uprobes (0), kprobe.multi, kprobe.session, uprobe.multi: the attach type.
    Kprobe(bpf_attach_type),
    /// A raw tracepoint.
    RawTracepoint,
    /// The perf event of a tracepoint.
    Tracepoint,
    /// fsession.multi, fentry.multi or fexit.multi for functions of one BTF object.
    TracingMulti {
        attach_type: bpf_attach_type,
        /// The BTF object of a module; `None` for vmlinux.
        module_btf: Option<BorrowedFd<'fd>>,
    },
    /// fentry or fexit of one function.
    Trampoline {
        attach_type: bpf_attach_type,
        btf_id: u32,
        /// The BTF object of a module; `None` for vmlinux.
        module_btf: Option<BorrowedFd<'fd>>,
    },
}

/// Keeps libbpf from writing to stderr. Its errors are reported by ours.
pub fn silence_libbpf() {
    // SAFETY: a null callback is documented to turn printing off.
    let _previous = unsafe { libbpf_set_print(None) };
}

/// Creates maps and relocates programs, without loading them.
pub(super) fn prepare(object: &mut OpenObject) -> io::Result<()> {
    // SAFETY: the pointer comes from a live, opened and not yet loaded object.
    check(unsafe { bpf_object__prepare(object.as_libbpf_object().as_ptr()) }).map(drop)
}

/// Returns a relocated program. The descriptor in its notes is that of the object, `btf`. libbpf does
/// without if the kernel refuses the object's BTF; then there are no notes.
pub(super) fn body(program: &OpenProgram<'_>, btf: Option<RawFd>) -> Body {
    let insns = program.insns().to_vec();
    let Some(btf) = btf else {
        return Body::new(insns, Notes::default());
    };
    let program = program.as_libbpf_object().as_ptr();
    // SAFETY: the pointer comes from a live object.
    let functions = unsafe { bpf_program__func_info(program) };
    // SAFETY: as before.
    let n_functions = unsafe { bpf_program__func_info_cnt(program) };
    // SAFETY: as before.
    let lines = unsafe { bpf_program__line_info(program) };
    // SAFETY: as before.
    let n_lines = unsafe { bpf_program__line_info_cnt(program) };
    // SAFETY: libbpf has as many records as it says, and they stay until the programs are loaded.
    let functions = unsafe { records(functions, n_functions) };
    // SAFETY: as before.
    let lines = unsafe { records(lines, n_lines) };
    let notes = Notes {
        btf,
        functions,
        lines,
    };
    Body::new(insns, notes)
}

/// Copies records.
///
/// # Safety
/// If `first` is not null, `count` records must be there.
unsafe fn records<T: Copy>(first: *const T, count: u32) -> Vec<T> {
    if first.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { slice::from_raw_parts(first, count as usize) }.to_vec()
}

/// Returns the descriptor of the object's BTF, once its maps are created, if the kernel has taken it.
/// The object still owns it.
pub(super) fn btf_number(object: &OpenObject) -> Option<RawFd> {
    // SAFETY: the pointer comes from a live object; nothing is taken over.
    let number = unsafe { bpf_object__btf_fd(object.as_libbpf_object().as_ptr()) };
    (number >= 0).then_some(number)
}

/// Returns the descriptor of a created map, as instructions contain it. The map still owns it.
pub(super) fn map_number(map: &OpenMapMut<'_>) -> RawFd {
    // SAFETY: the pointer comes from a live object; nothing is taken over.
    unsafe { bpf_map__fd(map.as_libbpf_object().as_ptr()) }
}

/// Loads one program. If `log` is given, it receives the verifier's log.
pub(super) fn load_program(
    name: &CStr,
    insns: &[bpf_insn],
    notes: &Notes,
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
        ProgramKind::Tracepoint => BPF_PROG_TYPE_TRACEPOINT,
        ProgramKind::TracingMulti {
            attach_type,
            module_btf,
        } => {
            opts.expected_attach_type = attach_type;
            opts.attach_btf_obj_fd = module_btf.map_or(0, |fd| fd.as_raw_fd() as u32);
            BPF_PROG_TYPE_TRACING
        }
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
    if !notes.functions.is_empty() {
        opts.prog_btf_fd = notes.btf as u32;
        opts.func_info = notes.functions.as_ptr().cast();
        opts.func_info_cnt = notes.functions.len() as u32;
        opts.func_info_rec_size = size_of::<bpf_func_info>() as u32;
        opts.line_info = notes.lines.as_ptr().cast();
        opts.line_info_cnt = notes.lines.len() as u32;
        opts.line_info_rec_size = size_of::<bpf_line_info>() as u32;
    }
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

/// Opens the BTF object of a module by the module's name.
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

/// Runs `work` in a child process, which then exits without running any other code of ours. Other
/// threads may have held locks at the time of the fork, for example the allocator's. So `work` may
/// only make system calls, on memory that existed before.
fn fork(work: impl FnOnce()) -> io::Result<libc::pid_t> {
    // SAFETY: the child keeps to the above.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            work();
            // SAFETY: takes a number.
            unsafe { libc::_exit(0) }
        }
        child => Ok(child),
    }
}

/// Creates a pipe. Returns its read end and its write end, which are closed on exec.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((own(ends[0])?, own(ends[1])?))
}

/// Converts the result of libbpf's functions, which is `-errno` on failure.
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
