/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All state of the kernel side: maps, the session's layout, counters. */
#ifndef RETSNOOP_MAPS_H
#define RETSNOOP_MAPS_H

/* A traced call that has not returned yet. */
struct frame {
	u64 started_ns;
	u64 sp; /* identifies the call: see stack.bpf.h */
	u32 func;
	u32 seq;
	u32 rec_top; /* session.top when it was called: what is above belongs to its callees */
	u32 cap_top;
	s32 child_code; /* code of the callee that failed last, 0 if none did */
	u32 pending; /* the last callee that can fail did fail */
	u32 run_base; /* run of successful callees: first record, length */
	u32 run_len;
	u32 class;
	u32 flags; /* enum frame_flags */
	u32 place; /* as in the record */
	u32 reserved;
};

enum frame_flags {
	FRAME_ANSWERS = 1, /* its failure counts though its callers succeed */
	FRAME_ANSWERED = 2, /* such a failure was made below it */
};

/* One session: one entry function's call in one task (or one CPU's interrupt lane). It is only
 * ever touched by that task (or in that context), so it needs no lock. */
struct session {
	u64 key;
	u32 depth; /* open calls, also those beyond MAX_DEPTH */
	u32 next_seq; /* calls so far */
	u32 cap_top; /* stacks taken and not given up again, of both kinds: see emit.bpf.h */
	u32 captures; /* stacks taken at all */
	u32 emitted; /* records sent */
	u32 slot;
	u32 keep; /* see drop_unreturned() */
	u32 generation; /* sessions that this slot has had */
	u64 sp; /* see open_calls_at() */
	s32 code; /* of the call that returns */
	u32 wanted_errors; /* see filter.bpf.h */
	u32 failed_top; /* see note_failure(); 0: nothing is noted */
	u32 failed_depth;
	u32 cut_top; /* see make_room(): where records were cut, and the next call's number then */
	u32 cut_seq;
	u32 reserved;
	struct frame frames[MAX_DEPTH];
	struct rec_stack stacks[MAX_STACKS];
	struct rec_stack last_stack; /* of the last innermost call, for sessions that succeed */
	struct rec_context context;
	struct rec_session out;
};

/* Exact: started = shown + succeeded + too_short + other_errors + ring_full + task_exit + abandoned
 * + open; no_slot never started. */
struct stats {
	u64 started;
	u64 shown;
	u64 succeeded;
	u64 too_short;
	u64 other_errors; /* not those of -x, or those of -X */
	u64 ring_full;
	u64 task_exit;
	u64 abandoned;
	u64 no_slot;
	u64 stack_ring_full;
	u64 stalled; /* not opened, because user space has stopped to read */
	u64 unrecognized; /* calls of entry functions that is_entry() did not recognize */
	u64 failed_tail_calls; /* calls and returns that were not seen, because a tail call failed
				*/
	u64 lost_slots; /* slots that could not be given back */
};

/* Wire key in the cache: the low 48 bits of the task pointer (or a lane and CPU), then the slot. */
struct task_cache_entry {
	u64 packed;
	u32 n_sessions;
	u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024); /* set by user space */
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048); /* as `slots` */
	__type(key, u64);
	__type(value, u32);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2048); /* set by user space; at most 65,536: see task_cache_entry */
	__type(key, u32);
	__type(value, struct session);
} slots SEC(".maps");

/* Slots that are free. A pool: initialising a hash value of 17 KB at each start would take
 * longer than all the rest. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 2048); /* as `slots` */
	__uint(key_size, 0);
	__uint(value_size, sizeof(u32));
} free_slots SEC(".maps");

enum scope_rule {
	SCOPE_ALLOW = 1,
	SCOPE_DENY = 2,
	SCOPE_HELD = 3, /* a process that is allowed once it has executed its command */
};

struct scope_key {
	u64 id;
	u64 kind; /* enum scope_kind */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096); /* set by user space */
	__type(key, struct scope_key);
	__type(value, u32); /* enum scope_rule */
} scope SEC(".maps");

struct comm_key {
	union {
		u8 comm[COMM_LEN];
		u64 words[COMM_LEN / 8];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct comm_key);
	__type(value, u32);
} comms SEC(".maps");

/* Set when every link is attached: until then nothing opens a session. */
volatile u32 ready = 0;

/* Whether our programs can run inside of one another: see enter_guard(). Set with `ready`. */
volatile u32 guarded = 0;

/* See verifier_opaque(). */
volatile u64 zero = 0;

struct stats stats = {};
struct task_cache_entry task_cache[1 << TASK_CACHE_BITS] = {};
u64 guards[MAX_CPUS] = {};
/* Sessions that are open in interrupt lanes, on all CPUs: nearly always none. */
u32 interrupt_sessions = 0;
/* What the map `scope` may have rules for: how many, by hash. They come and go while we trace; user
 * space counts its own in the upper half, so that neither overwrites what the other adds. */
struct scope_mark {
	u16 by_kernel;
	u16 by_user;
};

struct scope_mark scope_marks[1 << SCOPE_MARK_BITS] = {};
/* What the map `comms` has rules for. Written by user space before tracing starts. */
u64 comm_bits[SCOPE_BITS / 64] = {};
/* Descendants or cgroups that did not fit into `scope`, and so are not traced. */
u64 scope_full = 0;
/* New cgroups that may be of containers to be traced, and of which user space was not told, because
 * the ring buffer was full: it looks for itself when it sees this move. */
u64 cgroups_unreported = 0;

/* A value from the map again, of which the verifier knows nothing: after a loop it has a state for
 * each round that it may have ended in, each with other bounds, and without these all are one. And
 * a pointer becomes a number. */
#define verifier_reload(value) (*(volatile typeof(value) *)&(value))

/* A number of which the verifier knows nothing: `zero` is never written. What it knows, it goes
 * through all the rest with, once for each value. To keep it on the stack for a while is not
 * enough: the verifiers of 6.12 and 7.3 follow it there. */
#define verifier_opaque(number)                                                                    \
	({                                                                                         \
		u64 sum = (number) + zero;                                                         \
		barrier_var(sum); /* or the compiler does the sum later, and elsewhere */          \
		sum;                                                                               \
	})

#define COUNT(what) __sync_fetch_and_add(&stats.what, 1)

#endif
