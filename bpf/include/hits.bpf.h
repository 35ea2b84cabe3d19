/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How often each traced function is called, in all tasks. The governor (src/run/governor.rs)
 * decides by these numbers. Every 61st call on a CPU is counted, as 61 calls. So a call costs only
 * a decrement, and the function's tag is read only for counted calls. The period is a prime,
 * because periodic sequences of calls rarely have a length that is a multiple of 61, while
 * multiples of a power of two are common.
 *
 * Also records whether user space still reads: it regularly extends a deadline, and after the
 * deadline no session opens.
 */
#ifndef RETSNOOP_HITS_H
#define RETSNOOP_HITS_H

#define HIT_PERIOD 61

#define BPF_F_MMAPABLE (1U << 10) /* from linux/bpf.h */

/*
 * User space maps the memory of both maps: src/bpf/sys/mapped.rs has the reason. struct hits is
 * read as one number of 64 bits.
 */
struct hits {
	u32 calls; /* all calls; wraps around */
	u32 inside; /* calls in tasks that have a session or open one; wraps around */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* number of functions, set by user space */
	__type(key, u32);
	__type(value, struct hits);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64); /* deadline of user space's sign of life, CLOCK_MONOTONIC */
} alive SEC(".maps");

/* One cache line for each CPU, which prevents false sharing. */
struct tick {
	u32 left;
	u32 padding[15];
};

struct tick ticks[MAX_CPUS] = {};

/*
 * Returns whether this call is counted. The counter of a CPU needs no lock: an interrupt or another
 * task in between may count one call twice or not at all, which is less than the error of sampling.
 */
static __always_inline bool is_sampled(void)
{
	volatile u32 *left = &ticks[bpf_get_smp_processor_id() & (MAX_CPUS - 1)].left;
	u32 now = *left;

	*left = (now ? now : HIT_PERIOD) - 1;
	return !now;
}

static __noinline void count_call(u64 tag)
{
	u32 func = tag;
	struct hits *of = bpf_map_lookup_elem(&hits, &func);

	if (of)
		__sync_fetch_and_add(&of->calls, HIT_PERIOD);
}

static __noinline void count_inside(u64 tag)
{
	u32 func = tag;
	struct hits *of = bpf_map_lookup_elem(&hits, &func);

	if (of)
		__sync_fetch_and_add(&of->inside, HIT_PERIOD);
}

static bool is_read(u64 now)
{
	u32 zero = 0;
	u64 *until = bpf_map_lookup_elem(&alive, &zero);

	return until && now < *until;
}

#endif
