// SPDX-License-Identifier: BSD-2-Clause
//! Our process id as programs see it. In a PID namespace of our own, the kernel uses another id for
//! us, and our id may be that of another process.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::process;

use libbpf_sys::{
    BPF_ALU64, BPF_CALL, BPF_EXIT, BPF_JMP, BPF_K, BPF_RSH, bpf_insn, bpf_prog_test_run_opts,
    bpf_test_run_opts,
};

use super::super::body::Notes;
use super::{ProgramKind, check, load_program};

/// `PROC_PID_INIT_INO` of `linux/proc_ns.h`: the first PID namespace, whose ids programs see.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// `BPF_FUNC_get_current_pid_tgid` of `linux/bpf.h`.
const GET_CURRENT_PID_TGID: i32 = 14;

/// Returns whether our process ids are the kernel's.
pub(in crate::bpf) fn is_in_first_pid_namespace() -> bool {
    let namespace = fs::read_link("/proc/self/ns/pid");
    namespace.is_ok_and(|namespace| namespace.as_os_str() == FIRST_PID_NAMESPACE)
}

/// Returns our process id as programs see it. If it cannot be determined, the result is 0, which is
/// no process: then calls of our own process are traced, too, and no other process is left out.
pub(in crate::bpf) fn own_tgid() -> u32 {
    if is_in_first_pid_namespace() {
        return process::id();
    }
    seen_by_a_program().unwrap_or(0)
}

/// Runs a program in our own context, which returns its process id. The kernel can run raw
/// tracepoint programs on demand since 5.10 (1b4d60ec162f, "bpf: Enable `BPF_PROG_TEST_RUN` for
/// `raw_tracepoint`").
fn seen_by_a_program() -> Option<u32> {
    let insn = |code: u32, imm| bpf_insn {
        code: code as u8,
        imm,
        ..Default::default()
    };
    let insns = [
        insn(BPF_JMP | BPF_CALL, GET_CURRENT_PID_TGID),
        // The process id is in the upper half of r0.
        insn(BPF_ALU64 | BPF_RSH | BPF_K, 32),
        insn(BPF_JMP | BPF_EXIT, 0),
    ];
    let program = load_program(
        c"retsnoop_probe",
        &insns,
        &Notes::default(),
        ProgramKind::RawTracepoint,
        None,
    )
    .ok()?;
    let mut opts = bpf_test_run_opts {
        sz: size_of::<bpf_test_run_opts>() as _,
        ..Default::default()
    };
    // SAFETY: the options are as long as they say, and name no buffers.
    let done = unsafe { bpf_prog_test_run_opts(program.as_fd().as_raw_fd(), &raw mut opts) };
    check(done).ok()?;
    Some(opts.retval)
}
