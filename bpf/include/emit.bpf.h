/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends the records of a finished session. */
#ifndef RETSNOOP_EMIT_H
#define RETSNOOP_EMIT_H

static long send(struct session *session, struct rec_hdr *hdr, u32 size, u32 max)
{
	if (size > max) /* never true, but the verifier does not know */
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
		u32 kind = i / MAX_STACKS_OF_KIND;
		u32 number = stack->capture & 0xff;
		/*
		 * The other elements were discarded with the successful call in which they were
		 * captured, belong to an earlier session, or were never used.
		 */
		if (number && last_capture(session, kind) - number < MAX_STACKS_OF_KIND)
			send_stack(session, stack);
	}
}

static __noinline void send_notes(struct session *session)
{
	struct session_notes *all = notes_of(session);
	u32 i;

	if (!all)
		return;
	for (i = 0; i < MAX_NOTES; i++) {
		struct rec_note *note = &all->notes[i];

		/* The other elements are of earlier sessions. */
		if (i >= session->n_notes)
			return;
		if (note->unread & NOTE_IS_LATE)
			read_late(note);
		note->hdr.kind = REC_NOTE;
		send(session, &note->hdr, 56 + verifier_reload(note->len), sizeof(*note));
	}
}

/*
 * Fills in the identity of the task: the name of its process, its namespaces, and its ids in its
 * own PID namespace. Reads memory by bpf_probe_read_kernel().
 */
static __always_inline void fill_who_by_copying(struct session *session)
{
	struct rec_session *out = &session->out;
	struct rec_context *context = &session->context;
	u64 task = bpf_get_current_task();
	u64 leader = read_word(task + cfg.at.task_group_leader);
	u64 pid = read_word(task + cfg.at.task_thread_pid);

	bpf_probe_read_kernel(out->leader_comm, sizeof(out->leader_comm),
			      (void *)(leader + cfg.at.task_comm));
	context->mntns = mntns_of(task);
	context->netns = netns_of(task);
	context->pidns = pidns_of(pid);
	context->level = pid ? read_half(pid + cfg.at.pid_level) : 0;
	context->ns_tid = innermost_id(pid);
	context->ns_tgid = innermost_id(read_word(leader + cfg.at.task_thread_pid));
}

/*
 * Returns a task's id in its own PID namespace. With typed pointers, the verifier allows only
 * constant indices. So only the id in the first PID namespace is read by type; deeper ones are
 * copied.
 */
static __always_inline u32 innermost_id_by_type(void *task, u64 task_address)
{
	void *pid = *(void **)(task + cfg.at.task_thread_pid);

	if (!pid)
		return 0;
	if (!*(u32 *)(pid + cfg.at.pid_level))
		return *(u32 *)(pid + cfg.at.pid_numbers);
	return innermost_id(read_word(task_address + cfg.at.task_thread_pid));
}

/*
 * Does the same as fill_who_by_copying(), with loads by type. This saves 1,500 instructions for
 * each session that is shown. But the verifier looks up a type by name for each pointer that is
 * followed. Since 7.0 (8c3070e159ba, "btf: Optimize type lookup with binary search") this is a
 * binary search, if the types are sorted. Before, it is a linear search, and the start of a run
 * takes 60 ms longer (measured on 6.12). So cfg.finds_types_fast selects this variant.
 */
static __always_inline void fill_who_by_type(struct session *session)
{
	struct rec_session *out = &session->out;
	struct rec_context *context = &session->context;
	void *task = (void *)bpf_get_current_task_btf();
	void *leader = *(void **)(task + cfg.at.task_group_leader);
	void *pid = *(void **)(task + cfg.at.task_thread_pid);
	u64 address = bpf_get_current_task();

	*(u64 *)out->leader_comm = *(u64 *)(leader + cfg.at.task_comm);
	*(u64 *)(out->leader_comm + 8) = *(u64 *)(leader + cfg.at.task_comm + 8);
	context->mntns = current_ns(cfg.at.nsproxy_mnt, cfg.at.mnt_inum);
	context->netns = current_ns(cfg.at.nsproxy_net, cfg.at.net_inum);
	context->pidns = current_pidns();
	context->level = pid ? *(u32 *)(pid + cfg.at.pid_level) : 0;
	context->ns_tid = innermost_id_by_type(task, address);
	context->ns_tgid =
		innermost_id_by_type(leader, read_word(address + cfg.at.task_group_leader));
}

static void send_context(struct session *session)
{
	struct rec_context *out = &session->context;

	out->hdr.kind = REC_CONTEXT;
	out->cgroup = bpf_get_current_cgroup_id();
	send(session, &out->hdr, sizeof(*out), sizeof(*out));
}

/* Sends the arguments of the system call, or of another entry function. */
static __noinline void send_arguments(struct session *session)
{
	struct rec_syscall *out = &session->syscall;
	u32 size = sizeof(*out) - sizeof(out->data);

	if (session->out.reason != ENTRY_SYSCALL)
		read_function_arguments(session);
	else if (!read_syscall(session))
		return;
	session->out.flags |= SESSION_HAS_SYSCALL;
	out->hdr.kind = REC_SYSCALL;
	size += (verifier_reload(out->n_areas) & 7) * AREA_BYTES;
	send(session, &out->hdr, size, sizeof(*out));
}

static bool send_session(struct session *session)
{
	struct rec_session *out = &session->out;
	u32 size = sizeof(*out) - sizeof(out->calls);

	out->peak = out->top;
	if (session->first_record)
		out->peak = session->first_record + MAX_CALLS;
	out->n_calls = verifier_reload(out->top) < MAX_CALLS ? out->top : MAX_CALLS;
	if (cfg.has_task_btf && cfg.finds_types_fast)
		fill_who_by_type(session);
	else
		fill_who_by_copying(session);
	/* An interrupt does not belong to the task that it interrupted. */
	if (out->execution_context == CONTEXT_TASK)
		send_context(session);
	send_stacks(session);
	if (cfg.has_notes)
		send_notes(session);
	if (cfg.reads_arguments && has_arguments(session))
		send_arguments(session);
	out->hdr.n_notes = session->n_notes;
	size += verifier_reload(out->n_calls) * sizeof(out->calls[0]);
	return !send(session, &out->hdr, size, sizeof(*out));
}

#endif
