/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What programs say themselves: what they write to their standard error, and how they end. Sent
 * only in runs of a command, for the tasks of the scope.
 */
#ifndef RETSNOOP_TOLD_H
#define RETSNOOP_TOLD_H

#define STDERR 2

/* Parts of a gathered write (struct iovec) whose text is read. */
#define MAX_PARTS 8

/*
 * Writes of a process that are sent within a second. Of those beyond them the last one is held
 * back, and sent when the process ends: the last words matter most.
 */
#define MAX_WRITES 128
#define SECOND_NS 1000000000ULL

struct told_process {
	u64 since_ns; /* start of the current second */
	u32 n_sent; /* in it */
	u32 is_held; /* `last` was not sent */
	struct rec_output last;
	u8 room[OUTPUT_BYTES]; /* see read_output() */
};

/* By process id. The kernel replaces the entries of processes that wrote least recently. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by user space if words are told */
	__type(key, u32);
	__type(value, struct told_process);
} told SEC(".maps");

/* What a new entry of `told` begins as. */
struct told_process untold = {};

/* Writes to stderr, and ends of processes, that were not sent. */
u64 told_left_out;

static __always_inline bool is_write(u32 number)
{
	return number == SYSCALL_WRITE || number == SYSCALL_WRITEV || number == COMPAT_WRITE ||
	       number == COMPAT_WRITEV;
}

/* A struct iovec. In a 32-bit system call its members have 32 bits. */
static __always_inline bool read_part(u64 at, u32 i, bool is_compat, u64 *part)
{
	u32 small[2] = {};

	if (!is_compat)
		return !bpf_probe_read_user(part, 16, (void *)(at + 16 * i));
	if (bpf_probe_read_user(small, sizeof(small), (void *)(at + 8 * i)))
		return false;
	part[0] = small[0];
	part[1] = small[1];
	return true;
}

/*
 * Reads what was written, `size` bytes of it, and no more than have room. The memory is still
 * there: the kernel has just read it.
 *
 * `out` has OUTPUT_BYTES more bytes than a rec_output. Nothing is written there. But the verifier
 * knows only that neither the position nor the length exceeds OUTPUT_BYTES, and nothing of their
 * sum.
 */
static __always_inline void read_output(struct rec_output *out, const u64 *args, bool is_gathered,
					bool is_compat, u64 size)
{
	u64 part[2] = {args[1], size};
	u64 left = size < OUTPUT_BYTES ? size : OUTPUT_BYTES - 1;
	u64 n;
	u32 i;

	out->len = 0;
	for (i = 0; i < MAX_PARTS; i++) {
		u32 at = verifier_reload(out->len) & (OUTPUT_BYTES - 1);

		if (is_gathered && (i >= args[2] || !read_part(args[1], i, is_compat, part)))
			return;
		n = part[1] < left ? part[1] : left;
		n = verifier_reload(n) & (OUTPUT_BYTES - 1);
		if (bpf_probe_read_user(out->text + at, n, (void *)part[0]))
			return;
		out->len = at + n;
		left -= n;
		if (!left || !is_gathered)
			return;
	}
}

static __always_inline void fill_output(struct rec_output *out, const u64 *args, bool is_gathered,
					bool is_compat, u64 size, u64 now)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();

	out->hdr.kind = REC_OUTPUT;
	out->hdr.cpu = bpf_get_smp_processor_id();
	out->hdr.session = 0;
	out->hdr.seq = 0;
	out->hdr.n_notes = 0;
	out->at_ns = now;
	out->size = size;
	out->tgid = pid_tgid >> 32;
	out->tid = pid_tgid;
	out->reserved = 0;
	bpf_get_current_comm(out->comm, sizeof(out->comm));
	read_output(out, args, is_gathered, is_compat, size);
}

static __always_inline struct told_process *told_process(u32 tgid)
{
	struct told_process *process = bpf_map_lookup_elem(&told, &tgid);

	if (process)
		return process;
	bpf_map_update_elem(&told, &tgid, &untold, BPF_NOEXIST);
	return bpf_map_lookup_elem(&told, &tgid);
}

/* Sends what a system call that writes, and has written `size` bytes, wrote to stderr. */
static __noinline void tell_output(u64 regs, u32 number, u64 size)
{
	bool is_compat = is_compat_call();
	bool is_gathered = number == (is_compat ? COMPAT_WRITEV : SYSCALL_WRITEV);
	u64 args[3] = {}, now = bpf_ktime_get_ns();
	struct told_process *process;
	struct rec_output *out;

	if (!regs || (!is_gathered && number != (is_compat ? COMPAT_WRITE : SYSCALL_WRITE)))
		return;
	read_three_arguments(regs, is_compat, args);
	if ((u32)args[0] != STDERR)
		return;
	process = told_process(bpf_get_current_pid_tgid() >> 32);
	if (!process) {
		__sync_fetch_and_add(&told_left_out, 1);
		return;
	}
	/*
	 * Threads of one process may do this at the same time. Then a few more writes are sent, or
	 * the text that is held back is mixed.
	 */
	if (process->is_held)
		__sync_fetch_and_add(&told_left_out, 1);
	process->is_held = 0;
	if (now - process->since_ns >= SECOND_NS) {
		process->since_ns = now;
		process->n_sent = 0;
	}
	if (process->n_sent < MAX_WRITES && ring_has_room()) {
		out = bpf_ringbuf_reserve(&events, sizeof(*out) + OUTPUT_BYTES, 0);
		if (out) {
			process->n_sent++;
			fill_output(out, args, is_gathered, is_compat, size, now);
			bpf_ringbuf_submit(out, 0);
			return;
		}
	}
	fill_output(&process->last, args, is_gathered, is_compat, size, now);
	process->is_held = 1;
}

/* From include/linux/sched/signal.h. */
#define SIGNAL_GROUP_EXIT 4

/* Returns what waitpid() gives for a process whose last thread exits. */
static __always_inline u32 exit_code_of(u64 leader, u64 signal)
{
	if (read_half(signal + cfg.at.signal_flags) & SIGNAL_GROUP_EXIT)
		return read_half(signal + cfg.at.signal_group_exit_code);
	return read_half(leader + cfg.at.task_exit_code);
}

/* Sends what was held back of the current process, and that it ends. */
static __noinline void tell_exit(void)
{
	u64 task = bpf_get_current_task();
	u64 leader = read_word(task + cfg.at.task_group_leader);
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct rec_exit out = {
		.hdr.kind = REC_EXIT,
		.hdr.cpu = bpf_get_smp_processor_id(),
		.at_ns = bpf_ktime_get_ns(),
		.tgid = pid_tgid >> 32,
		.tid = pid_tgid,
		.code = exit_code_of(leader, read_word(task + cfg.at.task_signal)),
	};
	struct told_process *process = bpf_map_lookup_elem(&told, &out.tgid);

	if (process && process->is_held &&
	    bpf_ringbuf_output(&events, &process->last, sizeof(process->last), 0))
		__sync_fetch_and_add(&told_left_out, 1);
	if (process)
		bpf_map_delete_elem(&told, &out.tgid);
	bpf_probe_read_kernel(out.comm, sizeof(out.comm), (void *)(leader + cfg.at.task_comm));
	if (bpf_ringbuf_output(&events, &out, sizeof(out), 0))
		__sync_fetch_and_add(&told_left_out, 1);
}

#endif
