// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * BPF programs. Each determines which function was called or returned, its stack pointer and its
 * result, and passes them to the algorithm in stack.bpf.h. The back end decides which programs are
 * loaded (src/bpf/attach).
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "events.h"
#include "config.bpf.h"
#include "patched.bpf.h"
#include "maps.bpf.h"
#include "task.bpf.h"
#include "arch.bpf.h"
#include "context.bpf.h"
#include "hits.bpf.h"
#include "classify.bpf.h"
#include "filter.bpf.h"
#include "follow.bpf.h"
#include "guard.bpf.h"
#include "session.bpf.h"
#include "frames.bpf.h"
#include "capture.bpf.h"
#include "notes.bpf.h"
#include "files.bpf.h"
#include "syscall.bpf.h"
#include "arguments.bpf.h"
#include "emit.bpf.h"
#include "records.bpf.h"
#include "flight.bpf.h"
#include "stack.bpf.h"
#include "calls.bpf.h"
#include "kprobes.bpf.h"
#include "trampolines.bpf.h"
#include "at_syscalls.bpf.h"
#include "errno.bpf.h"
#include "uprobes.bpf.h"
#include "shared.bpf.h"
#include "note_programs.bpf.h"
#include "usdt.bpf.h"
#include "told.bpf.h"
#include "failing.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* BTF roots. libbpf-cargo generates Rust types for these structs, which no map mentions. */
struct rec_stack rec_stack_root = {};
struct rec_session rec_session_root = {};
struct rec_context rec_context_root = {};
struct rec_cgroup rec_cgroup_root = {};
struct rec_note rec_note_root = {};
struct rec_syscall rec_syscall_root = {};
struct rec_output rec_output_root = {};
struct rec_exit rec_exit_root = {};

/*
 * Programs of tracepoints.
 *
 * Since 7.0 (a46023d5616e, "tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with
 * SRCU-fast") they may be preempted, and may run at the same time as another one on the same CPU.
 * So none of them has per-CPU state. Their state is on their stacks, in maps with locks, in
 * counters that are incremented atomically, and in the session of the task that they run in.
 */

SEC("raw_tracepoint/sched_process_exit")
int retsnoop_task_exit(void *ctx)
{
	/* Before follow_exit() removes the rule. */
	bool is_told = cfg.tells_words && ready && in_scope();

	if (follow_exit() && is_told)
		tell_exit();
	close_session_of_exiting_task();
	return 0;
}

/* Arguments of the raw tracepoint: the parent task and the child task. */
SEC("raw_tracepoint/sched_process_fork")
int retsnoop_task_fork(u64 *ctx)
{
	follow_fork(ctx[0], ctx[1]);
	return 0;
}

/*
 * The same for a perf event, whose fields are numbers. User space checks its format before
 * (src/bpf/tasks.rs).
 */
#define CLONE_THREAD 0x10000

struct new_task {
	u64 common;
	u32 pid;
	char comm[16];
	u64 clone_flags;
};

SEC("tracepoint/task/task_newtask")
int retsnoop_task_new(struct new_task *ctx)
{
	if (!(ctx->clone_flags & CLONE_THREAD))
		follow_child(bpf_get_current_pid_tgid() >> 32, ctx->pid);
	return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int retsnoop_task_exec(u64 *ctx)
{
	follow_exec();
	close_session_of_replaced_program();
	return 0;
}

/* Arguments of the raw tracepoints: the cgroup and its path. */
SEC("raw_tracepoint/cgroup_mkdir")
int retsnoop_cgroup_made(u64 *ctx)
{
	follow_mkdir(ctx[0], (const char *)ctx[1]);
	return 0;
}

SEC("raw_tracepoint/cgroup_rmdir")
int retsnoop_cgroup_removed(u64 *ctx)
{
	follow_rmdir(ctx[0], (const char *)ctx[1]);
	return 0;
}
