/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* State of the kernel side: maps, the layout of a session, counters. */
#ifndef RETSNOOP_MAPS_H
#define RETSNOOP_MAPS_H

/* A traced call that has not returned yet. */
struct frame {
	u64 started_ns;
	u64 sp; /* identifies the call: see stack.bpf.h */
	u32 func;
	u32 seq;
	u32 rec_top; /* out.top at the call: records from here on are of its callees */
	u32 cap_top;
	s32 child_code; /* code of the callee that failed last, 0 if none did */
	u32 pending; /* 1: the last callee that can fail did fail */
	u32 run_base; /* run of successful callees: first record, length */
	u32 run_len;
	u32 class;
	u32 flags; /* enum frame_flags */
	u32 place; /* as in struct call_rec */
	u32 reserved;
};

enum frame_flags {
	FRAME_ANSWERS = 1, /* its failure counts even if its callers succeed */
	FRAME_ANSWERED = 2, /* a call below it, with FRAME_ANSWERS, failed */
	FRAME_ENDED = 4, /* it has a result, and ends before it is known */
};

/*
 * A session: one call of an entry function, in one task, or in one interrupt context of one CPU.
 * Only that task or context accesses it, so it needs no lock.
 */
struct session {
	u64 key;
	u32 depth; /* open calls, including those beyond MAX_DEPTH */
	u32 next_seq; /* calls so far */
	u32 cap_top; /* stacks captured and not discarded: see capture.bpf.h */
	u32 captures; /* stacks captured, including those discarded later */
	u32 emitted; /* records sent */
	u32 slot;
	u32 keep; /* see drop_unreturned() */
	u32 generation; /* sessions that have used this slot */
	u64 sp; /* see open_calls_at() */
	u64 stack_sp; /* any stack pointer on the session's kernel stack; 0: not known yet */
	s32 code; /* of the call that returns */
	u32 wanted_errors; /* enum wanted, in filter.bpf.h */
	u32 failed_top; /* see note_failure(); 0: no failure is noted */
	u32 failed_depth;
	u32 cut_top; /* see make_room(): `top` after a cut, and next_seq then */
	u32 cut_seq;
	u32 n_notes; /* notes so far */
	u32 n_noted_calls; /* open calls in session_notes.calls */
	u32 first_record; /* see next_record() */
	struct frame frames[MAX_DEPTH];
	struct rec_stack stacks[MAX_STACKS];
	struct rec_stack last_stack; /* of the last innermost call; for successful sessions */
	struct rec_context context;
	struct rec_syscall syscall;
	struct rec_session out;
};

/*
 * Counters. Invariant: started = shown + succeeded + too_short + other_errors + ring_full +
 * task_exit + abandoned + sessions that are open. Sessions counted in no_slot and stalled never
 * started.
 */
struct stats {
	u64 started;
	u64 shown;
	u64 succeeded;
	u64 too_short;
	u64 other_errors; /* failed, but left out by -x, -X or --any-error */
	u64 ring_full;
	u64 task_exit;
	u64 abandoned;
	u64 no_slot;
	u64 stack_ring_full;
	u64 stalled; /* not opened, because user space stopped reading */
	u64 unrecognized; /* calls of entry functions that is_entry() missed */
	u64 failed_tail_calls; /* calls and returns lost: a tail call failed */
	u64 lost_slots; /* slots that could not be returned to the pool */
	u64 called_before; /* hits of USDT probes in functions whose return is not traced yet */
};

/*
 * An entry of the cache that maps a key to its session. `packed` holds the key (48 bits: the low
 * bits of the task pointer, or context and CPU) above the slot (16 bits). n_sessions counts the
 * open sessions of all keys that share the entry.
 */
struct task_cache_entry {
	u64 packed;
	u32 n_sessions;
	u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024); /* set by user space */
} events SEC(".maps");

/*
 * By entry function: which of its arguments are texts. Each byte is the number of an argument, from
 * 1 on; 0 ends them.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* number of such functions, set by user space */
	__type(key, u32);
	__type(value, u32);
} entry_texts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048); /* the same number as `slots` */
	__type(key, u64);
	__type(value, u32);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2048); /* set by user space; at most 65,536: see task_cache_entry */
	__type(key, u32);
	__type(value, struct session);
} slots SEC(".maps");

/*
 * Numbers of the free slots. Sessions are pooled, because initializing a hash value of 17 KB for
 * each session would take longer than everything else.
 */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 2048); /* the same number as `slots` */
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

/* Set when all links are attached. Before, no session opens. */
volatile u32 ready = 0;

/*
 * Set if our programs can run inside one another: see enter_guard(). User space sets it before
 * `ready`.
 */
volatile u32 guarded = 0;

/* See verifier_opaque(). */
volatile u64 zero = 0;

struct stats stats = {};
struct task_cache_entry task_cache[1 << TASK_CACHE_BITS] = {};
u64 guards[1 << GUARD_BITS] = {};
/* Sessions that are open in interrupt contexts, on all CPUs. Nearly always 0. */
u32 interrupt_sessions = 0;
/*
 * For each hash of a kind and an id, the number of rules in the map `scope` that have this hash.
 * Rules are added and removed while tracing. The kernel side and user space count their rules in
 * separate halves, so that neither overwrites the other's updates.
 */
struct scope_mark {
	u16 by_kernel;
	u16 by_user;
};

struct scope_mark scope_marks[1 << SCOPE_MARK_BITS] = {};
/*
 * A Bloom filter of the thread names in the map `comms`. User space writes it before tracing
 * starts.
 */
u64 comm_bits[SCOPE_BITS / 64] = {};
/* Descendants or cgroups that did not fit into `scope`, and are not traced. */
u64 scope_full = 0;
/*
 * New cgroups that may matter to the scope and were not reported, because the ring buffer was full.
 * User space rescans the cgroups when this changes.
 */
u64 cgroups_unreported = 0;

/*
 * Reloads a value from memory, so that the verifier knows nothing of it. After a loop the verifier
 * has one state for each iteration that may have been the last, each with other bounds; after the
 * reload these states are equal. A pointer becomes a number.
 */
#define verifier_reload(value) (*(volatile typeof(value) *)&(value))

/*
 * Hides a number from the verifier's range analysis, by adding `zero`, which is never written. The
 * verifier would otherwise explore the remainder of the program once for each known value. Storing
 * the number on the stack for a while is not enough: the verifiers of 6.12 and 7.3 track values
 * there.
 */
#define verifier_opaque(number)                                                                    \
	({                                                                                         \
		u64 sum = (number) + zero;                                                         \
		barrier_var(sum); /* keeps the compiler from moving the addition */                \
		sum;                                                                               \
	})

#define COUNT(what) __sync_fetch_and_add(&stats.what, 1)

#endif
