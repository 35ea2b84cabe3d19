// SPDX-License-Identifier: BSD-2-Clause
//! Forking, and what the child does up to its `execve`: the one place outside of `src/bpf` that
//! makes system calls unsafely, for the standard library has no fork that can be waited in. Between
//! fork and `execve` the child allocates nothing and touches no lock.

use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::identity::Identity;

/// What failed, in the child's report: becoming somebody else, or the `execve`.
const AT_IDENTITY: u32 = 1;
pub(super) const AT_EXEC: u32 = 2;

/// Whether the command keeps the controlling terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Terminal {
    /// It does, as it would without us.
    #[default]
    Shared,
    /// It is in a session of its own, without a terminal that it could type into.
    Left,
}

/// What the child is to do.
pub(super) struct Plan<'a> {
    pub(super) arguments: &'a [CString],
    pub(super) environment: &'a [CString],
    pub(super) identity: Option<&'a Identity>,
    pub(super) terminal: Terminal,
    /// A byte here says go; the end says that we are gone.
    pub(super) wait: &'a PipeReader,
    /// Our end of it, which the child must not keep open.
    pub(super) go: &'a PipeWriter,
    /// Where the child says why it could not start; closed by a successful `execve`.
    pub(super) report: &'a PipeWriter,
}

/// Whether SIGPIPE was ignored when this process started: Rust's runtime ignores it, and a command
/// is to have it as we got it.
static PIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// Run by the loader, before `main`.
// SAFETY: the section holds pointers to functions of this type, and this one calls nothing that is
// not ready then.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = note_sigpipe;

extern "C" fn note_sigpipe() {
    let none: *const libc::sigaction = ptr::null();
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: `action` is large enough, and a null pointer changes nothing.
    let known = unsafe { libc::sigaction(libc::SIGPIPE, none, action.as_mut_ptr()) } == 0;
    // SAFETY: all zeroes is a valid value, and so is what the call wrote.
    let action = unsafe { action.assume_init() };
    PIPE_WAS_IGNORED.store(
        known && action.sa_sigaction == libc::SIG_IGN,
        Ordering::Relaxed,
    );
}

/// Forks a child that follows the plan; its process id.
pub(super) fn fork(plan: &Plan<'_>) -> io::Result<libc::pid_t> {
    let arguments = pointers(plan.arguments);
    let environment = pointers(plan.environment);
    let groups: Vec<libc::gid_t> = plan.identity.map_or_else(Vec::new, |identity| {
        identity.groups.iter().map(|group| group.as_raw()).collect()
    });
    // Of children whose ends are ignored, which is handed down to us like any ignored signal, the
    // kernel keeps no status: we would wait for ever.
    // SAFETY: the default action is no function of ours.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    // SAFETY: there is one thread, so the child finds no lock taken; it leaves by `execve` or
    // `_exit`.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => child(plan, before, &arguments, &environment, &groups),
        pid => Ok(pid),
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let pointers = strings.iter().map(|string| CStr::as_ptr(string));
    pointers.chain([ptr::null()]).collect()
}

fn child(
    plan: &Plan<'_>,
    on_child: libc::sighandler_t,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    groups: &[libc::gid_t],
) -> ! {
    // SAFETY: nobody uses this copy of the descriptor afterwards: the process executes or ends.
    unsafe { libc::close(plan.go.as_raw_fd()) };
    if !may_go(plan.wait.as_raw_fd()) {
        leave(125);
    }
    if plan.terminal == Terminal::Left {
        // SAFETY: takes no argument. It cannot fail: a forked process leads no group.
        unsafe { libc::setsid() };
    }
    if let Some(identity) = plan.identity
        && !become_user(identity, groups)
    {
        fail(plan, AT_IDENTITY);
    }
    if !PIPE_WAS_IGNORED.load(Ordering::Relaxed) {
        // SAFETY: the default action is no function of ours.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    if on_child == libc::SIG_IGN {
        // SAFETY: to ignore is no function of ours.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    }
    if let Some(program) = arguments.first() {
        // SAFETY: both arrays end with a null pointer, and their strings live in `plan`.
        unsafe { libc::execvpe(*program, arguments.as_ptr(), environment.as_ptr()) };
    }
    fail(plan, AT_EXEC)
}

/// Waits for the word. False: there will be none.
fn may_go(wait: i32) -> bool {
    let mut byte = 0_u8;
    loop {
        // SAFETY: one byte is read into one byte.
        let n = unsafe { libc::read(wait, (&raw mut byte).cast(), 1) };
        if n >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return n == 1;
        }
    }
}

fn become_user(identity: &Identity, groups: &[libc::gid_t]) -> bool {
    let (uid, gid) = (identity.uid.as_raw(), identity.gid.as_raw());
    // SAFETY: as many groups as the slice has.
    let changed = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) } == 0;
    // The user last: it has no right to the rest.
    // SAFETY: numbers only.
    let changed = changed && unsafe { libc::setresgid(gid, gid, gid) } == 0;
    // SAFETY: numbers only.
    let changed = changed && unsafe { libc::setresuid(uid, uid, uid) } == 0;
    if !changed || uid == 0 {
        return changed;
    }
    // Keys of ours are not for others. Kernels without keys, and containers that forbid them, have
    // none to hand down.
    let no_name: *const libc::c_char = ptr::null();
    // SAFETY: a null pointer asks for a keyring without a name.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, no_name) };
    drop_capabilities()
}

/// `linux/keyctl.h`.
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;

/// `_LINUX_CAPABILITY_VERSION_3`, and how many words of each set it has.
const CAPABILITIES_3: u32 = 0x2008_0522;

/// From one user who is not root to another the kernel keeps all capabilities, and ambient and
/// inheritable ones outlast the `execve`. The bounding set stays: it gives nothing to anybody, and
/// without it programs that are set-user-id do not work as they do without us.
fn drop_capabilities() -> bool {
    let header = [CAPABILITIES_3, 0];
    let none = [0_u32; 6];
    // SAFETY: version and process; effective, permitted and inheritable, twice 32 bits of each.
    let dropped = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) } == 0;
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL;
    // SAFETY: numbers only. It is empty already, for what is not permitted is not ambient; kernels
    // that have none say so.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, 0, 0, 0) };
    dropped
}

fn fail(plan: &Plan<'_>, stage: u32) -> ! {
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    let report = [errno.cast_unsigned(), stage];
    // SAFETY: the report is as long as it says. That it cannot be written leaves nothing to do.
    unsafe { libc::write(plan.report.as_raw_fd(), report.as_ptr().cast(), 8) };
    leave(125)
}

fn leave(status: i32) -> ! {
    // SAFETY: ends this process without running what our parent has registered.
    unsafe { libc::_exit(status) }
}

/// A descriptor of a child of ours that has not been waited for.
pub(super) fn open_process(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just handed out this descriptor to us and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal to the process of a descriptor.
pub(super) fn signal_process(process: &OwnedFd, signal: i32) -> io::Result<()> {
    let none: *const libc::siginfo_t = ptr::null();
    // SAFETY: a null pointer asks for what kill(2) would send.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            none,
            0,
        )
    };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
