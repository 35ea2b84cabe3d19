/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Trampolines that share most of their code. Each function has programs of its own, but these only
 * decide whether a call is of interest. The rest is in a program that is verified once and is
 * reached by a tail call. Kernels since 6.12 (28ead3eaabc1, "bpf: Prevent tail call between progs
 * attached to different hooks") refuse tail calls between programs of functions whose types differ.
 * So does Debian's 6.1, which has that commit as a backport. Debian's 5.10 allows them.
 *
 * A tail call passes nothing but the context pointer. So the tag is passed in a stack of the CPU:
 * an interrupt's programs push their tag on top, and pop it before we continue. This works only if
 * the kernel does not preempt programs.
 */
#ifndef RETSNOOP_SHARED_H
#define RETSNOOP_SHARED_H

/* Contexts nest: task, softirq, hardirq, NMI. The count and seven tags fill a cache line. */
#define MAX_TAGS 7

/* Each CPU has a cache line of its own. */
struct tag_stack {
	u64 n;
	u64 tags[MAX_TAGS];
};

struct tag_stack tag_stacks[MAX_CPUS] = {};

/* Each array holds one program, which user space stores. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} shared_entries SEC(".maps"), shared_exits SEC(".maps");

/* In a tag of a return, the offset of the result (in bytes) is above the function's tag. */
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
	/* Reserve the entry before writing it: an interrupt in between uses the next one. */
	tag_stack->n = n + 1;
	tag_stack->tags[n] = tag;
	/*
	 * The index must not be a known constant. For a constant index the kernel patches a direct
	 * jump into each program, and has to patch the programs of all functions when the array is
	 * emptied.
	 */
	bpf_tail_call(ctx, programs, verifier_opaque(0));
	/*
	 * The tail call failed: the array is empty because the run ends, or the limit of tail calls
	 * in this chain is reached.
	 */
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
int retsnoop_sharing_entry(u64 *ctx)
{
	u64 tag = patched_constant(TAG_MARK);

	if (is_of_interest(tag, task_key(), false))
		tail_call_with_tag(ctx, &shared_entries, tag);
	return 0;
}

SEC("raw_tracepoint/trampoline")
int retsnoop_shared_entry(u64 *ctx)
{
	u64 tag;

	if (pop_tag(&tag))
		trampoline_call_starts(ctx, tag, task_key(), false);
	return 0;
}

SEC("raw_tracepoint/trampoline")
int retsnoop_sharing_exit(u64 *ctx)
{
	u64 offset = patched_constant(RESULT_OFFSET_MARK);

	if (!has_no_session(task_key()))
		tail_call_with_tag(ctx, &shared_exits,
				   patched_constant(TAG_MARK) | offset << OFFSET_SHIFT);
	return 0;
}

SEC("raw_tracepoint/trampoline")
int retsnoop_shared_exit(u64 *ctx)
{
	u64 tag;

	if (pop_tag(&tag))
		trampoline_call_ends(ctx, task_key(), tag, tag >> OFFSET_SHIFT);
	return 0;
}

#endif
