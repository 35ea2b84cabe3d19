/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * In which context the code runs: a task, or an interrupt on top of it. Each context has a stack of
 * calls of its own. So the work of a softirq never appears in the chain of the system call that it
 * interrupted.
 */
#ifndef RETSNOOP_CONTEXT_H
#define RETSNOOP_CONTEXT_H

/*
 * Bits of preempt_count (include/linux/preempt.h). Bit 8 is set while a softirq is served;
 * disabling softirqs adds 0x200. The bits that count hardirqs and NMIs depend on the kernel:
 * cfg.hardirq_mask, cfg.nmi_mask.
 */
#define SOFTIRQ_SERVED 0x00000100

#define KEY_BITS 48
#define KEY_MASK ((1ULL << KEY_BITS) - 1)

static enum execution_context interrupt_context(u32 count)
{
	if (count & cfg.nmi_mask)
		return CONTEXT_NMI;
	if (count & cfg.hardirq_mask)
		return CONTEXT_HARDIRQ;
	return CONTEXT_SOFTIRQ;
}

/*
 * Returns the session key of the current task. It is the task pointer, because the tid changes when
 * a thread calls exec, and all idle tasks have tid 0.
 */
static __always_inline u64 task_key(void)
{
	return (u64)bpf_get_current_task() & KEY_MASK;
}

/*
 * Returns the session key of the current context, and sets `context`. In a task that is `task`. The
 * key of an interrupt consists of the context and the CPU; it is too small to equal the low bits of
 * a kernel pointer. In NMI context the result is 0: no session may open there.
 */
static u64 session_key(u64 task, enum execution_context *context)
{
	u32 count = preempt_count();

	if (!(count & (SOFTIRQ_SERVED | cfg.hardirq_mask | cfg.nmi_mask))) {
		*context = CONTEXT_TASK;
		return task;
	}
	*context = interrupt_context(count);
	/* The interrupted code may hold a lock that a session takes. */
	if (*context == CONTEXT_NMI)
		return 0;
	return verifier_opaque(((u64)*context << 20) | (bpf_get_smp_processor_id() + 1));
}

#endif
