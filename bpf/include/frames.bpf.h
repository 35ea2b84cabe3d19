/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The open calls of a session, by depth, and arithmetic that the verifier follows quickly. */
#ifndef RETSNOOP_FRAMES_H
#define RETSNOOP_FRAMES_H

static __always_inline struct frame *frame_at(struct session *session, u32 depth)
{
	struct frame *frame;

	/* Or the compiler proves the mask useless and the verifier misses it. */
	barrier_var(depth);
	frame = &session->frames[depth & (MAX_DEPTH - 1)];
	/* Or it computes the address again for each access. */
	barrier_var(frame);
	return frame;
}

/*
 * Comparisons without branches, of numbers that are less than half of all apart: 1 or 0, to
 * multiply with. Each branch is a state more that the verifier goes through all the rest with, and
 * so is, in newer ones, a mask that is all or nothing; so the compiler must not see what they are.
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

/* Open calls that are recorded. */
static __always_inline u32 recorded_depth(const struct session *session)
{
	u32 depth = session->depth;

	return depth - (depth - cfg.max_depth) * is_less(cfg.max_depth, depth);
}

/*
 * Whether a stack pointer is of another stack than the session's.
 *
 * On x86-64 the entry code switches to the CPU's interrupt stack before irq_enter_rcu() counts the
 * interrupt in preempt_count, and stays on it after irq_exit_rcu() has uncounted it. What runs
 * there meanwhile looks like a task. Its stack pointer has no relation to those of the task's
 * calls, and must not be compared with them.
 */
static __always_inline bool is_on_other_stack(struct session *session, u64 sp)
{
	/* A trampoline's is a pointer to the verifier until it has been in memory. */
	session->sp = sp;
	return (session->frames[0].sp ^ verifier_reload(session->sp)) & ~(u64)(cfg.stack_size - 1);
}

/* The innermost open call that is recorded; the session has open calls. */
static struct frame *top_frame(struct session *session)
{
	return frame_at(session, recorded_depth(session) - 1);
}

#endif
