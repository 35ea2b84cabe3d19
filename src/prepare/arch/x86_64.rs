// SPDX-License-Identifier: BSD-2-Clause
//! x86-64: location of the preemption count and of arguments, size of a stack.

use crate::bpf::{PerCpu, Preempt};
use crate::kernel::btf::Btf;
use crate::kernel::kallsyms::Kallsyms;

/// Usual size of a task's stack in bytes. With KASAN it is larger.
pub(in crate::prepare) const STACK_SIZE: u32 = 16 * 1024;

/// Member of `struct pt_regs` that holds, or begins with, the result of a system call.
pub(in crate::prepare) const RESULT_REGISTER: &str = "ax";

/// Returns where a kprobe's registers have the argument in a slot: the offset in `struct pt_regs`, in
/// bytes. `None` if it is on the stack.
pub(in crate::prepare) fn argument_offset(slot: u16) -> Option<u32> {
    // rdi, rsi, rdx, rcx, r8, r9.
    const OFFSETS: [u32; 6] = [112, 104, 96, 88, 72, 64];
    OFFSETS.get(usize::from(slot)).copied()
}

/// Returns where the preemption count is. It is a variable of its own, `__preempt_count`, before
/// 6.2 and since 6.15 (46e8fff6d45f, "x86/preempt: Move preempt count to percpu hot section"). In
/// between it is a member of `pcpu_hot` (64701838bf05, "x86/percpu: Move `preempt_count` next to
/// `current_task`"). The BTF of Debian's 5.10 has no per-CPU variables (a0b8200d06ad, "kbuild: skip
/// per-CPU BTF generation for pahole v1.18-v1.21", in 5.10.151 as well), so the address comes from
/// kallsyms there.
pub(in crate::prepare) fn preempt(btf: &Btf, kallsyms: &Kallsyms) -> Preempt {
    if let Some(btf_id) = btf.var_id("__preempt_count") {
        return Preempt::Variable { btf_id, offset: 0 };
    }
    let hot = btf
        .var_id("pcpu_hot")
        .zip(btf.member_offset("pcpu_hot", "preempt_count"));
    if let Some((btf_id, offset)) = hot {
        return Preempt::Variable { btf_id, offset };
    }
    let addr = |name: &str| kallsyms.named(name).next().map(|symbol| symbol.addr);
    addr("__preempt_count")
        .zip(addr("__per_cpu_offset"))
        .map_or(Preempt::Unknown, |(preempt_count, per_cpu_offset)| {
            Preempt::Address(PerCpu {
                preempt_count,
                per_cpu_offset,
            })
        })
}
