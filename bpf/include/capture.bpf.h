/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Taking kernel stacks. */
#ifndef RETSNOOP_CAPTURE_H
#define RETSNOOP_CAPTURE_H

/*
 * Stacks are numbered from 1, those of each kind apart: the number is in the lower byte, the kind
 * in the one above. session->cap_top has the last number of kind 0 in its lower half, that of kind
 * 1 in its upper half. MAX_CAPTURES is less than a byte holds.
 */
#define KIND_SHIFT 8
#define CAP_TOP_SHIFT 16

static __always_inline u32 last_capture(const struct session *session, u32 kind)
{
	return session->cap_top >> (kind * CAP_TOP_SHIFT) & 0xff;
}

/* Takes the kernel stack of the failure that is being made right now. Kind 1 is of failures after
 * another one. Returns its number. */
static u32 capture_stack(void *ctx, struct session *session, u32 kind)
{
	u32 last = last_capture(session, kind);
	u32 index = kind * MAX_STACKS_OF_KIND + (last & (MAX_STACKS_OF_KIND - 1));
	struct rec_stack *stack;
	long size;

	/* Or the compiler proves the mask useless and the verifier misses it. */
	barrier_var(index);
	stack = &session->stacks[index & (MAX_STACKS - 1)];
	if (session->captures >= MAX_CAPTURES) {
		session->out.missing_stacks++;
		return 0;
	}
	session->captures++;
	/* What was there is lost, whatever comes of this. */
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

/* The stack of the innermost call so far: all that a successful session has to show. */
static u32 capture_last_stack(void *ctx, struct session *session)
{
	struct rec_stack *stack = &session->last_stack;
	long size = bpf_get_stack(ctx, stack->addrs, sizeof(stack->addrs), 0);

	stack->capture = LAST_CAPTURE;
	stack->n_addrs = size > 0 ? (u32)size / 8 : 0;
	return stack->n_addrs ? LAST_CAPTURE : 0;
}

#endif
