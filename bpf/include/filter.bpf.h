/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Scope: whose calls open a session. Decided here, once, and never again on the way out. */
#ifndef RETSNOOP_FILTER_H
#define RETSNOOP_FILTER_H

static __always_inline bool bit_is_set(const u64 *bits, u32 index)
{
	return (bits[(index >> 6) & (SCOPE_BITS / 64 - 1)] >> (index & 63)) & 1;
}

static bool rule_allows(const u32 *rule, u32 n_allowed)
{
	if (rule && *rule == SCOPE_DENY)
		return false;
	return !n_allowed || rule;
}

/* Few tasks are named by a rule, and a bit says of nearly all others that they are not: the exact
 * look-up costs ten times as much. */
static __always_inline bool pid_in_scope(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (tgid == cfg.own_tgid)
		return false;
	if (!cfg.pids_allowed && !cfg.pids_denied)
		return true;
	if (!bit_is_set(pid_bits, tgid))
		return !cfg.pids_allowed;
	return rule_allows(bpf_map_lookup_elem(&pids, &tgid), cfg.pids_allowed);
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

	if (!cfg.comms_allowed && !cfg.comms_denied)
		return true;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (!bit_is_set(comm_bits, comm_bit(&key)))
		return !cfg.comms_allowed;
	return rule_allows(bpf_map_lookup_elem(&comms, &key), cfg.comms_allowed);
}

static __always_inline bool in_scope(void)
{
	return pid_in_scope() && comm_in_scope();
}

#endif
