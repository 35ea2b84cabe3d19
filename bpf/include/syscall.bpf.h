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
	AREA_FILE = 4, /* no pointer, but a descriptor */
	AREA_DIRECTORY = 5, /* the same, of a path that is the next argument */
	AREA_STRINGS = 6, /* a NULL-terminated array of texts */
	AREA_BUFFERS = 7, /* an array of `struct iovec`, whose number is an argument */
	AREA_MESSAGE = 8, /* a `struct user_msghdr` */
};

#define AT_FDCWD (-100)

/* Strings of an array that are read, and bytes of each, including the NUL. */
#define MAX_STRINGS 8
#define MAX_STRING 64

#define MAX_BUFFERS (AREA_BYTES / sizeof(struct area_buffer))

/* Bytes of the address of a message, plus one; the longest is of a Unix socket, with 110. */
#define MAX_ADDRESS 128

/* An argument that points to memory. */
struct syscall_area {
	__u8 kind; /* enum area_kind */
	__u8 argument; /* number of the pointer, from 0 */
	__u8 counted_by; /* number of the argument with the size */
	__u8 size; /* in bytes */
};

/* By number: first the native system calls, then those of the 32-bit table. */
const volatile struct syscall_area syscall_areas[2 * MAX_SYSCALLS][MAX_AREAS] = {};

/* Reads what a descriptor is. The directory of a path counts only where the path is relative. */
static __noinline int read_descriptor(struct rec_syscall *out, u32 index, u32 i)
{
	const volatile struct syscall_area *area;
	u32 argument;
	s32 fd;
	u64 path;

	if (i >= MAX_AREAS)
		return 0;
	area = &syscall_areas[index & (2 * MAX_SYSCALLS - 1)][i];
	argument = area->argument;
	if (argument > 4)
		return 0;
	fd = out->args[argument];
	if (area->kind == AREA_DIRECTORY) {
		char first = 0;

		if (bpf_probe_read_user(&first, 1, (void *)out->args[argument + 1]))
			return 0;
		if (first == '/')
			return 0;
		path = fd == AT_FDCWD ? path_of_current_directory() : path_of_descriptor(fd);
	} else {
		path = path_of_descriptor(fd);
	}
	if (path)
		read_file((struct area_file *)(out->data + i * AREA_BYTES), &out->lens[i], path);
	return 0;
}

/* The first byte says whether there are more strings. `used` is as in read_file(). */
static __noinline int read_strings(u8 *out, volatile s32 *used, u64 array)
{
	u32 i;

	*used = AREA_UNREADABLE;
	out[0] = 1;
	for (i = 0; i < MAX_STRINGS; i++) {
		u64 text = 0;
		u64 len;
		s32 n;

		if (bpf_probe_read_user(&text, sizeof(text), (void *)(array + 8 * i)))
			break;
		if (!i)
			*used = 1;
		if (!text) {
			out[0] = 0;
			break;
		}
		len = *used;
		if (len > AREA_BYTES - MAX_STRING)
			break;
		n = bpf_probe_read_user_str(out + len, MAX_STRING, (void *)text);
		if (n <= 0)
			break;
		*used = len + n;
	}
	return 0;
}

/* Reads the beginning of the buffer of a `struct iovec`. */
static __always_inline bool read_buffer(struct area_buffer *out, u64 at)
{
	u64 vector[2];
	u64 size;

	if (bpf_probe_read_user(vector, sizeof(vector), (void *)at))
		return false;
	out->size = vector[1];
	size = vector[1] < sizeof(out->data) ? vector[1] : sizeof(out->data) - 1;
	size = verifier_reload(size) & (sizeof(out->data) - 1);
	out->is_read = !bpf_probe_read_user(out->data, size, (void *)vector[0]);
	if (!out->is_read)
		*(u64 *)out->data = vector[0];
	return true;
}

static __noinline int read_buffers(u8 *out, volatile s32 *used, u64 array, u64 count)
{
	u32 i;

	*used = count ? AREA_UNREADABLE : 0;
	for (i = 0; i < MAX_BUFFERS; i++) {
		if (i >= count)
			break;
		if (!read_buffer((struct area_buffer *)out + i, array + 16 * i))
			break;
		*used = (i + 1) * sizeof(struct area_buffer);
	}
	return 0;
}

/* `struct user_msghdr` up to its flags is 6 words long. */
static __noinline s32 read_message(struct area_message *out, u64 at)
{
	u64 *header = (u64 *)out;
	u64 name, vector, n_buffers, control_len;
	u64 len;

	if (bpf_probe_read_user(header, 6 * sizeof(u64), (void *)at))
		return AREA_UNREADABLE;
	name = header[0];
	len = (u32)header[1];
	vector = header[2];
	n_buffers = header[3];
	control_len = header[5];
	out->name = name;
	out->n_buffers = n_buffers;
	out->control_len = control_len;
	out->buffer.size = 0;
	out->buffer.is_read = 0;
	if (n_buffers)
		read_buffer(&out->buffer, vector);
	if (!name)
		len = 0;
	if (len > MAX_ADDRESS - 1)
		len = MAX_ADDRESS - 1;
	len = verifier_reload(len) & (MAX_ADDRESS - 1);
	out->address_len = bpf_probe_read_user(out->address, len, (void *)name) ? 0 : len;
	return sizeof(*out);
}

/*
 * Areas that are read by loops: one array or message of a call, and the first of its descriptors.
 * They are not read where the verifier walks through all areas: it would walk through the loops,
 * too.
 */
#define NO_AREA MAX_AREAS
struct looped_areas {
	u8 other;
	u8 file;
	u8 reserved[2];
};

static __always_inline void read_looped(struct rec_syscall *out, u32 index, u32 i)
{
	const volatile struct syscall_area *area;
	u32 argument, counted_by, kind;
	u64 address;
	u8 *data;

	if (i >= MAX_AREAS)
		return;
	area = &syscall_areas[index & (2 * MAX_SYSCALLS - 1)][i];
	kind = area->kind;
	argument = area->argument;
	counted_by = area->counted_by;
	if (argument > 5 || counted_by > 5)
		return;
	address = out->args[argument];
	data = out->data + i * AREA_BYTES;
	if (kind == AREA_STRINGS)
		read_strings(data, &out->lens[i], address);
	else if (kind == AREA_MESSAGE)
		out->lens[i] = read_message((struct area_message *)data, address);
	else
		read_buffers(data, &out->lens[i], address, out->args[counted_by]);
}

static __always_inline void read_area(struct rec_syscall *out, u32 index, u32 i)
{
	const volatile struct syscall_area *area =
		&syscall_areas[index & (2 * MAX_SYSCALLS - 1)][i];
	struct looped_areas *looped = (struct looped_areas *)&out->reserved;
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
	if (kind == AREA_FILE || kind == AREA_DIRECTORY) {
		/* Descriptors come last, so this is the first one. */
		if (looped->file == NO_AREA)
			looped->file = i;
		return;
	}
	address = out->args[argument];
	if (!address)
		return;
	if (kind > AREA_DIRECTORY) {
		looped->other = i;
		return;
	}
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
	struct looped_areas *looped = (struct looped_areas *)&out->reserved;
	u32 index;
	u32 i;

	if (!read_syscall_registers(out))
		return false;
	out->n_areas = 0;
	looped->other = NO_AREA;
	looped->file = NO_AREA;
	index = out->number;
	if (index >= MAX_SYSCALLS)
		return true;
	index += out->is_compat ? MAX_SYSCALLS : 0;
	for (i = 0; i < MAX_AREAS; i++)
		read_area(out, verifier_reload(index), i);
	if (!cfg.file.task_files)
		return true;
	read_looped(out, verifier_reload(index), verifier_reload(looped->other));
	read_descriptor(out, verifier_reload(index), verifier_reload(looped->file));
	out->reserved = 0;
	return true;
}

#endif
