// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The algorithm of bpf/include/stack.bpf.h as an ordinary program, against stub helpers: reads
 * calls and returns, prints what becomes of the sessions. For tests/it/heart.rs.
 *
 *   c FUNC CLASS SP CONTEXT OPENS   a traced function is called
 *   r FUNC SP CONTEXT RESULT        it returns
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#undef __always_inline
#define __always_inline inline
/* stdlib.h has a function of this name. */
#define on_exit return_of_call
#define __noinline
#define barrier_var(variable) __asm__ volatile("" : "+r"(variable))
/* Settings are constants in the kernel, but set at run time here. */
#define const
#define RETSNOOP_PATCHED_H
#define patched_constant(mark) 0ULL

#include "vmlinux.h"
#include "events.h"
#include "config.bpf.h"
#include "maps.bpf.h"

#define N_SLOTS 4

static struct session the_slots[N_SLOTS];
static u64 keys[N_SLOTS];
static u32 slots_of_keys[N_SLOTS];
static u32 pool[N_SLOTS];
static u32 n_pool;
static u64 for_ever = ~0ULL;
static u64 now;

static void *bpf_map_lookup_elem(void *map, void *key)
{
	u32 i;

	if (map == &slots)
		return &the_slots[*(u32 *)key % N_SLOTS];
	if (map != &sessions)
		return &for_ever;
	for (i = 0; i < N_SLOTS; i++) {
		if (keys[i] == *(u64 *)key)
			return &slots_of_keys[i];
	}
	return NULL;
}

static long bpf_map_update_elem(void *map, void *key, void *value, u64 flags)
{
	u32 i;

	for (i = 0; map == &sessions && i < N_SLOTS; i++) {
		if (!keys[i] || keys[i] == *(u64 *)key) {
			keys[i] = *(u64 *)key;
			slots_of_keys[i] = *(u32 *)value;
			return 0;
		}
	}
	return -1;
}

static long bpf_map_delete_elem(void *map, void *key)
{
	u32 i;

	for (i = 0; map == &sessions && i < N_SLOTS; i++) {
		if (keys[i] == *(u64 *)key)
			keys[i] = 0;
	}
	return 0;
}

static long bpf_map_push_elem(void *map, void *value, u64 flags)
{
	pool[n_pool++] = *(u32 *)value;
	return 0;
}

static long bpf_map_pop_elem(void *map, void *value)
{
	if (!n_pool)
		return -1;
	*(u32 *)value = pool[--n_pool];
	return 0;
}

static u64 bpf_ktime_get_ns(void)
{
	return ++now;
}
static u64 bpf_get_current_pid_tgid(void)
{
	return 7ULL << 32 | 7;
}
static u64 bpf_get_current_task(void)
{
	return 0x1000;
}
static u32 bpf_get_smp_processor_id(void)
{
	return 0;
}
static long bpf_get_current_comm(void *to, u32 size)
{
	memset(to, 0, size);
	return 0;
}

/* Returns a stack of one address, which identifies when it was taken. */
static long bpf_get_stack(void *ctx, void *to, u32 size, u64 flags)
{
	*(u64 *)to = now;
	return 8;
}

/* Replaces the headers that read kernel data. */
#define RETSNOOP_ARCH_H
static u64 trampoline_call_site(u64 at, u64 ip)
{
	return 0;
}
static u32 preempt_count(void)
{
	return 0;
}
static bool is_read(u64 at)
{
	return true;
}
static bool is_wanted_error(s32 code)
{
	return false;
}
static bool is_unwanted_error(s32 code)
{
	return false;
}
static u32 wanted_by(s32 code)
{
	return 0;
}
enum wanted {
	WANTED_ONLY = 1,
	WANTED_ANY = 2
};
static long send_session(struct session *session);

#include "context.bpf.h"
#include "classify.bpf.h"
#include "session.bpf.h"
#include "capture.bpf.h"
#include "frames.bpf.h"
#include "records.bpf.h"
#include "stack.bpf.h"

/* As the kernel side tells user space which records are valid. */
static long send_session(struct session *session)
{
	struct rec_session *out = &session->out;
	u32 peak = out->peak < out->top ? out->top : out->peak;
	u32 low = peak > MAX_CALLS ? peak - MAX_CALLS : 0;
	u32 i;

	printf("session overwritten %u cut %u unreturned %u unmatched %u\n",
	       low < out->top ? low : out->top, out->cut, out->unreturned, out->unmatched_returns);
	for (i = low; i < out->top; i++) {
		struct call_rec *rec = &out->calls[i % MAX_CALLS];

		printf("call %u depth %u result %lld flags %u times %u stack %u\n", rec->func,
		       rec->depth, (long long)rec->result, rec->flags, rec->repeats, rec->capture);
	}
	return 1;
}

int main(void)
{
	unsigned long long func, class, sp, context, opens;
	struct session *session;
	struct call call;
	long long result;
	char line[128];
	u64 key;

	cfg.max_depth = MAX_DEPTH;
	cfg.stack_size = 16384;
	cfg.hardirq_mask = 0x000f0000;
	cfg.nmi_mask = 0x00f00000;
	for (n_pool = 0; n_pool < N_SLOTS; n_pool++)
		pool[n_pool] = n_pool;
	while (fgets(line, sizeof(line), stdin)) {
		memset(&call, 0, sizeof(call));
		if (sscanf(line, "c %llu %llu %llx %llu %llu", &func, &class, &sp, &context,
			   &opens) == 5) {
			call.func = func;
			call.class = class;
			call.sp = sp;
			key = context ? context << 20 | 1 : 0x1000;
			on_entry(&call, key, (enum execution_context)context, opens);
		} else if (sscanf(line, "r %llu %llx %llu %lld", &func, &sp, &context, &result) ==
			   4) {
			call.func = func;
			call.sp = sp;
			call.result = result;
			key = context ? context << 20 | 1 : 0x1000;
			session = find_session(key);
			if (session && !is_on_other_stack(session, sp) && on_exit(&call, session))
				finish_session(session);
		} else {
			fprintf(stderr, "not understood: %s", line);
			return 2;
		}
	}
	printf("started %llu shown %llu succeeded %llu abandoned %llu\n", stats.started,
	       stats.shown, stats.succeeded, stats.abandoned);
	return 0;
}
