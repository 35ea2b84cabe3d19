/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keeps our programs out of what our programs call. The kernel keeps a kprobe program out of
 * kprobe programs and (since 5.12) a trampoline's out of itself; but trampolines run inside helpers
 * that other programs of ours call, and kprobe programs inside trampolines'. A run with one such
 * back end alone does without.
 */
#ifndef RETSNOOP_GUARD_H
#define RETSNOOP_GUARD_H

struct guard {
	u64 *of_cpu;
	u64 saved;
};

/* Who runs on a CPU's top: an interrupt on top of our program is another one, and may enter. */
static __always_inline bool enter_guard(struct guard *guard, u64 key)
{
	guard->of_cpu = NULL;
	guard->saved = 0; /* never used then, but read: 5.10's verifier minds */
	if (!guarded)
		return true;
	guard->of_cpu = &guards[bpf_get_smp_processor_id() & (MAX_CPUS - 1)];
	guard->saved = *guard->of_cpu;
	if (guard->saved == key)
		return false;
	*(volatile u64 *)guard->of_cpu = key;
	return true;
}

static __always_inline void leave_guard(struct guard *guard)
{
	if (guard->of_cpu)
		*(volatile u64 *)guard->of_cpu = guard->saved;
}

#endif
