// SPDX-License-Identifier: BSD-2-Clause
//! Creates links of every kind, and reads what they have missed.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use libbpf_sys::{
    BPF_F_KPROBE_MULTI_RETURN, BPF_F_UPROBE_MULTI_RETURN, BPF_LINK_CREATE, bpf_attach_type,
    bpf_link_create, bpf_link_create_opts, bpf_link_info, bpf_obj_get_info_by_fd, bpf_prog_info,
    bpf_raw_tracepoint_open, perf_event_attr,
};

use super::{TRACE_UPROBE_MULTI, own};
use crate::bpf::settings::ProbePmu;
use crate::spec::BackendKind;

/// `BPF_PERF_EVENT` of `enum bpf_attach_type`.
const PERF_EVENT: bpf_attach_type = 41;

/// `_IOW('$', 8, __u32)` and `_IO('$', 0)` of `linux/perf_event.h`.
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;

/// Attaches a trampoline program to the function that it was loaded for.
pub(in crate::bpf) fn attach_tracing(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: a null name is what BPF_RAW_TRACEPOINT_OPEN takes for tracing programs.
    own(unsafe { bpf_raw_tracepoint_open(ptr::null(), program.as_raw_fd()) })
}

/// Attaches a program to the raw tracepoint `name`.
pub(in crate::bpf) fn attach_raw_tracepoint(
    name: &CStr,
    program: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    // SAFETY: the name lives through the call.
    own(unsafe { bpf_raw_tracepoint_open(name.as_ptr(), program.as_raw_fd()) })
}

/// Attaches a program to many addresses at once. `cookies` is parallel to `addrs`.
pub(in crate::bpf) fn attach_kprobe_multi(
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

/// Attaches a program to many offsets of the file at `path`. `cookies` is parallel to `offsets`, and so
/// are the offsets of the `semaphores` unless there are none; 0 is none.
pub(in crate::bpf) fn attach_uprobe_multi(
    program: BorrowedFd<'_>,
    is_return: bool,
    path: &CStr,
    offsets: &[u64],
    cookies: &[u64],
    semaphores: &[u64],
) -> io::Result<OwnedFd> {
    assert_eq!(offsets.len(), cookies.len(), "one cookie for each offset");
    let has_semaphores = !semaphores.is_empty();
    if has_semaphores {
        assert_eq!(offsets.len(), semaphores.len(), "one for each offset");
    }
    let mut opts = bpf_link_create_opts {
        sz: size_of::<bpf_link_create_opts>() as _,
        ..Default::default()
    };
    opts.__bindgen_anon_1.uprobe_multi.flags = if is_return {
        BPF_F_UPROBE_MULTI_RETURN
    } else {
        0
    };
    opts.__bindgen_anon_1.uprobe_multi.cnt = offsets.len() as u32;
    opts.__bindgen_anon_1.uprobe_multi.path = path.as_ptr();
    opts.__bindgen_anon_1.uprobe_multi.offsets = offsets.as_ptr();
    opts.__bindgen_anon_1.uprobe_multi.cookies = cookies.as_ptr();
    opts.__bindgen_anon_1.uprobe_multi.ref_ctr_offsets = if has_semaphores {
        semaphores.as_ptr()
    } else {
        ptr::null()
    };
    let program = program.as_raw_fd();
    // SAFETY: `opts` holds pointers to slices and a string that live through the call.
    own(unsafe { bpf_link_create(program, 0, TRACE_UPROBE_MULTI, &raw const opts) })
}

/// The attributes of `BPF_LINK_CREATE` for `*_MULTI` tracing links. libbpf does not know these
/// links yet.
#[repr(C)]
struct TracingMultiAttr {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    ids: u64,
    cookies: u64,
    cnt: u32,
    padding: u32,
}

/// Attaches a program to many functions at once. `ids` are their BTF ids, in ascending order, each
/// once; `cookies` is parallel to `ids`.
pub(in crate::bpf) fn attach_tracing_multi(
    program: BorrowedFd<'_>,
    attach_type: bpf_attach_type,
    ids: &[u32],
    cookies: &[u64],
) -> io::Result<OwnedFd> {
    assert_eq!(ids.len(), cookies.len(), "one cookie for each id");
    let n = ids.len() as u32;
    // SAFETY: the slices are of this length and live through the call.
    unsafe { tracing_multi_link(program, attach_type, ids.as_ptr(), cookies.as_ptr(), n) }
}

/// Creates a tracing link for many functions.
///
/// # Safety
/// `ids` and `cookies` have `cnt` elements, or are null, or are no addresses of this process at
/// all.
pub(super) unsafe fn tracing_multi_link(
    program: BorrowedFd<'_>,
    attach_type: bpf_attach_type,
    ids: *const u32,
    cookies: *const u64,
    cnt: u32,
) -> io::Result<OwnedFd> {
    let attr = TracingMultiAttr {
        prog_fd: program.as_raw_fd() as u32,
        target_fd: 0,
        attach_type,
        flags: 0,
        ids: ids.addr() as u64,
        cookies: cookies.addr() as u64,
        cnt,
        padding: 0,
    };
    let size = size_of::<TracingMultiAttr>();
    // SAFETY: the attributes live through the call; the caller vouches for what they point to.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, &raw const attr, size) };
    own_syscall(fd)
}

/// Opens the event of the call of the function with this name.
pub(in crate::bpf) fn open_kprobe_at(pmu: ProbePmu, name: &CStr) -> io::Result<OwnedFd> {
    let mut attr = perf_event_attr {
        type_: pmu.kind,
        ..Default::default()
    };
    attr.__bindgen_anon_3.kprobe_func = name.as_ptr().expose_provenance() as u64;
    open_event(attr)
}

/// Opens a kprobe (or a kretprobe) at a function's address. It has no name, unlike probes of
/// tracefs. So it is removed when it is closed, however our process ends.
pub(in crate::bpf) fn open_kprobe(
    pmu: ProbePmu,
    is_return: bool,
    addr: u64,
) -> io::Result<OwnedFd> {
    let mut attr = perf_event_attr {
        type_: pmu.kind,
        config: u64::from(is_return) << pmu.return_bit,
        ..Default::default()
    };
    // The name stays null: the address identifies the function.
    attr.__bindgen_anon_4.kprobe_addr = addr;
    open_event(attr)
}

/// `PERF_UPROBE_REF_CTR_OFFSET_SHIFT`: where `config` has the offset of the semaphore.
const SEMAPHORE_SHIFT: u32 = 32;

/// Opens a uprobe (or a uretprobe) at an offset of the file at `path`. Like a kprobe it has no name.
/// While it is open, the kernel increments the counter at the offset of the semaphore; 0 is none.
pub(in crate::bpf) fn open_uprobe(
    pmu: ProbePmu,
    is_return: bool,
    path: &CStr,
    offset: u64,
    semaphore: u32,
) -> io::Result<OwnedFd> {
    let mut attr = perf_event_attr {
        type_: pmu.kind,
        config: u64::from(is_return) << pmu.return_bit | u64::from(semaphore) << SEMAPHORE_SHIFT,
        ..Default::default()
    };
    attr.__bindgen_anon_3.uprobe_path = path.as_ptr().expose_provenance() as u64;
    attr.__bindgen_anon_4.probe_offset = offset;
    open_event(attr)
}

/// Opens an event of tracefs by its id.
pub(in crate::bpf) fn open_tracepoint(id: u64) -> io::Result<OwnedFd> {
    open_event(perf_event_attr {
        type_: PERF_TYPE_TRACEPOINT,
        config: id,
        ..Default::default()
    })
}

fn open_event(mut attr: perf_event_attr) -> io::Result<OwnedFd> {
    attr.size = size_of::<perf_event_attr>() as u32;
    // The same attributes as in libbpf. The event is not used to sample or to wake a reader; it
    // runs programs on every CPU.
    attr.__bindgen_anon_1.sample_period = 1;
    attr.__bindgen_anon_2.wakeup_events = 1;
    // SAFETY: the attributes are as long as they say and live through the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            -1,
            0,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    own_syscall(fd)
}

/// Runs a program at an open event. With a cookie this takes a link, which is returned and must be
/// kept. Such links exist since 5.15 (b89fbfbb854c, "bpf: Implement minimal BPF perf link").
/// Without a cookie there is no link, and the program is attached until the event is closed.
pub(in crate::bpf) fn run_at_event(
    program: BorrowedFd<'_>,
    event: BorrowedFd<'_>,
    cookie: Option<u64>,
) -> io::Result<Option<OwnedFd>> {
    let link = match cookie {
        Some(cookie) => {
            let mut opts = bpf_link_create_opts {
                sz: size_of::<bpf_link_create_opts>() as _,
                ..Default::default()
            };
            opts.__bindgen_anon_1.perf_event.bpf_cookie = cookie;
            // SAFETY: `opts` lives through the call and holds no pointers.
            let link = unsafe {
                bpf_link_create(
                    program.as_raw_fd(),
                    event.as_raw_fd(),
                    PERF_EVENT,
                    &raw const opts,
                )
            };
            Some(own(link)?)
        }
        None => {
            control(event, PERF_EVENT_IOC_SET_BPF, program.as_raw_fd())?;
            None
        }
    };
    control(event, PERF_EVENT_IOC_ENABLE, 0)?;
    Ok(link)
}

fn control(event: BorrowedFd<'_>, request: libc::c_ulong, argument: i32) -> io::Result<()> {
    // SAFETY: both requests take a number, no pointer.
    let ret = unsafe { libc::ioctl(event.as_raw_fd(), request as _, argument) };
    if ret < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Converts the result of `libc::syscall`: a descriptor, or -1 and `errno`.
fn own_syscall(ret: libc::c_long) -> io::Result<OwnedFd> {
    if ret < 0 {
        return Err(io::Error::last_os_error());
    }
    own(ret as i32)
}

/// Returns the `recursion_misses` of a program. 0 if the kernel does not count them: before 5.12
/// (9ed9e9ba2337, "bpf: Count the number of times recursion was prevented").
pub(in crate::bpf) fn recursion_misses(program: BorrowedFd<'_>) -> u64 {
    let mut info = bpf_prog_info::default();
    let mut len = size_of::<bpf_prog_info>() as u32;
    // SAFETY: `info` is as long as `len` says and has no pointers set.
    let err = unsafe {
        bpf_obj_get_info_by_fd(program.as_raw_fd(), (&raw mut info).cast(), &raw mut len)
    };
    if err == 0 { info.recursion_misses } else { 0 }
}

/// Returns the number of calls and returns that a link has missed: no free slot for the return, or
/// recursion. 0 if the kernel does not tell: before 6.7 (e2b2cd592adb, "bpf: Add missed value to
/// `kprobe_multi` link info"; 3acf8ace6823, "bpf: Add missed value to kprobe perf link info"), and
/// for trampolines, which miss calls by recursion only: these are counted for the programs.
pub(in crate::bpf) fn link_misses(backend: BackendKind, link: BorrowedFd<'_>) -> u64 {
    // Nor does it tell for uprobes and tracepoints.
    let is_told = !backend.needs_prototype() && !backend.is_of_user_functions();
    if !is_told || backend == BackendKind::SystemCalls {
        return 0;
    }
    let mut info = bpf_link_info::default();
    let mut len = size_of::<bpf_link_info>() as u32;
    // SAFETY: `info` is as long as `len` says and has no pointers set.
    let err =
        unsafe { bpf_obj_get_info_by_fd(link.as_raw_fd(), (&raw mut info).cast(), &raw mut len) };
    if err != 0 {
        return 0; // a perf event is not a link
    }
    if matches!(backend, BackendKind::Kprobe | BackendKind::OnLoad) {
        // SAFETY: the kernel fills the member of the link's kind; all bits are valid integers.
        let event = unsafe { info.__bindgen_anon_1.perf_event };
        // SAFETY: as above.
        unsafe { event.__bindgen_anon_1.kprobe }.missed
    } else {
        // SAFETY: as above.
        unsafe { info.__bindgen_anon_1.kprobe_multi }.missed
    }
}
