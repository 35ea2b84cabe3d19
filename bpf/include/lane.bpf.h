/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is running: a task, or an interrupt on top of one. Each has a lane of its own, so that what
 * a softirq does never enters the chain of the system call it interrupted.
 */
#ifndef RETSNOOP_LANE_H
#define RETSNOOP_LANE_H

/* Layout of preempt_count (include/linux/preempt.h), the same from 5.10 to 7.2. Bit 8 says that a
 * softirq is being served; to disable softirqs adds 0x200.
 *
 * Since 7.3 (9634d860ac15, "preempt: Introduce HARDIRQ_DISABLE_BITS") bits 16 to 23 count how often
 * interrupts were disabled, hard interrupts are in bits 24 to 27, and NMIs in bits 28 to 31. These
 * masks do not follow that yet. */
#define SOFTIRQ_SERVED 0x00000100
#define HARDIRQ_MASK 0x000f0000
#define NMI_MASK 0x00f00000

#define KEY_BITS 48
#define KEY_MASK ((1ULL << KEY_BITS) - 1)

static enum lane lane_of(u32 count)
{
	if (count & NMI_MASK)
		return LANE_NMI;
	if (count & HARDIRQ_MASK)
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

	if (!(count & (SOFTIRQ_SERVED | HARDIRQ_MASK | NMI_MASK))) {
		*lane = LANE_TASK;
		return task;
	}
	*lane = lane_of(count);
	if (*lane == LANE_NMI)
		return 0;
	return unknown(((u64)*lane << 20) | (bpf_get_smp_processor_id() + 1));
}

#endif
