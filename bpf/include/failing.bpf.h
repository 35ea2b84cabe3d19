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

/*
 * All tasks of the machine come here at each return of a system call, so the cheapest questions are
 * asked first. `regs` is 0 if it is not at hand.
 */
static __always_inline void call_returned(u32 number, s64 result, u64 regs)
{
	if (is_failed_call(result)) {
		if (in_scope())
			count_failing_call(number, result);
	} else if (cfg.tells_words && result > 0 && is_write(number) && in_scope()) {
		tell_output(regs ? regs : syscall_registers(), number, result);
	}
}

/* Arguments of the raw tracepoint: the saved registers, and the result. */
SEC("raw_tracepoint/sys_exit")
int retsnoop_call_failed(u64 *ctx)
{
	s64 result = ctx[1];

	if (ready && (is_failed_call(result) || (cfg.tells_words && result > 0)))
		call_returned(regs_syscall_number(ctx[0]), result, ctx[0]);
	return 0;
}

/* The same for a perf event. User space checks its format before (src/bpf/tasks.rs). */
struct call_return {
	u64 common;
	s64 id;
	s64 ret;
};

SEC("tracepoint/raw_syscalls/sys_exit")
int retsnoop_call_failed_event(struct call_return *ctx)
{
	if (ready)
		call_returned(ctx->id, ctx->ret, 0);
	return 0;
}

#endif
