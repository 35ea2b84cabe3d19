/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs for uprobes and uprobe.multi: calls and returns of user functions.
 *
 * They run when a task has entered the kernel by a breakpoint in its program. Unlike kprobe
 * programs they may be preempted, and may run inside one another's helpers: see guard.bpf.h.
 */
#ifndef RETSNOOP_UPROBES_H
#define RETSNOOP_UPROBES_H

/* Never holds a program. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} no_programs SEC(".maps");

/*
 * Makes the program use the stack of its task.
 *
 * Since 6.13 programs of this type have a stack for each CPU if they need much of it ("private
 * stack"), because the kernel runs no program inside itself. Programs of uprobes it does: where
 * they may be preempted, another task runs the same program on the same stack. On 7.3, 20 threads
 * that failed at the same time lost up to 23 of 400 sessions, and records were damaged. A program
 * with a tail call has no private stack. There always is a context, so this one is never made.
 */
static __always_inline void use_stack_of_task(void *ctx)
{
	void *same = ctx;

	/* The compiler must not know that they are the same: it would pass a 0. */
	asm volatile("" : "+r"(same));
	if (!same)
		bpf_tail_call(ctx, &no_programs, 0);
}

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

	use_stack_of_task(ctx);
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

	use_stack_of_task(ctx);
	if (!has_no_session(task))
		uprobe_call_ends(ctx, task);
	return 0;
}

#endif
