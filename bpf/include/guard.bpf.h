/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keeps our programs out of what our programs call. The kernel keeps a kprobe program out of kprobe
 * programs, and since 5.12 (ca06f55b9002, "bpf: Add per-program recursion prevention mechanism") a
 * trampoline's program out of itself. But trampolines run inside helpers that other programs of
 * ours call, and kprobe programs run inside those of trampolines. A run with one such back end
 * alone does without the guard.
 */
#ifndef RETSNOOP_GUARD_H
#define RETSNOOP_GUARD_H

struct guard {
	u64 saved;
};

/* Per CPU, without a lock. What may come in between on this CPU is an interrupt, whose program puts
 * back what it found, or, where the kernel preempts programs of trampolines, another task: its key
 * differs, so that it enters, and puts back ours. We then find ours or, if we have moved on, a key
 * that is nobody's any more: a call of that task is let in once that should not be, or the other
 * way round. Sessions do not depend on it, only on their own task. */
static __always_inline u64 *guard_of_cpu(void)
{
	return &guards[bpf_get_smp_processor_id() & (MAX_CPUS - 1)];
}

/* Who runs on a CPU's top: an interrupt on top of our program is another one, and may enter. What
 * is kept until the guard is left is a number that the verifier knows nothing of, whether there is
 * a guard or not: else it goes through all that lies between twice. */
static __always_inline bool enter_guard(struct guard *guard, u64 key)
{
	u64 *of_cpu = guard_of_cpu();

	*(volatile u64 *)&guard->saved = *of_cpu;
	if (!guarded)
		return true;
	if (*(volatile u64 *)&guard->saved == key)
		return false;
	*(volatile u64 *)of_cpu = key;
	return true;
}

/* `guarded` is set before programs are attached that need it, and stays: who entered without puts
 * back what was there. */
static __always_inline void leave_guard(struct guard *guard)
{
	if (guarded)
		*(volatile u64 *)guard_of_cpu() = *(volatile u64 *)&guard->saved;
}

#endif
