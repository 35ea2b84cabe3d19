/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Scope: whose calls open a session. Decided here, once, and never again on the way out. */
#ifndef RETSNOOP_FILTER_H
#define RETSNOOP_FILTER_H

static bool rule_allows(const u32 *rule, u32 n_allowed)
{
	if (rule && *rule == SCOPE_DENY)
		return false;
	return !n_allowed || rule;
}

static bool pid_in_scope(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (tgid == cfg.own_tgid)
		return false;
	if (!cfg.pids_allowed && !cfg.pids_denied)
		return true;
	return rule_allows(bpf_map_lookup_elem(&pids, &tgid), cfg.pids_allowed);
}

static bool comm_in_scope(void)
{
	struct comm_key key = {};

	if (!cfg.comms_allowed && !cfg.comms_denied)
		return true;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	return rule_allows(bpf_map_lookup_elem(&comms, &key), cfg.comms_allowed);
}

static bool in_scope(void)
{
	return pid_in_scope() && comm_in_scope();
}

#endif
