/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs for uprobes and uprobe.multi: calls and returns of user functions.
 *
 * They run when a task has entered the kernel by a breakpoint in its program. Unlike kprobe
 * programs they may be preempted, and may run inside one another's helpers: see guard.bpf.h.
 */
#ifndef RETSNOOP_UPROBES_H
#define RETSNOOP_UPROBES_H

static __noinline void uprobe_call_starts(struct pt_regs *ctx, u64 task, bool opens, u64 may_open)
{
	struct call call = {.ctx = ctx, .sp = outside_sp(regs_stack_pointer(ctx))};

	if (cfg.has_errno)
		read_errno_slot(ctx, probe_tag(ctx));
	call_starts(&call, probe_tag(ctx), task, opens, may_open);
}

static __always_inline int uprobe_entry(struct pt_regs *ctx, bool opens)
{
	bool opening = opens && may_open();
	u64 task = task_key();

	if (is_of_interest(probe_tag(ctx), task, opening))
		uprobe_call_starts(ctx, task, opens, opening);
	return 0;
}

SEC("kprobe")
int retsnoop_uprobe_opening(struct pt_regs *ctx)
{
	return uprobe_entry(ctx, true);
}

SEC("kprobe")
int retsnoop_uprobe_inner(struct pt_regs *ctx)
{
	return uprobe_entry(ctx, false);
}

static __noinline void uprobe_call_ends(struct pt_regs *ctx, u64 task)
{
	struct call call = {
		.ctx = ctx,
		.sp = outside_sp(regs_returned_stack_pointer(ctx)),
		.result = regs_result(ctx),
	};

	read_tag(&call, probe_tag(ctx));
	if (cfg.has_errno)
		call.result = with_errno(call.func, call.result);
	call_ends(&call, task, true);
}

SEC("kprobe")
int retsnoop_uprobe_return(struct pt_regs *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		uprobe_call_ends(ctx, task);
	return 0;
}

#endif
