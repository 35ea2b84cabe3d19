// SPDX-License-Identifier: BSD-2-Clause
//! Rules that a process gives itself, and tracing of others.

use std::ffi::CString;

use crate::sys::{address, call, call_fd};
use crate::{Attempt, Trouble, number, text, tried};

const LANDLOCK_READ_FILE: u64 = 1 << 2;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("ptrace", |arguments| {
        let pid = number(arguments, 0, "ptrace PID")?;
        let attached = call!(libc::SYS_ptrace, libc::PTRACE_ATTACH as i32, pid, 0, 0);
        tried("ptrace", attached)
    }),
    // No file may be read after this, as no rule allows one.
    ("landlock", |arguments| {
        let path = text(arguments, 0, "landlock FILE")?;
        let path = CString::new(path).map_err(|_| Trouble::Usage("landlock FILE"))?;
        let handled = LANDLOCK_READ_FILE.to_ne_bytes();
        let rules = call_fd!(libc::SYS_landlock_create_ruleset, &handled, 8, 0)?;
        no_new_privileges()?;
        call!(libc::SYS_landlock_restrict_self, &rules, 0)?;
        let opened = call!(libc::SYS_openat, libc::AT_FDCWD, path.as_c_str(), 0, 0);
        tried("open", opened)
    }),
    // A filter that refuses mkdir() and allows the rest.
    ("seccomp", |arguments| {
        let path = text(arguments, 0, "seccomp FOLDER")?;
        let path = CString::new(path).map_err(|_| Trouble::Usage("seccomp FOLDER"))?;
        let refusal = 0x0005_0000 | libc::EPERM as u32;
        let filter = [
            instruction(0x20, 0, 0, 0),
            instruction(0x15, 0, 1, libc::SYS_mkdir as u32),
            instruction(0x06, 0, 0, refusal),
            instruction(0x06, 0, 0, 0x7fff_0000),
        ]
        .concat();
        let mut program = [0_u8; 16];
        program[0..2].copy_from_slice(&4_u16.to_ne_bytes());
        program[8..16].copy_from_slice(&address(&filter).to_ne_bytes());
        no_new_privileges()?;
        call!(libc::SYS_seccomp, 1, 0, &program)?;
        tried("mkdir", call!(libc::SYS_mkdir, path.as_c_str(), 0o700))
    }),
];

fn no_new_privileges() -> Result<(), Trouble> {
    call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)?;
    Ok(())
}

/// An instruction of a classic BPF filter.
fn instruction(code: u16, if_true: u8, if_false: u8, value: u32) -> [u8; 8] {
    let (code, value) = (code.to_ne_bytes(), value.to_ne_bytes());
    [
        code[0], code[1], if_true, if_false, value[0], value[1], value[2], value[3],
    ]
}
