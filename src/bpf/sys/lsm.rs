// SPDX-License-Identifier: BSD-2-Clause
//! The BPF programs at LSM hooks that the kernel has.

use std::ffi::CStr;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_sys::{
    BPF_PROG_TYPE_LSM, bpf_obj_get_info_by_fd, bpf_prog_get_fd_by_id, bpf_prog_get_next_id,
    bpf_prog_info,
};

/// Programs that are looked at. A kernel has some hundreds.
const MAX_PROGRAMS: usize = 65_536;

/// A program at an LSM hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LsmProgram {
    /// Its id.
    pub id: u32,
    /// Its name, of at most 15 bytes.
    pub name: String,
    /// Id in the kernel's BTF of the function that stands for the hook; 0 if the kernel does not
    /// tell, as before 6.0.
    pub hook: u32,
}

/// Returns the LSM programs that are loaded, by id. Programs that vanish meanwhile, or that may not
/// be looked at, are left out.
pub fn lsm_programs() -> Vec<LsmProgram> {
    let mut found = Vec::new();
    let mut id = 0;
    for _ in 0..MAX_PROGRAMS {
        // SAFETY: the id of the next program is written to a number of ours.
        if unsafe { bpf_prog_get_next_id(id, &raw mut id) } != 0 {
            break;
        }
        found.extend(lsm_program(id));
    }
    found
}

fn lsm_program(id: u32) -> Option<LsmProgram> {
    // SAFETY: takes a number.
    let fd = unsafe { bpf_prog_get_fd_by_id(id) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the descriptor was made for us.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut info = bpf_prog_info::default();
    let mut len = size_of::<bpf_prog_info>() as u32;
    // SAFETY: `info` is as long as `len` says and has no pointers set.
    let err = unsafe {
        bpf_obj_get_info_by_fd(program.as_raw_fd(), (&raw mut info).cast(), &raw mut len)
    };
    if err != 0 || info.type_ != BPF_PROG_TYPE_LSM {
        return None;
    }
    let name: Vec<u8> = info.name.iter().map(|byte| *byte as u8).collect();
    let name = CStr::from_bytes_until_nul(&name).ok()?;
    Some(LsmProgram {
        id,
        name: name.to_string_lossy().into_owned(),
        hook: info.attach_btf_id,
    })
}
