/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules that come and go with processes and cgroups: a child has its parent's, and so has a cgroup
 * that is made inside of one. */
#ifndef RETSNOOP_FOLLOW_H
#define RETSNOOP_FOLLOW_H

static u32 *rule_of(enum scope_kind kind, u64 id)
{
	struct scope_key key = {.id = id, .kind = kind};

	return bpf_map_lookup_elem(&scope, &key);
}

static void add_rule(enum scope_kind kind, u64 id, u32 rule)
{
	struct scope_key key = {.id = id, .kind = kind};

	/* The mark first: a rule without one would not be found. */
	__sync_fetch_and_add(scope_mark(kind, id), 1);
	if (bpf_map_update_elem(&scope, &key, &rule, BPF_NOEXIST)) {
		__sync_fetch_and_add(scope_mark(kind, id), -1);
		if (!bpf_map_lookup_elem(&scope, &key))
			__sync_fetch_and_add(&scope_full, 1);
	}
}

static void remove_rule(enum scope_kind kind, u64 id)
{
	struct scope_key key = {.id = id, .kind = kind};

	/* Whoever removes it, and nobody else, takes the mark back. */
	if (!bpf_map_delete_elem(&scope, &key))
		__sync_fetch_and_add(scope_mark(kind, id), -1);
}

static __always_inline void follow_child(u32 from, u32 to)
{
	u32 *rule = rule_of(SCOPE_PID, from);

	if (rule)
		add_rule(SCOPE_PID, to, *rule);
}

static __always_inline void follow_fork(u64 parent, u64 child)
{
	u32 from = read_half(parent + cfg.at.task_tgid);
	u32 to = read_half(child + cfg.at.task_tgid);

	/* A thread is in its process's scope already. */
	if (from != to)
		follow_child(from, to);
}

/* The command runs: what it took to find it along $PATH is not of it. */
static __always_inline void follow_exec(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u32 *rule = rule_of(SCOPE_PID, tgid);

	if (rule && *rule == SCOPE_HELD)
		*rule = SCOPE_ALLOW;
}

/* With its last thread a process is gone, and its number may be given to another one. */
static __always_inline void follow_exit(void)
{
	u64 task = bpf_get_current_task();
	u64 signal;

	if (!has_rules(&cfg.rules[SCOPE_PID]))
		return;
	signal = read_word(task + cfg.at.task_signal);
	if (signal && !read_half(signal + cfg.at.signal_live))
		remove_rule(SCOPE_PID, bpf_get_current_pid_tgid() >> 32);
}

static u64 cgroup_id_of(u64 cgroup)
{
	u64 node = cgroup ? read_word(cgroup + cfg.at.cgroup_node) : 0;

	return node ? read_word(node + cfg.at.node_id) : 0;
}

/* Those of other hierarchies have ids that may be the same. */
static bool is_unified(u64 cgroup)
{
	u64 root = read_word(cgroup + cfg.at.cgroup_root);

	return root && !read_half(root + cfg.at.root_hierarchy);
}

/* Flags of bpf_ringbuf_query(), from linux/bpf.h. */
#define BPF_RB_AVAIL_DATA 0
#define BPF_RB_RING_SIZE 1

/* Anybody who was given a control group may make and remove others all the time: sessions have half
 * of the ring buffer for themselves. */
static __always_inline bool ring_has_room(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) * 2 <
	       bpf_ringbuf_query(&events, BPF_RB_RING_SIZE);
}

static __always_inline bool report_cgroup(u64 id, const char *path, u32 event)
{
	struct rec_cgroup *out;
	long len;

	if (!ring_has_room())
		return false;
	out = bpf_ringbuf_reserve(&events, sizeof(*out), 0);
	if (!out)
		return false;
	out->hdr.kind = REC_CGROUP;
	out->hdr.cpu = bpf_get_smp_processor_id();
	out->hdr.session = 0;
	out->hdr.seq = 0;
	out->hdr.reserved = 0;
	out->id = id;
	out->event = event;
	len = bpf_probe_read_kernel_str(out->path, sizeof(out->path), path);
	out->len = len < 0 ? 0 : len;
	bpf_ringbuf_submit(out, 0);
	return true;
}

static __always_inline void follow_mkdir(u64 cgroup, const char *path)
{
	u64 parent = read_word(cgroup + cfg.at.cgroup_parent);
	u64 id = cgroup_id_of(cgroup);
	u32 *rule;

	if (!id || !is_unified(cgroup))
		return;
	/* `self` is the first member: a pointer to it is one to the cgroup. */
	rule = rule_of(SCOPE_CGROUP, cgroup_id_of(parent));
	if (rule)
		add_rule(SCOPE_CGROUP, id, *rule);
	if (report_cgroup(id, path, CGROUP_MADE))
		return;
	/* Perhaps a container's that is wanted, or one that is not wanted in one that is. */
	if (!rule || cfg.rules[SCOPE_CGROUP].denied)
		__sync_fetch_and_add(&cgroups_unreported, 1);
}

static __always_inline void follow_rmdir(u64 cgroup, const char *path)
{
	u64 id = cgroup_id_of(cgroup);

	if (!id || !is_unified(cgroup))
		return;
	remove_rule(SCOPE_CGROUP, id);
	report_cgroup(id, path, CGROUP_REMOVED);
}

#endif
