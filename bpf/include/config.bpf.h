/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Everything user space decides before load, in one struct: unused branches are pruned.
 *
 * What other programs leave to libbpf (CO-RE, kernel symbols) is in here, too: user space has
 * read the kernel's BTF for itself, and libbpf reading it once more takes longer than all the
 * rest of loading. */
#ifndef RETSNOOP_CONFIG_H
#define RETSNOOP_CONFIG_H

/* By what a task is in scope; thread names have a map of their own. */
enum scope_kind {
	SCOPE_PID = 0, /* thread group */
	SCOPE_UID = 1,
	SCOPE_GID = 2,
	SCOPE_CGROUP = 3, /* each cgroup of the subtrees is in the map */
	SCOPE_MNTNS = 4,
	SCOPE_PIDNS = 5,
	SCOPE_NETNS = 6,
	SCOPE_KINDS = 7,
};

/* Rules of a kind. Allowed 0: all are. Both 0: the kind costs nothing, its branches are pruned. */
struct scope_rules {
	__u32 allowed;
	__u32 denied;
};

/* Offsets of members, in bytes. */
struct task_layout {
	__u32 task_group_leader;
	__u32 task_comm;
	__u32 task_tgid;
	__u32 task_signal;
	__u32 signal_live; /* threads that have not exited */
	__u32 task_thread_pid;
	__u32 task_cred; /* the effective one */
	__u32 cred_euid;
	__u32 cred_egid;
	__u32 pid_level;
	__u32 pid_numbers;
	__u32 task_nsproxy;
	__u32 nsproxy_mnt;
	__u32 nsproxy_net;
	__u32 mnt_inum; /* of ns.inum in struct mnt_namespace */
	__u32 net_inum;
	__u32 pidns_inum;
	__u32 cgroup_parent; /* of self.parent in struct cgroup */
	__u32 cgroup_node;
	__u32 cgroup_root;
	__u32 root_hierarchy; /* 0: the unified one */
	__u32 node_id;
};

struct config {
	__u64 longer_ns; /* sessions shorter than this are not shown; 0: all */
	__u64 preempt_count; /* per-CPU address of preempt_count where BTF lacks it, else 0 */
	__u64 per_cpu_offset; /* address of __per_cpu_offset[], with the above */
	__u32 has_preempt_var; /* BTF has the per-CPU variable: it is loaded by its id */
	__u32 preempt_offset; /* of preempt_count in that variable */
	struct task_layout at;
	__u32 max_depth; /* calls beyond it are counted, not recorded; at most MAX_DEPTH */
	__u32 own_tgid; /* our own process opens no sessions */
	__u32 show_success; /* sessions that succeed are shown too */
	struct scope_rules rules[SCOPE_KINDS];
	struct scope_rules comm_rules;
	__u32 has_any_errors; /* see filter.bpf.h */
	__u32 has_only_errors;
	__u32 has_never_errors;
	__u32 has_cookies; /* bpf_get_attach_cookie() exists */
	__u32 has_task_btf; /* bpf_get_current_task_btf() exists: since 5.11 (3ca1032ab7ab) */
	__u32 finds_types_fast; /* see fill_who_by_type() */
	__u32 hardirq_mask; /* bits of preempt_count that count hardirqs */
	__u32 nmi_mask; /* and those that count NMIs */
	__u32 stack_size; /* THREAD_SIZE: stacks of tasks are aligned to it */
};

const volatile struct config cfg = {};

#endif
