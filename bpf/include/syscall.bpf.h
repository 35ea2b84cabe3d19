/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The arguments of the system call that a session is about. They stay in the registers that the
 * entry code has saved, so they are read only when the call has failed and is shown.
 */
#ifndef RETSNOOP_SYSCALL_H
#define RETSNOOP_SYSCALL_H

enum area_kind {
	AREA_UNUSED = 0,
	AREA_TEXT = 1, /* up to a NUL */
	AREA_SIZED = 2, /* `size` bytes */
	AREA_COUNTED = 3, /* the size is an argument, and `size` is the limit */
};

/* An argument that points to memory. */
struct syscall_area {
	__u8 kind; /* enum area_kind */
	__u8 argument; /* number of the pointer, from 0 */
	__u8 counted_by; /* number of the argument with the size */
	__u8 size; /* in bytes */
};

/* By number: first the native system calls, then those of the 32-bit table. */
const volatile struct syscall_area syscall_areas[2 * MAX_SYSCALLS][MAX_AREAS] = {};

static __always_inline void read_area(struct rec_syscall *out, u32 index, u32 i)
{
	const volatile struct syscall_area *area =
		&syscall_areas[index & (2 * MAX_SYSCALLS - 1)][i];
	u32 kind = area->kind;
	u64 address, size;
	u32 argument;
	s32 len;

	if (kind == AREA_UNUSED)
		return;
	out->lens[i] = AREA_NONE;
	out->n_areas = i + 1;
	argument = area->argument;
	if (argument > 5)
		return;
	address = out->args[argument];
	if (!address)
		return;
	if (kind == AREA_TEXT) {
		len = bpf_probe_read_user_str(out->data + i * AREA_BYTES, AREA_BYTES,
					      (void *)address);
		out->lens[i] = len < 0 ? AREA_UNREADABLE : len;
		return;
	}
	size = area->size;
	if (kind == AREA_COUNTED) {
		argument = area->counted_by;
		if (argument > 5)
			return;
		if (out->args[argument] < size)
			size = out->args[argument];
	}
	size = verifier_reload(size) & (AREA_BYTES - 1);
	out->lens[i] = bpf_probe_read_user(out->data + i * AREA_BYTES, size, (void *)address)
			       ? AREA_UNREADABLE
			       : (s32)size;
}

/* Reads the system call of the current task. Returns false if it is not known where it is. */
static __always_inline bool read_syscall(struct session *session)
{
	struct rec_syscall *out = &session->syscall;
	u32 index;
	u32 i;

	if (!read_syscall_registers(out))
		return false;
	out->n_areas = 0;
	index = out->number;
	if (index >= MAX_SYSCALLS)
		return true;
	index += out->is_compat ? MAX_SYSCALLS : 0;
	for (i = 0; i < MAX_AREAS; i++)
		read_area(out, verifier_reload(index), i);
	return true;
}

#endif
