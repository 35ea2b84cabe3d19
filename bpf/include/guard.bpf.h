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
	u64 key;
};

/*
 * Returns the guard of a context. Each has one of its own, not each CPU: where programs may be
 * preempted, tasks enter and leave in any order, and would restore what others have left. Such a
 * value stays, and the task that it names is kept out for good.
 *
 * Contexts that share a guard overwrite each other's key. A program of ours may then run inside
 * another one, which costs time, and adds a call to the session that is none of its own.
 */
static __always_inline u64 *guard_of(u64 key)
{
	u32 hash = (u32)(key >> 4) * 0x9e3779b1U; /* as in cache_entry() */

	return &guards[hash >> (32 - GUARD_BITS)];
}

/*
 * Enters the guard for the context with this key. Returns false if the context is inside already.
 * An interrupt has a key of its own and is not blocked.
 */
static __always_inline bool enter_guard(struct guard *guard, u64 key)
{
	volatile u64 *of_context = guard_of(key);

	guard->key = key;
	if (!guarded)
		return true;
	if (*of_context == key)
		return false;
	*of_context = key;
	return true;
}

/*
 * Leaves the guard. User space sets `guarded` before it attaches programs that need the guard, and
 * never resets it. What another context has written stays.
 */
static __always_inline void leave_guard(const struct guard *guard)
{
	volatile u64 *of_context = guard_of(guard->key);

	if (guarded && *of_context == guard->key)
		*of_context = 0;
}

#endif
