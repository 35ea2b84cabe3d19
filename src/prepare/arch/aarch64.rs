// SPDX-License-Identifier: BSD-2-Clause
//! arm64: location of the preemption count, size of a stack. This file is type-checked
//! (`scripts/check-arm64`), and nothing of it was run.

use crate::bpf::Preempt;
use crate::kernel::btf::Btf;
use crate::kernel::kallsyms::Kallsyms;

/// Usual size of a task's stack in bytes. With pages of 64 KiB, or with KASAN, it is larger.
pub(in crate::prepare) const STACK_SIZE: u32 = 16 * 1024;

/// Member of `struct pt_regs` that holds, or begins with, the result of a system call.
pub(in crate::prepare) const RESULT_REGISTER: &str = "regs";

/// Returns where a kprobe's registers have the argument in a slot: the offset in `struct pt_regs`, in
/// bytes. `None` if it is on the stack.
pub(in crate::prepare) fn argument_offset(slot: u16) -> Option<u32> {
    (slot < 8).then_some(8 * u32::from(slot))
}

/// Returns where the preemption count is: in `thread_info`, which is a member of the task. Its lower
/// half is the count, and the upper half tells whether to reschedule.
pub(in crate::prepare) fn preempt(btf: &Btf, _kallsyms: &Kallsyms) -> Preempt {
    let info = btf.member_offset("task_struct", "thread_info");
    let count = btf.member_offset("thread_info", "preempt_count");
    info.zip(count).map_or(Preempt::Unknown, |(info, count)| {
        Preempt::InTask(info + count)
    })
}
