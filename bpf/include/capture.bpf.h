/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Captures kernel stacks. */
#ifndef RETSNOOP_CAPTURE_H
#define RETSNOOP_CAPTURE_H

/*
 * Stacks are numbered from 1, separately for each kind. Kind 0 is of failures, kind 1 of failures
 * after another failure (see MAX_STACKS_OF_KIND). A capture number has the number in its low byte
 * and the kind in the byte above. session->cap_top holds the last number of kind 0 in its lower
 * half and that of kind 1 in its upper half. MAX_CAPTURES fits into a byte.
 */
#define KIND_SHIFT 8
#define CAP_TOP_SHIFT 16

static __always_inline u32 last_capture(const struct session *session, u32 kind)
{
	return session->cap_top >> (kind * CAP_TOP_SHIFT) & 0xff;
}

/*
 * Captures the kernel stack at a failure, as a stack of this kind. Returns its capture number, or 0
 * if there is none: the limit is reached, or the stack cannot be read.
 */
static u32 capture_stack(void *ctx, struct session *session, u32 kind)
{
	u32 last = last_capture(session, kind);
	u32 index = kind * MAX_STACKS_OF_KIND + (last & (MAX_STACKS_OF_KIND - 1));
	struct rec_stack *stack;
	long size;

	/*
	 * Otherwise the compiler removes the mask as redundant, and the verifier rejects the
	 * access.
	 */
	barrier_var(index);
	stack = &session->stacks[index & (MAX_STACKS - 1)];
	if (session->captures >= MAX_CAPTURES) {
		session->out.missing_stacks++;
		return 0;
	}
	session->captures++;
	/* The previous stack in this place is lost, even if the capture fails. */
	stack->capture = 0;
	size = bpf_get_stack(ctx, stack->addrs, sizeof(stack->addrs), 0);
	if (size <= 0) {
		session->out.missing_stacks++;
		return 0;
	}
	session->cap_top += 1 << (kind * CAP_TOP_SHIFT);
	stack->capture = (last + 1) | kind << KIND_SHIFT;
	stack->n_addrs = (u32)size / 8;
	return stack->capture;
}

/*
 * Captures the stack of the innermost call so far, which is the only one that a successful session
 * shows. Returns LAST_CAPTURE, or 0 on failure.
 */
static u32 capture_last_stack(void *ctx, struct session *session)
{
	struct rec_stack *stack = &session->last_stack;
	long size = bpf_get_stack(ctx, stack->addrs, sizeof(stack->addrs), 0);

	stack->capture = LAST_CAPTURE;
	stack->n_addrs = size > 0 ? (u32)size / 8 : 0;
	return stack->n_addrs ? LAST_CAPTURE : 0;
}

#endif
