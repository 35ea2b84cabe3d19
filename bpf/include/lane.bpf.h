/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is running: a task, or an interrupt on top of one. Each has a lane of its own, so that what
 * a softirq does never enters the chain of the system call it interrupted.
 */
#ifndef RETSNOOP_LANE_H
#define RETSNOOP_LANE_H

/* Bits of preempt_count (include/linux/preempt.h). Bit 8 says that a softirq is being served;
 * disabling softirqs adds 0x200. Where the counts of hardirqs and NMIs are depends on the kernel:
 * cfg.hardirq_mask, cfg.nmi_mask. */
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

/* The session key of a task: its pointer, because an exec by a thread changes its tid, and the idle
 * tasks all have tid 0. */
static __always_inline u64 task_key(void)
{
	return (u64)bpf_get_current_task() & KEY_MASK;
}

/* The session key of what runs on top of this task, if anything does. Interrupt lanes are keyed by
 * lane and CPU: numbers too small to be the low bits of a kernel pointer. Returns 0 where no
 * session may be (NMI: its locks could hang). */
static u64 session_key(u64 task, enum lane *lane)
{
	u32 count = preempt_count();

	if (!(count & (SOFTIRQ_SERVED | cfg.hardirq_mask | cfg.nmi_mask))) {
		*lane = LANE_TASK;
		return task;
	}
	*lane = lane_of(count);
	if (*lane == LANE_NMI)
		return 0;
	return verifier_opaque(((u64)*lane << 20) | (bpf_get_smp_processor_id() + 1));
}

#endif
