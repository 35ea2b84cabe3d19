/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * errno of the C library, for functions of it that return -1.
 *
 * It is at a constant distance from the thread pointer. musl has the distance in its code, glibc in
 * a slot that the loader fills in, which is at a constant distance from the function.
 */
#ifndef RETSNOOP_ERRNO_H
#define RETSNOOP_ERRNO_H

enum errno_kind {
	ERRNO_UNKNOWN = 0,
	ERRNO_DISTANCE = 1, /* `value` is the distance from the thread pointer */
	ERRNO_SLOT = 2, /* `value` is the distance of the slot from the function */
};

/* Where a function's errno is. User space fills it in. */
struct errno_place {
	u64 value;
	u64 kind; /* enum errno_kind */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* number of functions, set by user space */
	__type(key, u32);
	__type(value, struct errno_place);
} errno_places SEC(".maps");

/* What processes have in the slot. A return does not know the function, so a call reads it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} errno_slots SEC(".maps");

static __noinline void read_errno_slot(struct pt_regs *ctx, u64 tag)
{
	u32 func = (u32)tag;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct errno_place *place = bpf_map_lookup_elem(&errno_places, &func);
	u64 distance = 0;
	u64 *known;
	u64 at;

	if (!place || place->kind != ERRNO_SLOT)
		return;
	at = regs_instruction_pointer(ctx) + place->value;
	if (bpf_probe_read_user(&distance, sizeof(distance), (void *)at))
		return;
	/* It stays the same until the process executes another program. */
	known = bpf_map_lookup_elem(&errno_slots, &tgid);
	if (!known || *known != distance)
		bpf_map_update_elem(&errno_slots, &tgid, &distance, BPF_ANY);
}

/*
 * Returns the result, with the errno in its upper half if it is -1 and the errno is known. The
 * upper half of a -1 is 0 or has all bits set, and no errno is that.
 */
static __noinline u64 with_errno(u32 func, u64 result)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct errno_place *place = bpf_map_lookup_elem(&errno_places, &func);
	u64 *slot;
	u64 at;
	u32 number = 0;

	if (!place || place->kind == ERRNO_UNKNOWN || (s32)result != -1)
		return result;
	at = read_word(bpf_get_current_task() + cfg.at.task_fsbase);
	if (!at)
		return result;
	if (place->kind == ERRNO_SLOT) {
		slot = bpf_map_lookup_elem(&errno_slots, &tgid);
		if (!slot)
			return result;
		at += *slot;
	} else {
		at += place->value;
	}
	if (bpf_probe_read_user(&number, sizeof(number), (void *)at))
		return result;
	return number && number <= MAX_ERRNO ? (u64)number << 32 | 0xffffffff : result;
}

#endif
