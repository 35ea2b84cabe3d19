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

/* The base of values that are read from the current task. Others are offsets in the context. */
#define FACT_TASK 0xffff

/*
 * How to read a value. It begins with the word at `base` in the program's context, which has the
 * function's arguments or the registers. Each hop adds an offset and reads a word there.
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
static __noinline long read_fact_value(const struct fact_value *value, void *ctx,
				       struct rec_note *note)
{
	u64 word = 0;
	long failed = 0;
	u32 i;

	if (value->base == FACT_TASK)
		word = (u64)bpf_get_current_task();
	else
		bpf_probe_read_kernel(&word, sizeof(word), ctx + (value->base & 0xff));
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
				 void *ctx)
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
		if (read_fact_value(&fact->values[i], ctx, note))
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

/* The tag of a note's source: its number (bits 0 to 31), the number of its fact (32 to 47). */
static __noinline void take_fact(void *ctx, u64 task, u64 tag, u64 result_offset)
{
	u32 number = (tag >> 32) & 0xffff;
	struct fact *fact = bpf_map_lookup_elem(&facts, &number);
	struct session *session;
	struct guard guard;
	u64 result = 0;

	if (!fact)
		return;
	if (fact->condition == FACT_IF_GIVEN)
		result_offset = fact->values[0].base & 0xff;
	if (fact->condition != FACT_ALWAYS)
		bpf_probe_read_kernel(&result, sizeof(result), ctx + result_offset);
	if (fact->condition == FACT_ON_FAILURE &&
	    !result_code(fact->class, judged_result(fact->class, result)))
		return;
	if (fact->condition == FACT_IF_TRUE && !(u8)result)
		return;
	if (fact->condition == FACT_IF_GIVEN && !result)
		return;
	session = enter_session(&guard, task);
	if (!session)
		return;
	note_fact(session, tag, fact, ctx);
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
