/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs at the return of system calls, whatever functions are traced. They count the calls that
 * fail, also those that seccomp refuses before any function of theirs is called, and send what is
 * written to stderr.
 */
#ifndef RETSNOOP_FAILING_H
#define RETSNOOP_FAILING_H

struct failing_call {
	u32 number;
	u16 is_compat; /* the number is of the 32-bit table */
	u16 code; /* the errno */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set by user space if calls are counted */
	__type(key, struct failing_call);
	__type(value, u64);
} failing_calls SEC(".maps");

/* Calls that found no room. */
u64 failing_calls_lost;

/* An errno, and none of those with which the kernel starts a call again after a signal. */
static __always_inline bool is_failed_call(s64 result)
{
	return result < 0 && result >= -MAX_ERRNO && !(result <= -512 && result >= -516);
}

static __noinline void count_failing_call(u32 number, s64 result)
{
	struct failing_call call = {
		.number = number,
		.is_compat = is_compat_call(),
		.code = -result,
	};
	u64 *count = bpf_map_lookup_elem(&failing_calls, &call);
	u64 one = 1;

	if (count)
		__sync_fetch_and_add(count, 1);
	else if (bpf_map_update_elem(&failing_calls, &call, &one, BPF_NOEXIST)) {
		/* Another CPU was faster, or there is no room. */
		count = bpf_map_lookup_elem(&failing_calls, &call);
		if (count)
			__sync_fetch_and_add(count, 1);
		else
			__sync_fetch_and_add(&failing_calls_lost, 1);
	}
}

/* Returns whether something is to be done about a call with this result. */
static __always_inline bool is_call_of_interest(s64 result)
{
	return ready && (is_failed_call(result) || (cfg.tells_words && result > 0)) && in_scope();
}

/* Arguments of the raw tracepoint: the saved registers, and the result. */
SEC("raw_tracepoint/sys_exit")
int retsnoop_call_failed(u64 *ctx)
{
	u32 number;

	if (!is_call_of_interest(ctx[1]))
		return 0;
	number = regs_syscall_number(ctx[0]);
	if (is_failed_call(ctx[1]))
		count_failing_call(number, ctx[1]);
	else if (is_write(number))
		tell_output(ctx[0], number, ctx[1]);
	return 0;
}

/* The same for a perf event. User space checks its format before (src/bpf/tasks.rs). */
struct call_returned {
	u64 common;
	s64 id;
	s64 ret;
};

SEC("tracepoint/raw_syscalls/sys_exit")
int retsnoop_call_failed_event(struct call_returned *ctx)
{
	if (!is_call_of_interest(ctx->ret))
		return 0;
	if (is_failed_call(ctx->ret))
		count_failing_call(ctx->id, ctx->ret);
	else if (is_write(ctx->id))
		tell_output(syscall_registers(), ctx->id, ctx->ret);
	return 0;
}

#endif
