// SPDX-License-Identifier: BSD-2-Clause
//! Forks, and runs the child up to its `execve`. The system calls are unsafe, because the
//! standard library has no fork that can be held. Between fork and
//! `execve` the child does not allocate and does not take locks.

use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::identity::UserIdentity;

/// The step that failed, in the child's report: changing the user, or the `execve`.
const AT_IDENTITY: u32 = 1;
pub(super) const AT_EXEC: u32 = 2;

/// Whether the command keeps the controlling terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Terminal {
    /// It keeps the terminal, as it would without us.
    #[default]
    Shared,
    /// It runs in a new session without a controlling terminal, so that it cannot inject input into
    /// ours.
    Left,
}

/// What the child does.
pub(super) struct Plan<'a> {
    pub(super) arguments: &'a [CString],
    pub(super) environment: &'a [CString],
    pub(super) identity: Option<&'a UserIdentity>,
    pub(super) terminal: Terminal,
    /// The child reads a byte from here as permission to execute. The end of the pipe means that we
    /// are gone.
    pub(super) wait: &'a PipeReader,
    /// Our end of that pipe, which the child must close.
    pub(super) go: &'a PipeWriter,
    /// The child reports here why it could not execute. A successful `execve` closes it.
    pub(super) report: &'a PipeWriter,
}

/// Whether SIGPIPE was ignored when this process started. Rust's runtime ignores it, and the
/// command must get the original setting.
static PIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// The loader runs this before `main`.
// SAFETY: the section contains pointers to functions of this type, and this one calls nothing that
// is not ready then.
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

/// Forks a child that follows the plan, and returns its process id.
pub(super) fn fork(plan: &Plan<'_>) -> io::Result<libc::pid_t> {
    let arguments = pointers(plan.arguments);
    let environment = pointers(plan.environment);
    let groups: Vec<libc::gid_t> = plan.identity.map_or_else(Vec::new, |identity| {
        identity.groups.iter().map(|group| group.as_raw()).collect()
    });
    // An ignored SIGCHLD may be inherited like any ignored signal. The kernel then keeps no exit
    // status of children, and we would wait forever.
    // SAFETY: the default action is not a function of ours.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    // SAFETY: there is only one thread, so the child finds no lock taken. It ends by `execve` or
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
    // SAFETY: this copy of the descriptor is not used afterwards, because the process executes or
    // exits.
    unsafe { libc::close(plan.go.as_raw_fd()) };
    if !may_go(plan.wait.as_raw_fd()) {
        leave(125);
    }
    if plan.terminal == Terminal::Left {
        // SAFETY: it takes no argument. It cannot fail, because a forked process does not lead a
        // group.
        unsafe { libc::setsid() };
    }
    if let Some(identity) = plan.identity
        && !become_user(identity, groups)
    {
        fail(plan, AT_IDENTITY);
    }
    if !PIPE_WAS_IGNORED.load(Ordering::Relaxed) {
        // SAFETY: the default action is not a function of ours.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    if on_child == libc::SIG_IGN {
        // SAFETY: ignoring is not a function of ours.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    }
    if let Some(program) = arguments.first() {
        // SAFETY: both arrays end with a null pointer, and their strings live in `plan`.
        unsafe { libc::execvpe(*program, arguments.as_ptr(), environment.as_ptr()) };
    }
    fail(plan, AT_EXEC)
}

/// Waits for permission; returns false if it will not come.
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

fn become_user(identity: &UserIdentity, groups: &[libc::gid_t]) -> bool {
    let (uid, gid) = (identity.uid.as_raw(), identity.gid.as_raw());
    // SAFETY: the length is that of the slice.
    let changed = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) } == 0;
    // The user id is changed last, because the new user has no permission for the rest.
    // SAFETY: all arguments are numbers.
    let changed = changed && unsafe { libc::setresgid(gid, gid, gid) } == 0;
    // SAFETY: all arguments are numbers.
    let changed = changed && unsafe { libc::setresuid(uid, uid, uid) } == 0;
    if !changed || uid == 0 {
        return changed;
    }
    // Other users must not get our keys. Kernels without keys, and containers that forbid them,
    // have none to inherit.
    let no_name: *const libc::c_char = ptr::null();
    // SAFETY: a null pointer requests a keyring without a name.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, no_name) };
    drop_capabilities()
}

/// From `linux/keyctl.h`.
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;

/// `_LINUX_CAPABILITY_VERSION_3`; each set has two words.
const CAPABILITIES_3: u32 = 0x2008_0522;

/// Drops all capabilities. The kernel keeps them when one user who is not root changes to another,
/// and ambient and inheritable ones survive the `execve`. The bounding set is kept, because it
/// grants nothing, and because set-user-id programs would otherwise behave differently.
fn drop_capabilities() -> bool {
    let header = [CAPABILITIES_3, 0];
    let none = [0_u32; 6];
    // SAFETY: the header has version and process. The data has the effective, permitted and
    // inheritable sets, with two words of 32 bits each.
    let dropped = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) } == 0;
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL;
    // SAFETY: all arguments are numbers. The ambient set is already empty, because only permitted
    // capabilities can be ambient. Kernels without it return an error.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, 0, 0, 0) };
    dropped
}

fn fail(plan: &Plan<'_>, stage: u32) -> ! {
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    let report = [errno.cast_unsigned(), stage];
    // SAFETY: the report has this length. If it cannot be written, nothing can be done.
    unsafe { libc::write(plan.report.as_raw_fd(), report.as_ptr().cast(), 8) };
    leave(125)
}

fn leave(status: i32) -> ! {
    // SAFETY: this ends the process without running what our parent has registered.
    unsafe { libc::_exit(status) }
}

/// Opens a pidfd of a child that was not waited for yet.
pub(super) fn open_process(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: all arguments are numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal to the process of a pidfd.
pub(super) fn signal_process(process: &OwnedFd, signal: i32) -> io::Result<()> {
    let none: *const libc::siginfo_t = ptr::null();
    // SAFETY: a null pointer requests the information that kill(2) would send.
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
