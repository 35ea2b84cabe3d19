/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Scope: in which tasks entry functions open sessions. It is checked once, when a session would
 * open, and not again at its end. A task must match the rules of every kind; of the rules of one
 * kind, one must match.
 */
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

/* scope_mark() in src/bpf/scope.rs has the same hash function. */
static __always_inline u32 *scope_mark(enum scope_kind kind, u64 id)
{
	u32 hash = ((u32)id + (u32)kind * 0x2545f491U) * 0x9e3779b1U;

	return (u32 *)&scope_marks[hash >> (32 - SCOPE_MARK_BITS)];
}

/* Returns whether the rules of a kind let a task with this id open sessions. */
static __always_inline bool id_in_scope(enum scope_kind kind, u64 id)
{
	struct scope_key key = {.id = id, .kind = kind};

	/*
	 * Few tasks are named by a rule. For nearly all others the mark is 0, which answers without
	 * the map. The lookup in the map costs ten times as much.
	 */
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

/*
 * The functions below read members in two ways. Loads by type, which the verifier checks, cost one
 * instruction each, and read 0 through a null pointer. Without BTF for the current task, a helper
 * copies each value, which costs a hundred instructions.
 */

/*
 * Returns an effective id, as the initial user namespace numbers it. bpf_get_current_uid_gid() has
 * the real ids only.
 */
static __always_inline u32 current_id(u32 member)
{
	void *task, *cred;

	if (!cfg.has_task_btf)
		return read_half(read_word(bpf_get_current_task() + cfg.at.task_cred) + member);
	task = (void *)bpf_get_current_task_btf();
	cred = *(void **)(task + cfg.at.task_cred);
	return cred ? *(u32 *)(cred + member) : 0;
}

static __always_inline bool user_in_scope(void)
{
	if (has_rules(&cfg.rules[SCOPE_UID]) &&
	    !id_in_scope(SCOPE_UID, current_id(cfg.at.cred_euid)))
		return false;
	return !has_rules(&cfg.rules[SCOPE_GID]) ||
	       id_in_scope(SCOPE_GID, current_id(cfg.at.cred_egid));
}

static __always_inline bool cgroup_in_scope(void)
{
	if (!has_rules(&cfg.rules[SCOPE_CGROUP]))
		return true;
	return id_in_scope(SCOPE_CGROUP, bpf_get_current_cgroup_id());
}

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

static __always_inline u32 current_pidns(void)
{
	u64 pid = 0, at, ns;
	void *by_type, *ns_by_type;
	u32 level;

	if (!cfg.has_task_btf)
		return pidns_of(read_word(bpf_get_current_task() + cfg.at.task_thread_pid));
	by_type = *(void **)((void *)bpf_get_current_task_btf() + cfg.at.task_thread_pid);
	if (!by_type)
		return 0;
	level = *(u32 *)(by_type + cfg.at.pid_level);
	if (!level) {
		ns_by_type = *(void **)(by_type + cfg.at.pid_numbers + UPID_NS);
		return ns_by_type ? *(u32 *)(ns_by_type + cfg.at.pidns_inum) : 0;
	}
	/* With typed pointers, the verifier allows only constant indices. */
	pid = read_word(bpf_get_current_task() + cfg.at.task_thread_pid);
	at = pid + cfg.at.pid_numbers + UPID_SIZE * (u64)level + UPID_NS;
	ns = read_word(at);
	return ns ? read_half(ns + cfg.at.pidns_inum) : 0;
}

static __always_inline bool pidns_in_scope(void)
{
	return !has_rules(&cfg.rules[SCOPE_PIDNS]) || id_in_scope(SCOPE_PIDNS, current_pidns());
}

/* comm_bit() in src/bpf/scope.rs has the same hash function. */
static __always_inline u32 comm_bit(const struct comm_key *key)
{
	u64 folded = (key->words[0] ^ key->words[1] * 31) * 0x9e3779b97f4a7c15ULL;

	return folded >> 48;
}

#define LOW_BITS 0x0101010101010101ULL
#define HIGH_BITS 0x8080808080808080ULL

/*
 * Returns a word that has the high bit of each zero byte set. Only the lowest of these bits is
 * exact: bytes above it may be marked wrongly.
 */
static __always_inline u64 zero_bytes(u64 word)
{
	return (word - LOW_BITS) & ~word & HIGH_BITS;
}

/*
 * Clears the bytes after the end of a string. Kernels before 5.17 (06c5088aeeda, "fs/exec: replace
 * strlcpy with strscpy_pad in __set_task_comm") leave a part of the previous name there.
 */
static __always_inline u64 ended(u64 word, u64 zeroes)
{
	return zeroes ? word & (((zeroes & -zeroes) >> 7) - 1) : word;
}

static __always_inline void read_comm(struct comm_key *key)
{
	u64 zeroes;
	void *comm;

	if (!cfg.has_task_btf) {
		bpf_get_current_comm(key->comm, sizeof(key->comm));
		return;
	}
	comm = (void *)bpf_get_current_task_btf() + cfg.at.task_comm;
	key->words[0] = *(u64 *)comm;
	zeroes = zero_bytes(key->words[0]);
	key->words[0] = ended(key->words[0], zeroes);
	if (zeroes)
		return;
	key->words[1] = *(u64 *)(comm + 8);
	key->words[1] = ended(key->words[1], zero_bytes(key->words[1]));
}

static __always_inline bool comm_in_scope(void)
{
	struct comm_key key = {};

	if (!has_rules(&cfg.comm_rules))
		return true;
	read_comm(&key);
	if (!bit_is_set(comm_bits, comm_bit(&key)))
		return !cfg.comm_rules.allowed;
	return rule_allows(bpf_map_lookup_elem(&comms, &key), cfg.comm_rules.allowed);
}

/* The cheapest checks come first. */
static __always_inline bool in_scope(void)
{
	return pid_in_scope() && user_in_scope() && cgroup_in_scope() && mntns_in_scope() &&
	       netns_in_scope() && pidns_in_scope() && comm_in_scope();
}

/*
 * -x, -X and --any-error. User space applies them to the chain. What can be decided without the
 * chain is decided here, before anything is sent. -x and -X are about the entry function's own
 * result. If that is no failure (a request was answered, or the function returns nothing), the
 * first failure on the chain counts instead, which is not known here. Then -x leaves out a session
 * only if no call in it failed with a wanted error.
 */

/* Bit sets, indexed by errno; bit 0 is NULL. */
const volatile u64 any_errors[(MAX_ERRNO + 1) / 64] = {};
const volatile u64 only_errors[(MAX_ERRNO + 1) / 64] = {};
const volatile u64 never_errors[(MAX_ERRNO + 1) / 64] = {};

static __always_inline bool error_is_among(const volatile u64 *errors, s32 code)
{
	u32 index = code == CODE_NULL ? 0 : -code;

	/*
	 * A successful call has no error code, although the request that it handled may have
	 * failed.
	 */
	if (!code)
		return false;
	return index <= MAX_ERRNO && (errors[(index >> 6) & (MAX_ERRNO / 64)] >> (index & 63)) & 1;
}

static __always_inline bool is_wanted_error(s32 code)
{
	return cfg.has_only_errors && error_is_among(only_errors, code);
}

/* Bits of session.wanted_errors: a call has failed with an error of -x, or of --any-error. */
enum wanted {
	WANTED_ONLY = 1,
	WANTED_ANY = 2,
};

static __always_inline u32 wanted_by(s32 code)
{
	u32 wanted = is_wanted_error(code) ? WANTED_ONLY : 0;

	if (cfg.has_any_errors && error_is_among(any_errors, code))
		wanted |= WANTED_ANY;
	return wanted;
}

static __always_inline bool is_unwanted_error(s32 code)
{
	return cfg.has_never_errors && error_is_among(never_errors, code);
}

#endif
