/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Trampolines that share most of their programs. Each function has programs of its own, but these
 * only tell whether a call is of interest, and go on in one that was verified once, by a tail call.
 * Kernels since 6.12 (28ead3eaabc1, "bpf: Prevent tail call between progs attached to different
 * hooks") refuse tail calls between programs of functions whose types differ. So does Debian's 6.1,
 * which has that commit as a backport; Debian's 5.10 allows them.
 *
 * A tail call brings nothing along but the context, so the tag is handed over on the CPU, in a
 * stack: an interrupt's programs put theirs on top and take it again before we go on. That is so
 * only where the kernel does not preempt programs.
 */
#ifndef RETSNOOP_SHARED_H
#define RETSNOOP_SHARED_H

/* Tasks, two kinds of interrupts and NMIs. */
#define MAX_TAGS 7

/* A cache line each. */
struct tag_stack {
	u64 n;
	u64 tags[MAX_TAGS];
};

struct tag_stack tag_stacks[MAX_CPUS] = {};

/* One of each, filled by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} shared_entries SEC(".maps"), shared_exits SEC(".maps");

/* Where the result is, above the function's tag. */
#define OFFSET_SHIFT 48

static __always_inline volatile struct tag_stack *tag_stack_of_cpu(void)
{
	return &tag_stacks[bpf_get_smp_processor_id() & (MAX_CPUS - 1)];
}

static __always_inline void tail_call_with_tag(void *ctx, void *programs, u64 tag)
{
	volatile struct tag_stack *tag_stack = tag_stack_of_cpu();
	u64 n = tag_stack->n;

	if (n >= MAX_TAGS) {
		COUNT(failed_tail_calls);
		return;
	}
	/* In this order: who interrupts us takes the next place. */
	tag_stack->n = n + 1;
	tag_stack->tags[n] = tag;
	/* Were the index known, the kernel would make a jump of it, and change the code of every
	 * function's programs when the array is emptied. */
	bpf_tail_call(ctx, programs, verifier_opaque(0));
	/* It is empty (the run ends), or the kernel allows no more tail calls in this chain. */
	COUNT(failed_tail_calls);
	tag_stack->n = n;
}

static __always_inline bool pop_tag(u64 *tag)
{
	volatile struct tag_stack *tag_stack = tag_stack_of_cpu();
	u64 n = tag_stack->n - 1;

	if (n >= MAX_TAGS)
		return false;
	*tag = tag_stack->tags[n];
	tag_stack->n = n;
	return true;
}

SEC("raw_tracepoint/trampoline")
int sharing_entry(u64 *ctx)
{
	u64 tag = patched_constant(TAG_MARK);

	if (is_of_interest(tag, task_key(), false))
		tail_call_with_tag(ctx, &shared_entries, tag);
	return 0;
}

SEC("raw_tracepoint/trampoline")
int shared_entry(u64 *ctx)
{
	u64 tag;

	if (pop_tag(&tag))
		trampoline_call_starts(ctx, tag, task_key(), false);
	return 0;
}

SEC("raw_tracepoint/trampoline")
int sharing_exit(u64 *ctx)
{
	u64 offset = patched_constant(RESULT_OFFSET_MARK);

	if (!has_no_session(task_key()))
		tail_call_with_tag(ctx, &shared_exits,
				   patched_constant(TAG_MARK) | offset << OFFSET_SHIFT);
	return 0;
}

SEC("raw_tracepoint/trampoline")
int shared_exit(u64 *ctx)
{
	u64 tag;

	if (pop_tag(&tag))
		trampoline_call_ends(ctx, task_key(), tag, tag >> OFFSET_SHIFT);
	return 0;
}

#endif
