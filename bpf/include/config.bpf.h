/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All settings that are fixed before programs are loaded, in one constant struct: branches that a
 * setting disables are removed.
 *
 * It includes what other programs leave to libbpf (CO-RE relocations, kernel symbols). User space
 * has parsed the kernel's BTF already. If libbpf parsed it once more, this would take longer than
 * all other work of loading.
 */
#ifndef RETSNOOP_CONFIG_H
#define RETSNOOP_CONFIG_H

/* The attribute of a task that a scope rule matches. Thread names have a map of their own. */
enum scope_kind {
	SCOPE_PID = 0, /* process id (thread group id) */
	SCOPE_UID = 1,
	SCOPE_GID = 2,
	SCOPE_CGROUP = 3, /* the map holds every cgroup of the subtrees */
	SCOPE_MNTNS = 4,
	SCOPE_PIDNS = 5,
	SCOPE_NETNS = 6,
	SCOPE_KINDS = 7,
};

/*
 * Numbers of rules of one kind. Without allow rules, everything that is not denied is allowed. If
 * both are 0, the check of this kind is removed and costs nothing.
 */
struct scope_rules {
	__u32 allowed;
	__u32 denied;
};

/* Offsets of members, in bytes. Names consist of struct and member. */
struct task_layout {
	__u32 task_group_leader;
	__u32 task_exit_code;
	__u32 task_comm;
	__u32 task_tgid;
	__u32 task_signal;
	__u32 signal_live; /* threads that have not exited */
	__u32 signal_flags;
	__u32 signal_group_exit_code;
	__u32 task_thread_pid;
	__u32 task_cred; /* effective credentials */
	__u32 task_stack;
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
	__u32 root_hierarchy; /* 0: the unified hierarchy */
	__u32 node_id;
	__u32 thread_status; /* thread_info.status in a task; 0: there is none */
	__u32 task_fsbase; /* of thread.fsbase; 0: unknown */
};

/*
 * The same of files. All are 0 if one is not known, and where each function has programs of its
 * own: what needs loops is not read then (see syscall.bpf.h), because each of them would be
 * verified with the loops.
 */
struct file_layout {
	__u32 task_files;
	__u32 task_fs;
	__u32 files_fdt;
	__u32 fdt_max_fds;
	__u32 fdt_fd;
	__u32 file_path;
	__u32 path_mnt;
	__u32 path_dentry;
	__u32 fs_pwd;
	__u32 dentry_parent;
	__u32 dentry_name; /* of d_name.name */
	__u32 dentry_pprev; /* of d_hash.pprev */
	__u32 dentry_inode;
	__u32 inode_ino;
	__u32 inode_sb;
	__u32 sb_type;
	__u32 type_name;
	__u32 mount_mnt; /* of the vfsmount in a mount */
	__u32 mount_parent;
	__u32 mount_mountpoint;
	__u32 mnt_root;
	__u32 fs_root;
};

struct config {
	__u64 longer_ns; /* shorter sessions are not shown; 0: no limit */
	__u64 preempt_count; /* per-CPU address of preempt_count if BTF lacks it, else 0 */
	__u64 per_cpu_offset; /* address of __per_cpu_offset[], used with preempt_count */
	__u32 has_preempt_var; /* BTF has the per-CPU variable, and it is loaded by its id */
	__u32 preempt_offset; /* of preempt_count in that variable */
	struct task_layout at;
	struct file_layout file;
	__u32 max_depth; /* deeper calls are counted, not recorded; at most MAX_DEPTH */
	__u32 own_tgid; /* our own process, which opens no sessions */
	__u32 show_success; /* successful sessions are shown, too */
	struct scope_rules rules[SCOPE_KINDS];
	struct scope_rules comm_rules;
	__u32 has_any_errors; /* see filter.bpf.h */
	__u32 has_only_errors;
	__u32 has_never_errors;
	__u32 has_cookies; /* bpf_get_attach_cookie() exists */
	__u32 has_task_btf; /* bpf_get_current_task_btf() exists: since 5.11 (3ca1032ab7ab) */
	__u32 finds_types_fast; /* see fill_who_by_type() */
	__u32 hardirq_mask; /* bits of preempt_count that count hardirqs */
	__u32 nmi_mask; /* bits of preempt_count that count NMIs */
	__u32 stack_size; /* THREAD_SIZE: stacks of tasks are aligned to it */
	__u32 has_notes; /* something is noted besides calls */
	__u32 reads_arguments; /* of system calls: see syscall.bpf.h */
	__u32 answer_at; /* of a system call's result, on the stack of its task; 0: not known */
	__u32 has_errno; /* errno_places is filled in */
	__u32 tells_words; /* what tasks write to stderr, and how they end, is sent */
	__u32 flight_cpus; /* CPUs that have slots of their own: see flight.bpf.h */
	__u32 flight_slots; /* for each of them; 0: calls are not kept */
	__u32 reserved;
};

const volatile struct config cfg = {};

#endif
