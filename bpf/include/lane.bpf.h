/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * In which context the code runs: a task, or an interrupt on top of it. Each context has a stack of
 * calls of its own (a "lane"). So the work of a softirq never appears in the chain of the system
 * call that it interrupted.
 */
#ifndef RETSNOOP_LANE_H
#define RETSNOOP_LANE_H

/*
 * Bits of preempt_count (include/linux/preempt.h). Bit 8 is set while a softirq is served;
 * disabling softirqs adds 0x200. The bits that count hardirqs and NMIs depend on the kernel:
 * cfg.hardirq_mask, cfg.nmi_mask.
 */
#define SOFTIRQ_SERVED 0x00000100

#define KEY_BITS 48
#define KEY_MASK ((1ULL << KEY_BITS) - 1)

static enum lane lane_of(u32 count)
{
	if (count & cfg.nmi_mask)
		return LANE_NMI;
	if (count & cfg.hardirq_mask)
		return LANE_HARDIRQ;
	return LANE_SOFTIRQ;
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
 * Returns the session key of the current context, and sets `lane`. In a task that is `task`. The
 * key of an interrupt consists of the lane and the CPU; it is too small to equal the low bits of a
 * kernel pointer. In NMI context the result is 0: no session may open there.
 */
static u64 session_key(u64 task, enum lane *lane)
{
	u32 count = preempt_count();

	if (!(count & (SOFTIRQ_SERVED | cfg.hardirq_mask | cfg.nmi_mask))) {
		*lane = LANE_TASK;
		return task;
	}
	*lane = lane_of(count);
	/* The interrupted code may hold a lock that a session takes. */
	if (*lane == LANE_NMI)
		return 0;
	return verifier_opaque(((u64)*lane << 20) | (bpf_get_smp_processor_id() + 1));
}

#endif
