/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flight recorder: every call of a session that returns is kept in memory that user space maps.
 * The newest calls overwrite the oldest ones. Nobody is woken. If the recorder is off,
 * cfg.flight_slots is 0 and no program contains code for it.
 */
#ifndef RETSNOOP_FLIGHT_H
#define RETSNOOP_FLIGHT_H

/*
 * A finished call. Calls are numbered from 1 on each CPU, and call N is in slot N - 1 modulo the
 * number of slots. The number is not stored by itself: it is the XOR of all words. A slot that is
 * being written, or that two calls were written to, has another number or a number that makes no
 * sense. So the reader needs neither a lock nor an order of the stores, and finds every slot that
 * is not the call that it should be.
 */
struct flight_slot {
	u64 check; /* the number of the call, XOR all words below */
	u64 started_ns;
	u64 duration_ns;
	u64 result;
	u64 session_ns; /* when its session started, which names the session in its thread */
	u64 cgroup; /* id in the unified hierarchy; of an interrupt: without meaning */
	u64 comm[COMM_LEN / 8];
	u32 func;
	u32 seq; /* as in struct call_rec */
	u32 tid;
	u32 tgid;
	u16 depth;
	u8 execution_context;
	u8 reserved;
	u32 cpu;
};
_Static_assert(sizeof(struct flight_slot) == 88, "flight");

/*
 * The first cfg.flight_cpus elements are headers, whose first word counts the calls of a CPU. The
 * slots of the first CPU follow, then those of the second one. CPUs that come online later share
 * the slots of others.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set by user space */
	__type(key, u32);
	__type(value, struct flight_slot);
} flight SEC(".maps");

static __always_inline void note_cgroup(struct session *session)
{
	if (cfg.flight_slots)
		session->context.cgroup = bpf_get_current_cgroup_id();
}

/*
 * Takes the next number of a CPU. Several programs may do so at once: interrupts nest, and programs
 * of trampolines and uprobes may be preempted. An addition that also returns the sum exists since
 * 5.12 (5ca419f2864a, "bpf: Add BPF_FETCH field / create atomic_fetch_add instruction"). Here the
 * counter is read by the next instruction, on all kernels. If another program comes in between,
 * both take the larger number, and no call has the smaller one: the reader counts it as torn.
 */
static __always_inline u64 next_number(u64 *count)
{
	__sync_fetch_and_add(count, 1);
	return *(volatile u64 *)count;
}

/* Records the call at `depth`, which has returned `result`. */
static __noinline void record_flight(struct session *session, u32 depth, u64 result, u64 now)
{
	struct rec_session *out = &session->out;
	struct frame *frame = frame_at(session, depth);
	u32 cpu = bpf_get_smp_processor_id();
	u32 place = cpu % cfg.flight_cpus;
	struct flight_slot call, *slot;
	u64 *from = (u64 *)&call, *to;
	u64 number;
	u32 i;

	slot = bpf_map_lookup_elem(&flight, &place);
	if (!slot)
		return;
	number = next_number(&slot->check);
	/* A division of 32 bits takes half the time. The reader uses the low half, too. */
	place = cfg.flight_cpus + place * cfg.flight_slots + ((u32)number - 1) % cfg.flight_slots;
	slot = bpf_map_lookup_elem(&flight, &place);
	if (!slot)
		return;
	call.started_ns = frame->started_ns;
	call.duration_ns = now - frame->started_ns;
	call.result = result;
	call.session_ns = out->started_ns;
	call.cgroup = session->context.cgroup;
	call.comm[0] = *(u64 *)out->comm;
	call.comm[1] = *(u64 *)(out->comm + 8);
	call.func = frame->func;
	call.seq = frame->seq;
	call.tid = out->tid;
	call.tgid = out->tgid;
	call.depth = depth;
	call.execution_context = out->execution_context;
	call.reserved = 0;
	call.cpu = cpu;
	to = (u64 *)slot;
#pragma unroll
	for (i = 1; i < sizeof(call) / 8; i++) {
		to[i] = from[i];
		number ^= from[i];
	}
	slot->check = number;
}

#endif
