/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Scope: whose calls open a session. Decided here, once, and never again on the way out. Kinds of
 * rules are joined by "and", the rules of one kind by "or". */
#ifndef RETSNOOP_FILTER_H
#define RETSNOOP_FILTER_H

static __always_inline bool bit_is_set(const u64 *bits, u32 index)
{
	return (bits[(index >> 6) & (SCOPE_BITS / 64 - 1)] >> (index & 63)) & 1;
}

static __always_inline bool has_rules(const volatile struct scope_rules *rules)
{
	return rules->allowed || rules->denied;
}

static __always_inline bool rule_allows(const u32 *rule, u32 n_allowed)
{
	return rule ? *rule == SCOPE_ALLOW : !n_allowed;
}

/* The same in src/bpf/scope.rs. */
static __always_inline u32 *scope_mark(enum scope_kind kind, u64 id)
{
	u32 hash = ((u32)id + (u32)kind * 0x2545f491U) * 0x9e3779b1U;

	return (u32 *)&scope_marks[hash >> (32 - SCOPE_MARK_BITS)];
}

/* Few tasks are named by a rule, and a mark says of nearly all others that they are not: the exact
 * look-up costs ten times as much. */
static __always_inline bool id_in_scope(enum scope_kind kind, u64 id)
{
	struct scope_key key = {.id = id, .kind = kind};

	if (!*(volatile u32 *)scope_mark(kind, id))
		return !cfg.rules[kind].allowed;
	return rule_allows(bpf_map_lookup_elem(&scope, &key), cfg.rules[kind].allowed);
}

static __always_inline bool pid_in_scope(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (tgid == cfg.own_tgid)
		return false;
	return !has_rules(&cfg.rules[SCOPE_PID]) || id_in_scope(SCOPE_PID, tgid);
}

static __always_inline bool user_in_scope(void)
{
	u64 ids;

	if (!has_rules(&cfg.rules[SCOPE_UID]) && !has_rules(&cfg.rules[SCOPE_GID]))
		return true;
	ids = bpf_get_current_uid_gid();
	if (has_rules(&cfg.rules[SCOPE_UID]) && !id_in_scope(SCOPE_UID, (u32)ids))
		return false;
	return !has_rules(&cfg.rules[SCOPE_GID]) || id_in_scope(SCOPE_GID, ids >> 32);
}

static __always_inline bool cgroup_in_scope(void)
{
	if (!has_rules(&cfg.rules[SCOPE_CGROUP]))
		return true;
	return id_in_scope(SCOPE_CGROUP, bpf_get_current_cgroup_id());
}

/* Loads that the verifier follows by type cost an instruction each, and read 0 through a null
 * pointer; a helper that copies costs a hundred. */
static __always_inline u32 current_ns(u32 member, u32 inum)
{
	void *task, *proxy, *ns;

	task = (void *)bpf_get_current_task_btf();
	proxy = *(void **)(task + cfg.at.task_nsproxy);
	if (!proxy)
		return 0;
	ns = *(void **)(proxy + member);
	if (!ns)
		return 0;
	return *(u32 *)(ns + inum);
}

static __always_inline bool mntns_in_scope(void)
{
	if (!has_rules(&cfg.rules[SCOPE_MNTNS]))
		return true;
	if (cfg.has_task_btf)
		return id_in_scope(SCOPE_MNTNS, current_ns(cfg.at.nsproxy_mnt, cfg.at.mnt_inum));
	return id_in_scope(SCOPE_MNTNS, mntns_of(bpf_get_current_task()));
}

static __always_inline bool netns_in_scope(void)
{
	if (!has_rules(&cfg.rules[SCOPE_NETNS]))
		return true;
	if (cfg.has_task_btf)
		return id_in_scope(SCOPE_NETNS, current_ns(cfg.at.nsproxy_net, cfg.at.net_inum));
	return id_in_scope(SCOPE_NETNS, netns_of(bpf_get_current_task()));
}

static __always_inline bool pidns_in_scope(void)
{
	u64 task;

	if (!has_rules(&cfg.rules[SCOPE_PIDNS]))
		return true;
	task = bpf_get_current_task();
	return id_in_scope(SCOPE_PIDNS, pidns_of(read_word(task + cfg.at.task_thread_pid)));
}

/* The same in src/bpf/scope.rs. */
static __always_inline u32 comm_bit(const struct comm_key *key)
{
	u64 folded = (key->words[0] ^ key->words[1] * 31) * 0x9e3779b97f4a7c15ULL;

	return folded >> 48;
}

static __always_inline bool comm_in_scope(void)
{
	struct comm_key key = {};

	if (!has_rules(&cfg.comm_rules))
		return true;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (!bit_is_set(comm_bits, comm_bit(&key)))
		return !cfg.comm_rules.allowed;
	return rule_allows(bpf_map_lookup_elem(&comms, &key), cfg.comm_rules.allowed);
}

/* The cheapest first. */
static __always_inline bool in_scope(void)
{
	return pid_in_scope() && user_in_scope() && cgroup_in_scope() && mntns_in_scope() &&
	       netns_in_scope() && pidns_in_scope() && comm_in_scope();
}

#endif
