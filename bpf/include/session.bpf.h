/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sessions. They are found by key, opened by entry functions, and closed when these return or the
 * task exits.
 */
#ifndef RETSNOOP_SESSION_H
#define RETSNOOP_SESSION_H

static struct task_cache_entry *cache_entry(u64 key)
{
	u32 hash = (u32)(key >> 4) * 0x9e3779b1U; /* Fibonacci hashing: the top bits mix best */

	return &task_cache[hash >> (32 - TASK_CACHE_BITS)];
}

/*
 * Returns whether a task has no session, and no interrupt has one on any CPU. This check takes a
 * dozen instructions and rejects nearly every call. It does not need to know the context.
 */
static __always_inline bool has_no_session(u64 task)
{
	return !cache_entry(task)->n_sessions && !interrupt_sessions;
}

static struct session *session_in(u32 slot, u64 key)
{
	struct session *session = bpf_map_lookup_elem(&slots, &slot);

	return session && session->key == key ? session : NULL;
}

static struct session *find_session(u64 key)
{
	struct task_cache_entry *entry = cache_entry(key);
	u64 packed = *(volatile u64 *)&entry->packed;
	u32 *slot;

	if (packed >> 16 == key)
		return session_in(packed & 0xffff, key);
	if (!entry->n_sessions)
		return NULL;
	/* Another task shares the cache entry and has overwritten ours. */
	slot = bpf_map_lookup_elem(&sessions, &key);
	return slot ? session_in(*slot, key) : NULL;
}

static void reset_session(struct session *session, u64 key, u32 slot,
			  enum execution_context context, u64 now)
{
	struct rec_session *out = &session->out;
	u64 pid_tgid = bpf_get_current_pid_tgid();

	session->depth = 0;
	session->next_seq = 0;
	session->cap_top = 0;
	session->captures = 0;
	session->emitted = 0;
	session->wanted_errors = 0;
	session->failed_top = 0;
	session->failed_depth = 0;
	session->cut_seq = 0;
	session->n_notes = 0;
	session->n_noted_calls = 0;
	session->first_record = 0;
	session->last_stack.n_addrs = 0;
	session->slot = slot;
	session->stack_sp = 0;
	out->hdr.kind = REC_SESSION;
	out->hdr.session = now << 12 | slot; /* unique: a slot has one session at a time */
	out->started_ns = now;
	out->tgid = pid_tgid >> 32;
	out->tid = pid_tgid;
	out->execution_context = context;
	out->flags = 0;
	out->beyond_depth = 0;
	out->unreturned = 0;
	out->unmatched_returns = 0;
	out->missing_stacks = 0;
	out->top = 0;
	out->cut = 0;
	/* Read the name at the start, because an exec or prctl inside the session changes it. */
	bpf_get_current_comm(out->comm, sizeof(out->comm));
	session->generation++;
	session->key = key;
}

/* Returns a slot to the pool. If that fails, the slot is lost for the run. */
static __always_inline void give_back(u32 slot)
{
	/*
	 * The queue is never full. A push fails only while another context on this CPU holds the
	 * queue's lock. That context has finished before the second attempt.
	 */
	if (bpf_map_push_elem(&free_slots, &slot, BPF_ANY) &&
	    bpf_map_push_elem(&free_slots, &slot, BPF_ANY))
		COUNT(lost_slots);
}

static struct session *open_session(u64 key, enum execution_context context, u64 now)
{
	struct task_cache_entry *entry = cache_entry(key);
	struct session *session;
	u32 slot;

	if (!is_read(now)) {
		COUNT(stalled);
		return NULL;
	}
	if (bpf_map_pop_elem(&free_slots, &slot)) {
		COUNT(no_slot);
		return NULL;
	}
	session = bpf_map_lookup_elem(&slots, &slot);
	if (!session || bpf_map_update_elem(&sessions, &key, &slot, BPF_ANY)) {
		give_back(slot);
		COUNT(no_slot);
		return NULL;
	}
	reset_session(session, key, slot, context, now);
	__sync_fetch_and_add(&entry->n_sessions, 1);
	if (verifier_reload(session->out.execution_context) != CONTEXT_TASK)
		__sync_fetch_and_add(&interrupt_sessions, 1);
	*(volatile u64 *)&entry->packed = key << 16 | slot;
	COUNT(started);
	return session;
}

static __noinline void close_session(struct session *session)
{
	u64 key = session->key;
	u32 slot = session->slot;
	struct task_cache_entry *entry = cache_entry(key);

	session->key = 0;
	/*
	 * A failed deletion leaves an entry that leads to a slot with another key. Lookups ignore
	 * it, and the next session of this task overwrites it.
	 */
	bpf_map_delete_elem(&sessions, &key);
	if (entry->packed >> 16 == key)
		*(volatile u64 *)&entry->packed = 0;
	__sync_fetch_and_add(&entry->n_sessions, -1);
	if (session->out.execution_context != CONTEXT_TASK)
		__sync_fetch_and_add(&interrupt_sessions, -1);
	give_back(slot);
}

/*
 * Closes the session of the current task, which exits: the exit system calls do not return. The
 * thread that calls exec keeps its task, and its session, while the other threads of its process
 * exit.
 */
static __always_inline void close_session_of_exiting_task(void)
{
	struct session *session;
	enum execution_context context;
	u64 key = session_key(task_key(), &context);

	if (!key || context != CONTEXT_TASK)
		return;
	session = find_session(key);
	if (session) {
		COUNT(task_exit);
		close_session(session);
	}
}

#endif
