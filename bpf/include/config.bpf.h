/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Everything user space decides before load, in one struct: unused branches are pruned.
 *
 * What other programs leave to libbpf (CO-RE, kernel symbols) is in here, too: user space has
 * read the kernel's BTF for itself, and libbpf reading it once more takes longer than all the
 * rest of loading. */
#ifndef RETSNOOP_CONFIG_H
#define RETSNOOP_CONFIG_H

struct config {
	__u64 longer_ns; /* sessions shorter than this are not shown; 0: all */
	__u64 preempt_count; /* per-CPU address of preempt_count where BTF lacks it, else 0 */
	__u64 per_cpu_offset; /* address of __per_cpu_offset[], with the above */
	__u32 has_preempt_var; /* BTF has the per-CPU variable: it is loaded by its id */
	__u32 preempt_offset; /* of preempt_count in that variable */
	__u32 task_group_leader; /* offsets in struct task_struct */
	__u32 task_comm;
	__u32 max_depth; /* calls beyond it are counted, not recorded; at most MAX_DEPTH */
	__u32 own_tgid; /* our own process opens no sessions */
	__u32 show_success; /* sessions that succeed are shown too */
	__u32 pids_allowed; /* number of tgids in `pids` that are allowed; 0: all */
	__u32 pids_denied;
	__u32 comms_allowed;
	__u32 comms_denied;
	__u32 has_cookies; /* bpf_get_attach_cookie() exists */
};

const volatile struct config cfg = {};

#endif
