// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The algorithm of bpf/include/stack.bpf.h as an ordinary program, against stub helpers: reads
 * calls and returns, prints what becomes of the sessions. For tests/it/heart.rs.
 *
 *   c FUNC CLASS SP CONTEXT OPENS   a traced function is called
 *   r FUNC SP CONTEXT RESULT        it returns
 *   t TASK                          what follows in context 0 is done by this thread of the process
 *   x                               that thread calls exec
 *   q                               that thread exits
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
#define N_TASKS 2
#define TGID 7

static struct session the_slots[N_SLOTS];
static u64 keys[N_SLOTS];
static u32 slots_of_keys[N_SLOTS];
static u32 pool[N_SLOTS];
static u32 n_pool;
static u64 for_ever = ~0ULL;
static u64 now;

/* The threads of a process. The first one is its leader. */
static struct {
	u32 tid, n_execs;
} tasks[N_TASKS];
static u32 current, last_tid = TGID;

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
	return (u64)TGID << 32 | tasks[current].tid;
}
static u64 bpf_get_current_task(void)
{
	return 0x1000 * (current + 1);
}
/* Of nothing that the tests judge: they have no system calls with registers. */
static long bpf_probe_read_kernel(void *to, u32 size, const void *from)
{
	return -1;
}
static u64 bpf_get_current_cgroup_id(void)
{
	return 1;
}

static u32 bpf_get_smp_processor_id(void)
{
	return 0;
}
static long bpf_get_current_comm(char *to, u32 size)
{
	memset(to, 0, size);
	snprintf(to, size, "%u", tasks[current].n_execs);
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
#define BPF_F_MMAPABLE 1024 /* the flight recorder is off here */
#include "flight.bpf.h"
/* Arguments are not kept here. */
static void keep_arguments(struct session *session, void *ctx, u32 arguments_in)
{
}

#include "stack.bpf.h"

/* As the kernel side tells user space which records are valid. */
static long send_session(struct session *session)
{
	struct rec_session *out = &session->out;
	u32 peak = out->peak < out->top ? out->top : out->peak;
	u32 low = peak > MAX_CALLS ? peak - MAX_CALLS : 0;
	u32 i;

	printf("session tid %u comm %s overwritten %u cut %u unreturned %u unmatched %u\n",
	       out->tid, out->comm, low < out->top ? low : out->top, out->cut, out->unreturned,
	       out->unmatched_returns);
	for (i = low; i < out->top; i++) {
		struct call_rec *rec = &out->calls[i % MAX_CALLS];

		printf("call %u depth %u result %lld flags %u times %u stack %u\n", rec->func,
		       rec->depth, (long long)rec->result, rec->flags, rec->repeats, rec->capture);
	}
	return 1;
}

/* A new thread. The kernel reuses the memory of tasks that exited, so a key is given again. */
static void start_task(u32 task)
{
	tasks[task].tid = last_tid++;
	tasks[task].n_execs = 0;
}

/*
 * As begin_new_exec() does it: the other threads have exited, and the one that calls exec takes the
 * leader's id. The task is the same as before.
 */
static void exec_task(void)
{
	close_session_of_replaced_program();
	tasks[current].tid = TGID;
	tasks[current].n_execs++;
}

static void exit_task(void)
{
	close_session_of_exiting_task();
	start_task(current);
}

static u64 key_in(enum execution_context context)
{
	return context ? (u64)context << 20 | 1 : task_key();
}

static void call_in(struct call *call, enum execution_context context, u64 opens)
{
	on_entry(call, key_in(context), context, opens);
}

static void return_in(struct call *call, enum execution_context context)
{
	struct session *session = find_session(key_in(context));

	if (session && !is_on_other_stack(session, call->sp) && on_exit(call, session))
		finish_session(session);
}

static bool do_line(const char *line)
{
	unsigned long long func, class, sp, context, opens, task;
	struct call call = {};
	long long result;

	if (sscanf(line, "c %llu %llu %llx %llu %llu", &func, &class, &sp, &context, &opens) == 5) {
		call.func = func;
		call.class = class;
		call.sp = sp;
		call_in(&call, (enum execution_context)context, opens);
	} else if (sscanf(line, "r %llu %llx %llu %lld", &func, &sp, &context, &result) == 4) {
		call.func = func;
		call.sp = sp;
		call.result = result;
		return_in(&call, (enum execution_context)context);
	} else if (sscanf(line, "t %llu", &task) == 1 && task < N_TASKS) {
		current = task;
	} else if (!strcmp(line, "x\n")) {
		exec_task();
	} else if (!strcmp(line, "q\n")) {
		exit_task();
	} else {
		return false;
	}
	return true;
}

int main(void)
{
	char line[128];
	u32 task;

	cfg.max_depth = MAX_DEPTH;
	cfg.stack_size = 16384;
	cfg.hardirq_mask = 0x000f0000;
	cfg.nmi_mask = 0x00f00000;
	for (n_pool = 0; n_pool < N_SLOTS; n_pool++)
		pool[n_pool] = n_pool;
	for (task = 0; task < N_TASKS; task++)
		start_task(task);
	while (fgets(line, sizeof(line), stdin)) {
		if (!do_line(line)) {
			fprintf(stderr, "not understood: %s", line);
			return 2;
		}
	}
	printf("started %llu shown %llu succeeded %llu abandoned %llu exited %llu\n", stats.started,
	       stats.shown, stats.succeeded, stats.abandoned, stats.task_exit);
	return 0;
}
