/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Scope rules that follow processes and cgroups: a child process inherits its parent's rule, and a
 * new cgroup inherits the rule of the cgroup that it is created in.
 */
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

	/* Increment the mark first: lookups ignore a rule without a mark. */
	__sync_fetch_and_add(scope_mark(kind, id), 1);
	if (bpf_map_update_elem(&scope, &key, &rule, BPF_NOEXIST)) {
		__sync_fetch_and_add(scope_mark(kind, id), -1);
		if (!bpf_map_lookup_elem(&scope, &key))
			__sync_fetch_and_add(&scope_full, 1);
	}
}

/* Returns whether there was one. */
static bool remove_rule(enum scope_kind kind, u64 id)
{
	struct scope_key key = {.id = id, .kind = kind};

	/* Only the caller whose deletion succeeds decrements the mark. */
	if (bpf_map_delete_elem(&scope, &key))
		return false;
	__sync_fetch_and_add(scope_mark(kind, id), -1);
	return true;
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

	/* This is a new thread. Its process has the rule already. */
	if (from != to)
		follow_child(from, to);
}

/*
 * The command has started. Calls before that, such as those of the search along $PATH, are not part
 * of it.
 */
static __always_inline void follow_exec(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u32 *rule = rule_of(SCOPE_PID, tgid);

	if (rule && *rule == SCOPE_HELD)
		*rule = SCOPE_ALLOW;
}

/*
 * Removes the rule of a process when its last thread exits: the id may be given to another process.
 * Returns whether there was one. If the last threads exit at the same time, this is true for only
 * one of them.
 */
static __always_inline bool follow_exit(void)
{
	u64 task = bpf_get_current_task();
	u64 signal;

	if (!has_rules(&cfg.rules[SCOPE_PID]))
		return false;
	signal = read_word(task + cfg.at.task_signal);
	return signal && !read_half(signal + cfg.at.signal_live) &&
	       remove_rule(SCOPE_PID, bpf_get_current_pid_tgid() >> 32);
}

static u64 cgroup_id_of(u64 cgroup)
{
	u64 node = cgroup ? read_word(cgroup + cfg.at.cgroup_node) : 0;

	return node ? read_word(node + cfg.at.node_id) : 0;
}

/* Ids of cgroups of the legacy hierarchies may be equal to ids of the unified one. */
static bool is_unified(u64 cgroup)
{
	u64 root = read_word(cgroup + cfg.at.cgroup_root);

	return root && !read_half(root + cfg.at.root_hierarchy);
}

/* Flags of bpf_ringbuf_query(), from linux/bpf.h. */
#define BPF_RB_AVAIL_DATA 0
#define BPF_RB_RING_SIZE 1

/*
 * Returns whether the ring buffer is less than half full. Users to whom a cgroup is delegated can
 * create and remove cgroups all the time. So half of the ring buffer is reserved for sessions.
 */
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
	out->hdr.n_notes = 0;
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
	/*
	 * `self` is the first member of struct cgroup, so a pointer to it is a pointer to the
	 * cgroup.
	 */
	rule = rule_of(SCOPE_CGROUP, cgroup_id_of(parent));
	if (rule)
		add_rule(SCOPE_CGROUP, id, *rule);
	if (report_cgroup(id, path, CGROUP_MADE))
		return;
	/*
	 * The cgroup may belong to a container that is wanted, or to a denied one inside a wanted
	 * one.
	 */
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
