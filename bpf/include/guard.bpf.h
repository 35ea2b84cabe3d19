/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recursion guard. It keeps our programs from running inside kernel functions that our programs
 * call.
 *
 * The kernel does not run a kprobe program inside another kprobe program. Since 5.12 (ca06f55b9002,
 * "bpf: Add per-program recursion prevention mechanism") it does not run a trampoline's program
 * inside itself. But trampolines run inside helpers that our other programs call, and kprobe
 * programs run inside helpers that programs of trampolines call. A run with kprobe programs only,
 * or with a single program of trampolines, does not use the guard.
 */
#ifndef RETSNOOP_GUARD_H
#define RETSNOOP_GUARD_H

struct guard {
	u64 saved;
};

/*
 * Returns the guard of this CPU. It needs no lock. An interrupt may occur at any point, but its
 * program restores the value that it found. If the kernel preempts programs of trampolines, another
 * task may run in between: it has another key, so it enters, and restores ours later. We then find
 * our key, or, if we have migrated, a key of a task that has left. In the latter case one call may
 * be let in wrongly, or rejected wrongly. Sessions are not corrupted, because each belongs to one
 * task.
 */
static __always_inline u64 *guard_of_cpu(void)
{
	return &guards[bpf_get_smp_processor_id() & (MAX_CPUS - 1)];
}

/*
 * Enters the guard for the context with this key. Returns false if the context is inside already.
 * An interrupt has a key of its own and is not blocked.
 */
static __always_inline bool enter_guard(struct guard *guard, u64 key)
{
	u64 *of_cpu = guard_of_cpu();

	/*
	 * Volatile, with the guard or without it: the verifier must not know the value. Otherwise
	 * it explores everything until leave_guard() twice.
	 */
	*(volatile u64 *)&guard->saved = *of_cpu;
	if (!guarded)
		return true;
	if (*(volatile u64 *)&guard->saved == key)
		return false;
	*(volatile u64 *)of_cpu = key;
	return true;
}

/*
 * Leaves the guard. User space sets `guarded` before it attaches programs that need the guard, and
 * never resets it. A program that entered while it was 0 restores the value that it found.
 */
static __always_inline void leave_guard(struct guard *guard)
{
	if (guarded)
		*(volatile u64 *)guard_of_cpu() = *(volatile u64 *)&guard->saved;
}

#endif
