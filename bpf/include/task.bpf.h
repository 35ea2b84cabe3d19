/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Namespaces of a task, and its ids in its own PID namespace. */
#ifndef RETSNOOP_TASK_H
#define RETSNOOP_TASK_H

static __always_inline u64 read_word(u64 at)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)at);
	return value;
}

static __always_inline u32 read_half(u64 at)
{
	u32 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)at);
	return value;
}

/* Namespaces of an exiting task are gone: the result is 0. */
static u32 mntns_of(u64 task)
{
	u64 proxy = read_word(task + cfg.at.task_nsproxy);
	u64 ns = proxy ? read_word(proxy + cfg.at.nsproxy_mnt) : 0;

	return ns ? read_half(ns + cfg.at.mnt_inum) : 0;
}

static u32 netns_of(u64 task)
{
	u64 proxy = read_word(task + cfg.at.task_nsproxy);
	u64 ns = proxy ? read_word(proxy + cfg.at.nsproxy_net) : 0;

	return ns ? read_half(ns + cfg.at.net_inum) : 0;
}

/* Layout of struct upid: an int, and a pointer to the namespace. */
#define UPID_SIZE 16
#define UPID_NS 8

/*
 * Returns the address of the last struct upid of a struct pid, which is for the task's own PID
 * namespace.
 */
static u64 innermost_upid(u64 pid)
{
	return pid + cfg.at.pid_numbers + UPID_SIZE * (u64)read_half(pid + cfg.at.pid_level);
}

static u32 innermost_id(u64 pid)
{
	return pid ? read_half(innermost_upid(pid)) : 0;
}

static u32 pidns_of(u64 pid)
{
	u64 ns = pid ? read_word(innermost_upid(pid) + UPID_NS) : 0;

	return ns ? read_half(ns + cfg.at.pidns_inum) : 0;
}

#endif
