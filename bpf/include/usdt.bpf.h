/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * USDT probes, as entry functions and as notes.
 *
 * A hit of an entry probe opens a session, whose root is the probe. The session ends when the
 * function returns that the probe is in, or when another probe is hit.
 *
 * In the first case, the root has the stack pointer that the call of the function had: user space
 * knows from the unwind information where the return address is when the probe is hit. So the
 * return is found exactly, as that of any other call. In the second case it has none (ROOT_SP).
 */
#ifndef RETSNOOP_USDT_H
#define RETSNOOP_USDT_H

enum usdt_flags {
	USDT_RETURNS = 1, /* sessions end at the return of the function */
	USDT_AT_START = 2, /* the probe is the first instruction of its function */
};

enum usdt_kind {
	USDT_UNKNOWN = 0, /* cannot be read */
	USDT_CONSTANT = 1,
	USDT_REGISTER = 2,
	USDT_MEMORY = 3,
};

/* In place of an offset in struct pt_regs: no register. */
#define NO_REGISTER 0xff

/* Where the value of an argument is. */
struct usdt_argument {
	u64 displacement; /* of the address in memory; or the constant */
	u8 kind; /* enum usdt_kind */
	u8 size; /* in bytes: 1, 2, 4 or 8 */
	u8 is_signed;
	u8 base; /* registers by their offsets in struct pt_regs, in bytes */
	u8 index;
	u8 shift; /* log2 of what the index is multiplied with */
	u16 reserved;
};

/* A place where a probe is. User space fills it in. */
struct usdt_site {
	u64 return_offset; /* of the return address's place from this register */
	u32 return_register; /* offset in struct pt_regs, in bytes */
	u32 flags; /* enum usdt_flags */
	u32 source; /* of the notes */
	u32 n_arguments;
	struct usdt_argument arguments[MAX_USDT_ARGUMENTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* number of sites, set by user space */
	__type(key, u32);
	__type(value, struct usdt_site);
} usdt_sites SEC(".maps");

/* In a tag of a site, the number of the site is above the function's tag. */
#define SITE_SHIFT 41

static __always_inline struct usdt_site *usdt_site_of(u64 tag)
{
	u32 number = tag >> SITE_SHIFT;

	return bpf_map_lookup_elem(&usdt_sites, &number);
}

/* Registers are copied: the verifier allows only constant offsets into the context. */
static __always_inline u64 usdt_register(struct pt_regs *ctx, u32 offset)
{
	u64 value = 0;

	offset &= 0xff;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)ctx + offset);
	return value;
}

/* Reads an argument, with 64 bits. Returns 0 if it could be read. */
static __noinline long read_usdt_argument(struct pt_regs *ctx, const struct usdt_argument *argument,
					  u64 *value)
{
	u64 words[2] = {argument->displacement};
	u32 unused = (64 - 8 * argument->size) & 63;
	u64 at = argument->displacement;
	long failed = 0;

	if (argument->kind == USDT_UNKNOWN)
		return 1;
	if (argument->kind == USDT_REGISTER)
		words[0] = usdt_register(ctx, argument->base);
	if (argument->kind == USDT_MEMORY) {
		if (argument->base != NO_REGISTER)
			at += usdt_register(ctx, argument->base);
		if (argument->index != NO_REGISTER)
			at += usdt_register(ctx, argument->index) << (argument->shift & 3);
		failed = bpf_probe_read_user(words, argument->size & 15, (void *)at);
	}
	at = verifier_reload(words[0]) << unused;
	*value = argument->is_signed ? (u64)((s64)at >> unused) : at >> unused;
	return failed;
}

/* Notes the hit of a probe in the session of the task, if there is one. */
static __noinline void note_usdt(struct pt_regs *ctx, const struct usdt_site *site, u64 task)
{
	struct session *session;
	struct rec_note *note;
	struct guard guard;
	u64 value = 0;
	u32 i;

	session = enter_session(&guard, task);
	if (!session)
		return;
	note = new_note(session, site->source);
	for (i = 0; note && i < MAX_USDT_ARGUMENTS; i++) {
		if (i >= site->n_arguments)
			break;
		if (read_usdt_argument(ctx, &site->arguments[i], &value))
			note->unread |= 1U << i;
		*(u64 *)&note->data[8 * i] = value;
		note->len = 8 * i + 8;
	}
	leave_guard(&guard);
}

/*
 * Returns the stack pointer that identifies the root, or 0 if the end of the session would not be
 * seen: the function has been called before its returns were traced.
 */
static __always_inline u64 usdt_sp(struct pt_regs *ctx, const struct usdt_site *site)
{
	u64 at;

	if (!(site->flags & USDT_RETURNS))
		return ROOT_SP;
	at = usdt_register(ctx, site->return_register) + site->return_offset;
	/* The return address is replaced after the programs at the first instruction have run. */
	if (!(site->flags & USDT_AT_START) && !return_is_traced(at)) {
		COUNT(called_before);
		return 0;
	}
	return outside_sp(at);
}

/* Returns whether a frame is of this probe, in the same call of its function. */
static __always_inline bool is_same_hit(const struct frame *frame, const struct call *call)
{
	return frame->sp == call->sp && frame->func == call->func;
}

/*
 * Ends what an earlier hit of the probe has begun, in the same call of its function: in a loop,
 * each iteration is one of its own. What the function returns is not known then, so the frame is
 * judged as that of a function without a result.
 */
static __noinline void usdt_ends(struct call *call, u64 tag, u64 task)
{
	struct session *session;
	struct frame *frame;
	struct guard guard;
	enum execution_context context;
	u64 key = session_key(task, &context);

	if (!key || !ready || !enter_guard(&guard, key))
		return;
	read_tag(call, tag);
	session = find_session(key);
	if (session) {
		frame = &session->frames[0];
		if (!is_same_hit(frame, call))
			frame = top_frame(session);
		if (session->depth && is_same_hit(frame, call)) {
			frame->flags |= FRAME_ENDED * (1 - is_zero(frame->class));
			frame->class = CLASS_NEVER;
			take_return(call, session, true);
		}
	}
	leave_guard(&guard);
}

/* Returns whether the current task has a session. has_no_session() may be wrong about that. */
static __noinline bool has_session(u64 task)
{
	enum execution_context context;
	u64 key = session_key(task, &context);

	return key && find_session(key);
}

static __noinline void usdt_hit(struct pt_regs *ctx, u64 task, u64 may_open)
{
	u64 tag = probe_tag(ctx);
	struct usdt_site *site = usdt_site_of(tag);
	struct call call = {.ctx = ctx};

	if (!site)
		return;
	call.sp = usdt_sp(ctx, site);
	if (!call.sp)
		return;
	usdt_ends(&call, tag, task);
	/* Without a stack pointer it can be a root only. */
	if (call.sp != ROOT_SP || !has_session(task))
		opening_call_starts(&call, tag, task, may_open);
	if (cfg.has_notes)
		note_usdt(ctx, site, task);
}

SEC("kprobe")
int retsnoop_usdt_opening(struct pt_regs *ctx)
{
	bool opening = may_open();
	u64 task = task_key();

	use_stack_of_task(ctx);
	if (is_of_interest(probe_tag(ctx), task, opening))
		usdt_hit(ctx, task, opening);
	return 0;
}

/* A probe that only adds notes to sessions. */
SEC("kprobe")
int retsnoop_usdt_note(struct pt_regs *ctx)
{
	u64 task = task_key();
	struct usdt_site *site;

	use_stack_of_task(ctx);
	if (has_no_session(task))
		return 0;
	site = usdt_site_of(probe_tag(ctx));
	if (site)
		note_usdt(ctx, site, task);
	return 0;
}

/* The probe that ends the sessions of another one, whose tag it has. */
SEC("kprobe")
int retsnoop_usdt_ending(struct pt_regs *ctx)
{
	struct call call = {.ctx = ctx, .sp = ROOT_SP};
	u64 task = task_key();

	use_stack_of_task(ctx);
	if (!has_no_session(task))
		usdt_ends(&call, probe_tag(ctx), task);
	return 0;
}

#endif
