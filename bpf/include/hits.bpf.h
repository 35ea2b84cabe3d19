/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How often each traced function is called, by whomever: what the governor (src/app/governor.rs)
 * decides by. Every 61st call on a CPU is counted, as 61: so a call costs a decrement, and only
 * the counted ones ask which function they are of. A prime, because calls that come in a cycle of
 * its length are rarer than those in cycles of any power of two.
 *
 * Also whether anybody reads: user space says once in a while that it is alive, and where it has
 * not for a while no session opens.
 */
#ifndef RETSNOOP_HITS_H
#define RETSNOOP_HITS_H

#define HIT_PERIOD 61

struct hits {
	u32 calls; /* all, wrapping */
	u32 inside; /* those in tasks that have a session, or open one */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* number of functions: set by user space */
	__type(key, u32);
	__type(value, struct hits);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64); /* until when user space counts as alive (CLOCK_MONOTONIC) */
} alive SEC(".maps");

/* A cache line each: CPUs must not wait for one another. */
struct tick {
	u32 left;
	u32 padding[15];
};

struct tick ticks[MAX_CPUS] = {};

/* Per CPU, without a lock: an interrupt or a task in between may count one call twice or not at
 * all, which is within what sampling misses anyway. */
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
