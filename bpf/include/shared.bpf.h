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
#define MAX_HANDED 7

/* A cache line each. */
struct handover {
	u64 n;
	u64 tags[MAX_HANDED];
};

struct handover handovers[MAX_CPUS] = {};

/* One of each, filled by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} shared_entries SEC(".maps"), shared_exits SEC(".maps");

/* Where the result is, above the function's tag. */
#define OFFSET_SHIFT 48

static __always_inline volatile struct handover *handover_of_cpu(void)
{
	return &handovers[bpf_get_smp_processor_id() & (MAX_CPUS - 1)];
}

static __always_inline void go_on_in(void *ctx, void *programs, u64 tag)
{
	volatile struct handover *handover = handover_of_cpu();
	u64 n = handover->n;

	if (n >= MAX_HANDED) {
		COUNT(not_handed);
		return;
	}
	/* In this order: who interrupts us takes the next place. */
	handover->n = n + 1;
	handover->tags[n] = tag;
	/* Were the index known, the kernel would make a jump of it, and change the code of every
	 * function's programs when the array is emptied. */
	bpf_tail_call(ctx, programs, unknown(0));
	/* It is empty (the run ends), or the kernel allows no more tail calls in this chain. */
	COUNT(not_handed);
	handover->n = n;
}

static __always_inline bool take_handed(u64 *tag)
{
	volatile struct handover *handover = handover_of_cpu();
	u64 n = handover->n - 1;

	if (n >= MAX_HANDED)
		return false;
	*tag = handover->tags[n];
	handover->n = n;
	return true;
}

SEC("raw_tracepoint/trampoline")
int sharing_entry(u64 *ctx)
{
	u64 tag = patched_constant(TAG_MARK);

	if (is_of_interest(tag, task_key(), false))
		go_on_in(ctx, &shared_entries, tag);
	return 0;
}

SEC("raw_tracepoint/trampoline")
int shared_entry(u64 *ctx)
{
	u64 tag;

	if (take_handed(&tag))
		trampoline_call_starts(ctx, tag, task_key(), false);
	return 0;
}

SEC("raw_tracepoint/trampoline")
int sharing_exit(u64 *ctx)
{
	u64 offset = patched_constant(RESULT_OFFSET_MARK);

	if (!has_no_session(task_key()))
		go_on_in(ctx, &shared_exits, patched_constant(TAG_MARK) | offset << OFFSET_SHIFT);
	return 0;
}

SEC("raw_tracepoint/trampoline")
int shared_exit(u64 *ctx)
{
	u64 tag;

	if (take_handed(&tag))
		trampoline_call_ends(ctx, task_key(), tag, tag >> OFFSET_SHIFT);
	return 0;
}

#endif
