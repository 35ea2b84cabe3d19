/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs at sys_enter and sys_exit. They stand for the entry functions of all system calls, where
 * each of these functions would need programs or probes of its own. The registers that the entry
 * code has saved are at the end of the task's stack, above all frames: their address serves as the
 * call's stack pointer.
 *
 * seccomp refuses calls before sys_enter, so a refused call opens no session here. The function
 * that filters does (usecases/any.toml).
 */
#ifndef RETSNOOP_AT_SYSCALLS_H
#define RETSNOOP_AT_SYSCALLS_H

/* The tags of the functions of system calls, by number. 0: not traced. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SYSCALLS);
	__type(key, u32);
	__type(value, u64);
} syscall_tags SEC(".maps");

/* Returns the tag of a system call's function, or 0 if it is not traced. */
static __always_inline u64 tag_of_syscall(u32 number)
{
	u64 *tag = bpf_map_lookup_elem(&syscall_tags, &number);

	return tag ? *tag : 0;
}

static __noinline void syscall_starts(u64 *ctx, u64 tag, u64 task, u64 may_open)
{
	struct call call = {.ctx = ctx, .sp = ctx[0], .is_at_syscall = true};

	call_starts(&call, tag, task, true, may_open);
}

/* Arguments of the raw tracepoint: the saved registers, and the number. */
SEC("raw_tracepoint/sys_enter")
int retsnoop_syscall_entry(u64 *ctx)
{
	u64 opening, task, tag;

	if (!ready)
		return 0;
	tag = tag_of_syscall(ctx[1]);
	if (!tag || is_compat_call())
		return 0;
	opening = may_open();
	task = task_key();
	if (is_of_interest(tag, task, opening))
		syscall_starts(ctx, tag, task, opening);
	return 0;
}

static __noinline void syscall_ends(u64 *ctx, u64 task, u64 tag)
{
	struct call call = {
		.ctx = ctx,
		.sp = ctx[0],
		.result = ctx[1],
		.is_at_syscall = true,
	};

	read_tag(&call, tag);
	call_ends(&call, task, true);
}

/*
 * Ends the session that this system call has opened, whatever is known of the call now: it may not
 * be traced any more, or may have executed a 32-bit program, which makes it look like a call of
 * that table.
 */
static __noinline void opening_syscall_ends(u64 *ctx, u64 task)
{
	struct call call = {
		.ctx = ctx,
		.sp = ctx[0],
		.result = ctx[1],
		.is_at_syscall = true,
	};
	enum execution_context context;
	struct session *session;
	struct guard guard;
	u64 key = session_key(task, &context);

	if (!key || !enter_guard(&guard, key))
		return;
	session = find_session(key);
	if (session && session->frames[0].sp == call.sp) {
		call.func = session->frames[0].func;
		call.class = session->frames[0].class;
		take_return(&call, session, true);
	}
	leave_guard(&guard);
}

/* Arguments of the raw tracepoint: the saved registers, and the result. */
SEC("raw_tracepoint/sys_exit")
int retsnoop_syscall_exit(u64 *ctx)
{
	u64 task = task_key();
	u64 tag;

	if (has_no_session(task))
		return 0;
	tag = is_compat_call() ? 0 : tag_of_syscall(regs_syscall_number(ctx[0]));
	if (tag)
		syscall_ends(ctx, task, tag);
	else
		opening_syscall_ends(ctx, task);
	return 0;
}

#endif
