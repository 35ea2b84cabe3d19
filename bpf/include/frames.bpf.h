/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The open calls of a session, indexed by depth, and arithmetic that is cheap for the verifier. */
#ifndef RETSNOOP_FRAMES_H
#define RETSNOOP_FRAMES_H

static __always_inline struct frame *frame_at(struct session *session, u32 depth)
{
	struct frame *frame;

	/*
	 * Otherwise the compiler removes the mask as redundant, and the verifier rejects the
	 * access.
	 */
	barrier_var(depth);
	frame = &session->frames[depth & (MAX_DEPTH - 1)];
	/* Otherwise the compiler computes the address again for each access. */
	barrier_var(frame);
	return frame;
}

/*
 * Comparisons without branches, for numbers that differ by less than 2^63. The result is 1 or 0, to
 * be multiplied with. Each branch makes the verifier explore the remainder of the program once
 * more. Newer verifiers do the same for a mask that is all ones or all zeroes. So the compiler must
 * not see how the results are computed, or it would turn them into either.
 */
static __always_inline u32 sign_of(u64 value)
{
	barrier_var(value);
	value >>= 63;
	barrier_var(value);
	return value;
}

static __always_inline u32 is_less(u64 left, u64 right)
{
	return sign_of(left - right);
}

static __always_inline u32 is_zero(u64 value)
{
	return sign_of(~value & (value - 1));
}

/* Returns the number of open calls that are recorded, at most cfg.max_depth. */
static __always_inline u32 recorded_depth(const struct session *session)
{
	u32 depth = session->depth;

	return depth - (depth - cfg.max_depth) * is_less(cfg.max_depth, depth);
}

/*
 * Stack pointers of calls outside of the kernel. They must be above those of all kernel functions,
 * because the kernel functions of a session are callees of such calls. So they are mapped to a
 * range in which no kernel function has its stack. On x86-64 it belongs to the stacks that iret
 * returns from (Documentation/arch/x86/x86_64/mm.rst), which are above all stacks of tasks and
 * interrupts, except that of CPU 0's idle task. That task calls no user functions. On arm64 the
 * range is above the vmalloc area.
 */
#define OUTSIDE_SP 0xffffff0000000000ULL
#define OUTSIDE_BITS 39
#define OUTSIDE_MASK ((1ULL << OUTSIDE_BITS) - 1)

/* The stack pointer of a root that has none: above all others. */
#define ROOT_SP (OUTSIDE_SP | OUTSIDE_MASK)

/*
 * Maps the stack pointer of a user function. The low bits keep the order of the calls, unless a
 * stack crosses a multiple of 512 GiB.
 */
static __always_inline u64 outside_sp(u64 user_sp)
{
	return OUTSIDE_SP | (user_sp & OUTSIDE_MASK);
}

/* Returns 1 if a stack pointer is of a call outside of the kernel, else 0. */
static __always_inline u32 is_outside(u64 sp)
{
	return is_zero((sp ^ OUTSIDE_SP) >> OUTSIDE_BITS);
}

/*
 * Returns whether a stack pointer belongs to another stack than the session's. False for calls
 * outside of the kernel, and while no kernel function of the session was called.
 *
 * On x86-64 the entry code switches to the CPU's interrupt stack before irq_enter_rcu() counts the
 * interrupt in preempt_count, and stays on it after irq_exit_rcu() has subtracted it. Code that
 * runs there in between looks like a task. Its stack pointer has no relation to those of the task's
 * calls, and must not be compared with them.
 */
static __always_inline bool is_on_other_stack(struct session *session, u64 sp)
{
	/*
	 * In a trampoline, the verifier treats `sp` as a pointer. Storing and reloading it makes it
	 * a number.
	 */
	session->sp = sp;
	sp = verifier_reload(session->sp);
	return ((session->stack_sp ^ sp) & ~(u64)(cfg.stack_size - 1)) *
	       (1 - is_zero(session->stack_sp)) * (1 - is_outside(sp));
}

/* Returns the innermost open call that is recorded. The session must have open calls. */
static struct frame *top_frame(struct session *session)
{
	return frame_at(session, recorded_depth(session) - 1);
}

#endif
