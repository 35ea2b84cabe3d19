/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs that add notes to the session of the current context: events of tracepoints, and facts
 * about calls of functions, such as why a permission was refused. User space makes a copy of a
 * program for each source.
 */
#ifndef RETSNOOP_NOTE_PROGRAMS_H
#define RETSNOOP_NOTE_PROGRAMS_H

/* When the call of a function is noted. */
enum fact_condition {
	FACT_ALWAYS = 0,
	FACT_ON_FAILURE = 1, /* by the class of its result */
	FACT_IF_TRUE = 2, /* it returned a bool that is true */
	FACT_IF_GIVEN = 3, /* if the word that its first value begins with is not 0 */
};

enum fact_kind {
	FACT_NUMBER = 0, /* the word that the last pointer is read as */
	FACT_TEXT_AT = 1, /* the text that it points to, with `add` */
	FACT_LONG_TEXT = 2, /* the same, as the only value of the note */
	FACT_FC_LOG = 3, /* the text that a struct fc_log gets next; the only value of the note */
};

/* The base of values that are read from the current task. Others are offsets in the arguments. */
#define FACT_TASK 0xffff

/*
 * How to read a value. It begins with the word at `base`, in what has the function's arguments: the
 * program's context, or struct noted_call. Each hop adds an offset and reads a word there.
 */
struct fact_value {
	u32 base;
	u32 kind; /* enum fact_kind */
	u32 at; /* offset in the note's data; of a text, a multiple of FACT_TEXT */
	u32 n_hops;
	s32 hops[MAX_FACT_HOPS];
	s32 add; /* added to the address of a text; of a struct fc_log, the offset of `buffer` */
	u32 reserved;
};

struct fact {
	u32 n_values;
	u32 condition; /* enum fact_condition */
	u32 class; /* enum result_class */
	u32 len; /* bytes of the note's data */
	u32 has_stack; /* the data end with the stack, from NOTE_STACK on */
	u32 reserved;
	struct fact_value values[MAX_FACT_VALUES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* number of facts, set by user space */
	__type(key, u32);
	__type(value, struct fact);
} facts SEC(".maps");

/* Elements of `buffer` in a struct fc_log. */
#define FC_LOG_SIZE 8

/*
 * Notes where the next text of a struct fc_log will be. The function that formats the text takes
 * any number of arguments, so the kernel attaches no program with its arguments to its return.
 */
static __always_inline void note_fc_log(const struct fact_value *value, u64 log,
					struct rec_note *note)
{
	u32 head = read_half(log + value->hops[0]) & (FC_LOG_SIZE - 1);

	*(u64 *)note->data = log + value->add + 8 * head;
	note->len = 8;
	note->unread |= NOTE_IS_LATE;
}

/*
 * Reads a value into the note. Returns 0 if it could be read. The words behind a pointer that could
 * not be read are 0, and no object is at a small address.
 */
static __noinline long read_fact_value(const struct fact_value *value, void *args,
				       struct rec_note *note)
{
	u64 word = 0;
	long failed = 0;
	u32 i;

	if (value->base == FACT_TASK)
		word = (u64)bpf_get_current_task();
	else
		bpf_probe_read_kernel(&word, sizeof(word), args + (value->base & 0xff));
	for (i = 0; i < MAX_FACT_HOPS; i++) {
		if (i >= value->n_hops)
			break;
		failed = bpf_probe_read_kernel(&word, sizeof(word), (void *)word + value->hops[i]);
	}
	word = verifier_reload(word);
	if (value->kind == FACT_FC_LOG) {
		note_fc_log(value, word, note);
		return 0;
	}
	if (value->kind == FACT_LONG_TEXT) {
		failed = bpf_probe_read_kernel_str(note->data, NOTE_BYTES,
						   (void *)(word + value->add));
		note->len = failed < 0 ? 0 : failed;
		return failed < 0;
	}
	if (value->kind == FACT_NUMBER) {
		*(u64 *)&note->data[value->at & (NOTE_BYTES - 8)] = word;
		return failed;
	}
	failed = bpf_probe_read_kernel_str(&note->data[value->at & (NOTE_BYTES - FACT_TEXT)],
					   FACT_TEXT, (void *)(word + value->add));
	return failed < 0;
}

/* Notes the innermost addresses of the stack. Unused ones are 0. */
static __always_inline void note_stack_of(void *ctx, struct rec_note *note)
{
	__builtin_memset(&note->data[NOTE_STACK], 0, NOTE_BYTES - NOTE_STACK);
	bpf_get_stack(ctx, &note->data[NOTE_STACK], NOTE_BYTES - NOTE_STACK, 0);
}

static __noinline void note_fact(struct session *session, u32 source, const struct fact *fact,
				 void *args, void *ctx)
{
	struct rec_note *note = new_note(session, source);
	u32 i;

	if (!note)
		return;
	note->len = fact->len & (2 * NOTE_BYTES - 1);
	if (fact->has_stack)
		note_stack_of(ctx, note);
	for (i = 0; i < MAX_FACT_VALUES; i++) {
		if (i >= fact->n_values)
			break;
		if (read_fact_value(&fact->values[i], args, note))
			note->unread |= 1U << i;
	}
}

static __always_inline struct session *enter_session(struct guard *guard, u64 task)
{
	enum execution_context context;
	struct session *session;
	u64 key = session_key(task, &context);

	if (!key || !ready || !enter_guard(guard, key))
		return NULL;
	session = find_session(key);
	if (!session)
		leave_guard(guard);
	return session;
}

/* Returns whether a call with these arguments is noted. Its result is at `result_offset`. */
static __noinline bool is_noted(const struct fact *fact, void *args, u64 result_offset)
{
	u64 result = 0;

	if (fact->condition == FACT_IF_GIVEN)
		result_offset = fact->values[0].base & 0xff;
	if (fact->condition != FACT_ALWAYS)
		bpf_probe_read_kernel(&result, sizeof(result), args + result_offset);
	if (fact->condition == FACT_ON_FAILURE)
		return result_code(fact->class, judged_result(fact->class, result)) != 0;
	if (fact->condition == FACT_IF_TRUE)
		return (u8)result != 0;
	return fact->condition == FACT_ALWAYS || result != 0;
}

static __always_inline struct fact *fact_of(u64 tag)
{
	u32 number = (tag >> 32) & 0xffff;

	return bpf_map_lookup_elem(&facts, &number);
}

/* The tag of a note's source: its number (bits 0 to 31), the number of its fact (32 to 47). */
static __noinline void take_fact(void *ctx, u64 task, u64 tag, u64 result_offset)
{
	struct fact *fact = fact_of(tag);
	struct session *session;
	struct guard guard;

	if (!fact || !is_noted(fact, ctx, result_offset))
		return;
	session = enter_session(&guard, task);
	if (!session)
		return;
	note_fact(session, tag, fact, ctx, ctx);
	leave_guard(&guard);
}

/* A function has returned: facts about its arguments. */
SEC("raw_tracepoint/trampoline")
int retsnoop_note_return(u64 *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		take_fact(ctx, task, patched_constant(TAG_MARK),
			  patched_constant(RESULT_OFFSET_MARK));
	return 0;
}

/* A function is called: facts about its arguments. */
SEC("kprobe")
int retsnoop_note_call(struct pt_regs *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		take_fact(ctx, task, patched_constant(TAG_MARK), 0);
	return 0;
}

/*
 * kprobe.session: one link for all functions. To detach a trampoline, the kernel waits for all
 * tasks to leave it, a third of a second for each one. Here and in the programs of single kprobes,
 * the cookie of a function is the tag of its source, the number of its arguments (bits 48 to 50),
 * and whether its call is noted (51), not its return.
 */
#define COOKIE_ARGS_SHIFT 48
#define COOKIE_OF_CALL (1ULL << 51)

/* Keeps the arguments of a call until its return. Returns a number that is not 0 if it did. */
static __noinline u64 noted_call_starts(struct pt_regs *ctx, u64 task)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	struct session_notes *notes;
	struct session *session;
	struct noted_call *call;
	struct guard guard;
	u32 n_open = MAX_NOTED_CALLS;

	if (cookie & COOKIE_OF_CALL) {
		take_fact(ctx, task, cookie, 0);
		return 0;
	}
	session = enter_session(&guard, task);
	if (!session)
		return 0;
	notes = notes_of(session);
	if (notes)
		n_open = session->n_noted_calls;
	if (notes && n_open < MAX_NOTED_CALLS) {
		call = &notes->calls[n_open & (MAX_NOTED_CALLS - 1)];
		call->cookie = cookie;
		call->sp = regs_stack_pointer(ctx);
		read_register_arguments(ctx, call->words);
		session->n_noted_calls = n_open + 1;
	}
	leave_guard(&guard);
	return n_open < MAX_NOTED_CALLS ? n_open + 1 : 0;
}

static __noinline void note_return_of(struct session *session, struct noted_call *call,
				      struct pt_regs *ctx)
{
	u32 n_args = (call->cookie >> COOKIE_ARGS_SHIFT) & MAX_NOTED_ARGS;
	struct fact *fact = fact_of(call->cookie);

	call->words[n_args & MAX_NOTED_ARGS] = regs_result(ctx);
	if (fact && is_noted(fact, call->words, 8 * n_args))
		note_fact(session, call->cookie, fact, call->words, ctx);
}

static __noinline void noted_call_ends(struct pt_regs *ctx, u64 task, u64 token)
{
	struct session_notes *notes;
	struct session *session;
	struct noted_call *call;
	struct guard guard;
	u32 place = token - 1;

	session = enter_session(&guard, task);
	if (!session)
		return;
	notes = notes_of(session);
	/* Calls inside of it whose returns were lost end here, too. */
	if (notes && place < session->n_noted_calls) {
		session->n_noted_calls = place;
		call = &notes->calls[place & (MAX_NOTED_CALLS - 1)];
		if (call->cookie == bpf_get_attach_cookie(ctx))
			note_return_of(session, call, ctx);
	}
	leave_guard(&guard);
}

SEC("kprobe")
int retsnoop_note_session(struct pt_regs *ctx)
{
	u64 task = task_key();
	u64 token;

	if (session_is_return(ctx) & 0xff) {
		noted_call_ends(ctx, task, *session_cookie(ctx));
		return 0;
	}
	token = has_no_session(task) ? 0 : noted_call_starts(ctx, task);
	if (!token)
		return 1;
	*session_cookie(ctx) = token;
	return 0;
}

/*
 * Single kprobes, on kernels with cookies but without kprobe.session: these two programs serve all
 * functions, whereas each trampoline has a program that is verified for it alone. A return has no
 * token, so its call is found by the stack pointer.
 */
static __noinline void probed_call_ends(struct pt_regs *ctx, u64 task)
{
	u64 sp = regs_returned_stack_pointer(ctx);
	u64 cookie = bpf_get_attach_cookie(ctx);
	struct session_notes *notes;
	struct session *session;
	struct noted_call *call;
	struct guard guard;
	u32 i, n_open;

	session = enter_session(&guard, task);
	if (!session)
		return;
	notes = notes_of(session);
	for (i = 0; notes && i < MAX_NOTED_CALLS; i++) {
		n_open = session->n_noted_calls;
		if (!n_open)
			break;
		call = &notes->calls[(n_open - 1) & (MAX_NOTED_CALLS - 1)];
		if (call->sp > sp)
			break;
		session->n_noted_calls = n_open - 1;
		/* The return of a call further down in the stack was lost. */
		if (call->sp < sp)
			continue;
		if (call->cookie == cookie)
			note_return_of(session, call, ctx);
		break;
	}
	leave_guard(&guard);
}

SEC("kprobe")
int retsnoop_note_probed_call(struct pt_regs *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		noted_call_starts(ctx, task);
	return 0;
}

SEC("kprobe")
int retsnoop_note_probed_return(struct pt_regs *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		probed_call_ends(ctx, task);
	return 0;
}

static __noinline void take_event(void *ctx, u64 task, u64 tag, u64 size)
{
	struct session *session;
	struct rec_note *note;
	struct guard guard;

	session = enter_session(&guard, task);
	if (!session)
		return;
	note = new_note(session, tag);
	if (note && !bpf_probe_read_kernel(note->data, size & (NOTE_BYTES - 1), ctx))
		note->len = size & (NOTE_BYTES - 1);
	leave_guard(&guard);
}

/*
 * A perf event of a tracepoint. Its record is as the event's format describes it, and texts follow
 * the fields. The kernel's buffer for records is larger than a note.
 */
SEC("tracepoint")
int retsnoop_note_event(void *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		take_event(ctx, task, patched_constant(TAG_MARK),
			   patched_constant(RESULT_OFFSET_MARK));
	return 0;
}

/* A raw tracepoint: its arguments. */
SEC("raw_tracepoint")
int retsnoop_note_arguments(void *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		take_event(ctx, task, patched_constant(TAG_MARK),
			   patched_constant(RESULT_OFFSET_MARK));
	return 0;
}

#endif
