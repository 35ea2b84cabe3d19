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
