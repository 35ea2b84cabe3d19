// SPDX-License-Identifier: BSD-2-Clause
//! System calls that the tests make themselves, so that nothing else is called on the way.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

pub(super) use libc::{SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM};

const BPF_PROG_GET_NEXT_ID: libc::c_long = 11;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const IFNAMSIZ: usize = 16;
const IFF_TAP: libc::c_short = 2;

pub(super) fn kill(pid: u32, signal: i32) {
    let pid = i32::try_from(pid).unwrap();
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// `bpf()` with a command that there is not: -EINVAL.
pub(super) fn fail_bpf() {
    let none: *const u8 = ptr::null();
    // SAFETY: an attribute of no size is not read.
    let result = unsafe { libc::syscall(libc::SYS_bpf, 9999_i64, none, 0_i64) };
    assert_eq!(result, -1);
}

/// Mounts a device; returns the error as a positive number.
pub(super) fn mount(device: &CStr, target: &CStr, fs_type: &CStr) -> i32 {
    let none = ptr::null();
    // SAFETY: three C strings, no flags, no options.
    let result =
        unsafe { libc::mount(device.as_ptr(), target.as_ptr(), fs_type.as_ptr(), 0, none) };
    assert_eq!(result, -1);
    io::Error::last_os_error().raw_os_error().unwrap()
}

/// `close()` of no descriptor: -EBADF.
pub(super) fn fail_close() -> i32 {
    // SAFETY: closing no descriptor touches nothing.
    unsafe { libc::close(-1) }
}

/// Changes the name of this thread.
pub(super) fn rename_thread(name: &CStr) {
    // SAFETY: the name is a string, and only read.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }, 0);
}

/// An eventfd: takes writes of 8 bytes, and says `EINVAL` to shorter ones.
pub(super) fn eventfd() -> File {
    // SAFETY: no memory is involved; the descriptor is ours.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: as above.
    File::from(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Runs `then` in a forked process that ends right after it, killing the threads it has; waits.
pub(super) fn in_child(then: impl FnOnce()) {
    // SAFETY: the child only makes threads and calls that glibc supports after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        then();
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: the status is not asked for.
    assert_eq!(unsafe { libc::waitpid(pid, ptr::null_mut(), 0) }, pid);
}

/// Makes threads that wait until they are killed.
pub(super) fn waiting_threads(count: usize) {
    for _ in 0..count {
        let thread = thread::Builder::new().stack_size(16 << 10);
        thread
            .spawn(|| {
                loop {
                    // SAFETY: no memory is involved.
                    unsafe { libc::pause() };
                }
            })
            .unwrap();
    }
}

/// Has a thread that is not the process's first one execute `/bin/true`; call it in a child.
pub(super) fn exec_from_a_thread() -> io::Result<()> {
    let thread = thread::Builder::new().name("execer".to_owned());
    let thread = thread.spawn(|| {
        let program = c"/bin/true".as_ptr();
        let arguments = [program, ptr::null()];
        // SAFETY: the array ends with a null, and its strings live for ever.
        unsafe { libc::execv(program, arguments.as_ptr()) };
        io::Error::last_os_error()
    })?;
    Err(thread.join().unwrap())
}

/// Gives this thread, and what it starts, a mount namespace of its own.
pub(super) fn leave_mount_namespace() {
    // SAFETY: no memory is involved; what the thread shares with others it leaves first.
    let left = unsafe { libc::unshare(libc::CLONE_FS | libc::CLONE_NEWNS) };
    assert_eq!(left, 0, "{}", io::Error::last_os_error());
}

/// How many BPF programs the kernel has.
pub(super) fn count_bpf_programs() -> usize {
    let mut attr = [0_u32; 4];
    let mut count = 0;
    loop {
        let pointer = attr.as_mut_ptr();
        // SAFETY: start_id, next_id and open_flags are the first 12 bytes of the attribute.
        let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_GET_NEXT_ID, pointer, 12) };
        if result != 0 {
            return count;
        }
        attr[0] = attr[1];
        count += 1;
    }
}

/// How many calls the kernel counted that it did not tell programs of, all programs together.
pub(super) fn recursion_misses() -> u64 {
    let mut id = 0_u32;
    let mut misses = 0;
    loop {
        let mut next = [id, 0, 0];
        // SAFETY: start_id, next_id and open_flags are the first 12 bytes of the attribute.
        if unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_GET_NEXT_ID, next.as_mut_ptr(), 12) } != 0
        {
            return misses;
        }
        id = next[1];
        let by_id = [id, 0, 0];
        // SAFETY: as above.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_GET_FD_BY_ID, by_id.as_ptr(), 12) };
        let Ok(fd @ 0..) = i32::try_from(fd) else {
            continue; // gone meanwhile
        };
        // SAFETY: the descriptor was made for us.
        let program = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut info = [0_u64; 32];
        let mut attr = [0_u64; 2];
        attr[0] = u64::from(program.as_raw_fd().cast_unsigned()) | 256 << 32;
        attr[1] = info.as_mut_ptr().addr() as u64;
        let pointer = attr.as_ptr();
        // SAFETY: descriptor, length and address of the information, which is as long as it says.
        let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, pointer, 16) };
        assert_eq!(result, 0);
        // `recursion_misses` is the word at 208 bytes; 0 where the kernel has none.
        misses += info[26];
    }
}

/// Asks `/dev/net/tun` for an interface of a name that cannot be: -EINVAL.
pub(super) fn fail_tun_setiff(tun: &File) {
    let mut request = [0_u8; 40];
    request[..3].copy_from_slice(b"a/b");
    request[IFNAMSIZ..IFNAMSIZ + 2].copy_from_slice(&IFF_TAP.to_ne_bytes());
    // SAFETY: the request is as large as `struct ifreq`.
    let result = unsafe { libc::ioctl(tun.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    assert_eq!(result, -1);
    assert_eq!(
        io::Error::last_os_error().raw_os_error(),
        Some(libc::EINVAL)
    );
}

/// A number that no other call gives.
pub(super) fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Attaches a BPF program, called `refuse_all`, that refuses every `symlink()` until the descriptors are
/// closed.
pub(super) fn refuse_symlink() -> [OwnedFd; 2] {
    let insn = |code: u8, imm: i32| libbpf_sys::bpf_insn {
        code,
        imm,
        ..Default::default()
    };
    // r0 = -EPERM; exit
    let insns = [insn(0xb7, -libc::EPERM), insn(0x95, 0)];
    // SAFETY: a C string; the kernel's types are read.
    let hook = unsafe {
        libbpf_sys::libbpf_find_vmlinux_btf_id(c"path_symlink".as_ptr(), libbpf_sys::BPF_LSM_MAC)
    };
    let options = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as libbpf_sys::size_t,
        expected_attach_type: libbpf_sys::BPF_LSM_MAC,
        attach_btf_id: hook.cast_unsigned(),
        ..Default::default()
    };
    // SAFETY: C strings, and as many instructions as it says; all live through the call.
    let program = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_LSM,
            c"refuse_all".as_ptr(),
            c"GPL".as_ptr(),
            insns.as_ptr(),
            2,
            (&raw const options).cast_mut(),
        )
    };
    assert!(program >= 0, "{}", io::Error::last_os_error());
    // SAFETY: no name; the descriptor is open.
    let link = unsafe { libbpf_sys::bpf_raw_tracepoint_open(ptr::null(), program) };
    assert!(link >= 0, "{}", io::Error::last_os_error());
    // SAFETY: both were made for us.
    [program, link].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Asks for an upper layer protocol of TCP that there is not; returns the error as a positive
/// number.
pub(super) fn fail_upper_layer() -> i32 {
    let name = b"nosuchulp";
    // SAFETY: no memory is involved.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    assert!(socket >= 0);
    // SAFETY: the descriptor is ours.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: the name is only read.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_ULP,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    };
    assert_eq!(result, -1);
    io::Error::last_os_error().raw_os_error().unwrap()
}

/// Leaves for a user namespace of its own, which only a process of one thread may; returns the
/// error as a positive number.
pub(super) fn fail_user_namespace() -> i32 {
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWUSER) }, -1);
    io::Error::last_os_error().raw_os_error().unwrap()
}
