/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Taking kernel stacks, and sending what a finished session has to tell. */
#ifndef RETSNOOP_EMIT_H
#define RETSNOOP_EMIT_H

/* Takes the kernel stack of the failure that is being made right now. Returns its number. */
static u32 capture_stack(void *ctx, struct session *session)
{
	u32 index = session->cap_top & (MAX_STACKS - 1);
	struct rec_stack *stack = &session->stacks[index];
	long size;

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
	session->cap_top++;
	stack->capture = session->cap_top;
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

static long send(struct session *session, struct rec_hdr *hdr, u32 size, u32 max)
{
	if (size > max) /* cannot be; the verifier does not know */
		size = max;
	hdr->session = session->out.hdr.session;
	hdr->cpu = bpf_get_smp_processor_id();
	hdr->seq = session->emitted++;
	return bpf_ringbuf_output(&events, hdr, size, 0);
}

static void send_stack(struct session *session, struct rec_stack *stack)
{
	u32 n_addrs = stack->n_addrs;

	if (n_addrs > MAX_STACK)
		n_addrs = MAX_STACK;
	stack->hdr.kind = REC_STACK;
	if (send(session, &stack->hdr, 32 + 8 * n_addrs, sizeof(*stack))) {
		COUNT(stack_ring_full);
		session->out.missing_stacks++;
	}
}

static void send_stacks(struct session *session)
{
	u32 i;

	if (!(session->out.flags & SESSION_FAILED)) {
		if (session->last_stack.n_addrs)
			send_stack(session, &session->last_stack);
		return;
	}
	for (i = 0; i < MAX_STACKS; i++) {
		struct rec_stack *stack = &session->stacks[i];
		/* Others were given up again with the successful call they were taken in, or are of
		 * another session, or were never taken. */
		if (stack->capture && session->cap_top - stack->capture < MAX_STACKS)
			send_stack(session, stack);
	}
}

static void fill_leader_comm(struct rec_session *out)
{
	u64 task = bpf_get_current_task();
	u64 leader = 0;

	bpf_probe_read_kernel(&leader, sizeof(leader), (void *)(task + cfg.at.task_group_leader));
	bpf_probe_read_kernel(out->leader_comm, sizeof(out->leader_comm),
			      (void *)(leader + cfg.at.task_comm));
}

/* Who it is, in words of others: its cgroup, namespaces, and its ids there. */
static void send_context(struct session *session)
{
	struct rec_context *out = &session->context;
	u64 task = bpf_get_current_task();
	u64 leader = read_word(task + cfg.at.task_group_leader);
	u64 pid = read_word(task + cfg.at.task_thread_pid);

	out->hdr.kind = REC_CONTEXT;
	out->cgroup = bpf_get_current_cgroup_id();
	out->mntns = mntns_of(task);
	out->netns = netns_of(task);
	out->pidns = pidns_of(pid);
	out->level = pid ? read_half(pid + cfg.at.pid_level) : 0;
	out->ns_tid = innermost_id(pid);
	out->ns_tgid = innermost_id(read_word(leader + cfg.at.task_thread_pid));
	send(session, &out->hdr, sizeof(*out), sizeof(*out));
}

static bool send_session(struct session *session)
{
	struct rec_session *out = &session->out;
	u32 size = sizeof(*out) - sizeof(out->calls);

	if (out->peak < out->top)
		out->peak = out->top;
	out->n_calls = forgotten(out->peak) < MAX_CALLS ? out->peak : MAX_CALLS;
	fill_leader_comm(out);
	/* An interrupt is nobody's: whom it interrupted has nothing to do with it. */
	if (out->lane == LANE_TASK)
		send_context(session);
	send_stacks(session);
	size += forgotten(out->n_calls) * sizeof(out->calls[0]);
	return !send(session, &out->hdr, size, sizeof(*out));
}

#endif
