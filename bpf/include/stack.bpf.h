/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The core algorithm. It tracks which traced calls are open in a session, and decides which records
 * of finished calls are kept.
 *
 * A call is identified by its stack pointer. A caller's stack pointer is above its callee's as long
 * as both calls are open. So a return finds its call exactly. The kernel may fail to report a call
 * or a return (no free return slot, noreturn functions, recursion guards). The next event reveals
 * this: the affected call is marked, and the session goes on.
 *
 * Finished calls are kept in post-order in out.calls, which is a ring buffer. A failed call keeps
 * the records of its callees. A successful call discards them. So when the entry function returns,
 * the ring holds the failures that no caller turned into a success, each preceded by the failures
 * below it.
 */
#ifndef RETSNOOP_STACK_H
#define RETSNOOP_STACK_H

struct call {
	void *ctx;
	u64 sp;
	u64 result;
	u64 call_site;
	u32 func;
	u32 class; /* class byte: see below */
	u32 call_site_offset; /* from `sp` to the word to read; 0: `call_site` is set */
	u64 ip; /* of the function, used with call_site_offset; 0: unknown */
	u32 place; /* as in struct call_rec */
	u32 is_at_syscall; /* at a tracepoint: the stack has nothing of the function */
	u32 arguments_in; /* enum arguments_in */
};

/*
 * A class byte holds the class of the result (enum result_class, bits 0 to 3), why a call opens a
 * session (enum entry_reason, bits 4 to 6), and CLASS_ANSWERS (bit 7). It is one field, because the
 * verifier takes a quarter longer if the reason has a field of its own, and because tag_cache has
 * no room for more.
 */
#define CLASS_MASK 0x0f
#define CLASS_REASON_SHIFT 4
#define CLASS_REASON_MASK 0x07

/*
 * A token names an open call. Back ends that offer a word of memory for each call pass the token
 * from the call to its return. Its fields, from the top: a set bit, 15 bits of the slot's
 * generation, the slot (16 bits), the depth of the call (8), its sequence number (24).
 */
#define TOKEN_SEQ_MASK 0xffffffU
#define TOKEN_GENERATION_MASK 0x7fffU
#define TOKEN_BEYOND_DEPTH 255

static __always_inline u64 token_of(const struct session *session, u32 depth, u32 seq)
{
	u64 upper =
		(1U << 31) | (session->generation & TOKEN_GENERATION_MASK) << 16 | session->slot;

	return upper << 32 | depth << 24 | (seq & TOKEN_SEQ_MASK);
}

/* Returns the session that the token's call belongs to, or NULL if the session is closed. */
static __always_inline struct session *session_of_token(u64 token)
{
	u32 slot = (token >> 32) & 0xffff;
	u32 generation = (token >> 48) & TOKEN_GENERATION_MASK;
	struct session *session;

	if (!token)
		return NULL;
	session = bpf_map_lookup_elem(&slots, &slot);
	if (!session || (session->generation & TOKEN_GENERATION_MASK) != generation)
		return NULL;
	/*
	 * A generation is reused after 32,768 sessions of the slot, so an old token may match a
	 * later session. In task context the key reveals that.
	 */
	if (session->key != task_key() && session->out.execution_context == CONTEXT_TASK)
		return NULL;
	return session->key ? session : NULL;
}

/* Lower than every kernel stack pointer: the start of the kernel's half of the address space. */
#define LOWEST_SP (1ULL << 63)

/*
 * Fills in the stack pointer and the function of the call that a token names. If the call was not
 * recorded, or was dropped, the stack pointer becomes LOWEST_SP, which matches no call.
 */
static __always_inline void recall(struct call *call, struct session *session, u64 token)
{
	u32 depth = (token >> 24) & 0xff;
	struct frame *frame = frame_at(session, depth);

	if (depth < session->depth && depth < cfg.max_depth &&
	    !((frame->seq ^ (u32)token) & TOKEN_SEQ_MASK)) {
		call->sp = frame->sp;
		call->func = frame->func;
	} else {
		call->sp = LOWEST_SP;
	}
}

/*
 * Drops the calls above the session->keep outermost ones. They cannot be open any more: their
 * returns were not reported. The outermost MAX_UNRETURNED of them are recorded with
 * CALL_UNRETURNED, and the records of their callees are kept.
 */
static void drop_unreturned(struct session *session, u64 now)
{
	u32 depth = recorded_depth(session);
	struct frame *frame, *caller;
	struct call_rec *rec;
	u32 keep = verifier_reload(session->keep);
	u32 i;

	if (keep >= session->depth)
		return;
	session->out.unreturned += session->depth - keep;
	session->depth = keep;
	session->failed_top *= is_less(session->failed_depth, keep);
	/*
	 * The loop has no branch except its end, because the verifier explores each iteration
	 * separately.
	 */
	for (i = 0; i < MAX_UNRETURNED; i++) {
		if (keep + i >= depth)
			break;
		frame = frame_at(session, keep + i);
		rec = next_record(session);
		fill_record(rec, frame, keep + i, now);
		rec->flags = CALL_UNRETURNED;
	}
	keep = verifier_reload(session->keep);
	if (!keep)
		return;
	frame = frame_at(session, keep);
	caller = frame_at(session, keep - 1);
	/* As for a void call: the dropped call has no result, but failures below it still count. */
	if (frame->child_code)
		caller->child_code = frame->child_code;
	caller->pending |= frame->pending;
	caller->flags |= frame->flags & FRAME_ANSWERED;
}

/*
 * Returns how many calls can still be open when the stack pointer is session->sp. Stack pointers
 * decrease from caller to callee, so this is a binary search. At equality the call counts as open.
 */
static u32 open_calls_at(struct session *session)
{
	u64 sp = verifier_reload(session->sp);
	u32 depth = recorded_depth(session);
	u32 n_open = 0;
	u32 step, n;

	/* The verifier takes twice as long for a rolled loop. */
#pragma unroll
	for (step = MAX_DEPTH; step; step >>= 1) {
		n = n_open + step;
		n_open += step *
			  is_zero(is_less(depth, n) + is_less(frame_at(session, n - 1)->sp, sp));
	}
	return n_open;
}

/* Opens a call and returns its token. A call beyond cfg.max_depth is only counted. */
static u64 push_call(struct session *session, const struct call *call, u64 now)
{
	u32 depth = session->depth++;
	struct frame *frame;

	if (depth >= cfg.max_depth) {
		session->out.beyond_depth++;
		return token_of(session, TOKEN_BEYOND_DEPTH, 0);
	}
	frame = frame_at(session, depth);
	frame->started_ns = now;
	frame->sp = call->sp;
	frame->func = call->func;
	frame->seq = session->next_seq++;
	frame->rec_top = session->out.top;
	frame->cap_top = session->cap_top;
	frame->child_code = 0;
	frame->pending = 0;
	frame->run_len = 0;
	frame->place = call->place;
	frame->class = call->class & CLASS_MASK;
	frame->flags = call->class & CLASS_ANSWERS ? FRAME_ANSWERS : 0;
	return token_of(session, depth, frame->seq);
}

/*
 * Returns the number of open calls up to and including the one that returns, or 0 if its start was
 * not seen. At most `n_open` calls can be open. The callee of a tail call has its caller's stack
 * pointer and returns first, so the function must match as well.
 */
static u32 find_returning(struct session *session, u32 func, u32 n_open)
{
	u64 sp = verifier_reload(session->sp);
	u32 found = 0;
	struct frame *frame;
	u64 differs;
	u32 i, n;

	/*
	 * The rolled loop has a sixth of the instructions. On 7.x, verification time depends more
	 * on the number of instructions than on the number of iterations.
	 */
#pragma clang loop unroll(disable)
	for (i = 0; i < MAX_TAIL_CALLS; i++) {
		n = n_open - i;
		frame = frame_at(session, n - 1);
		differs = (frame->sp ^ sp) | (frame->func ^ func);
		found += n * is_zero(differs) * is_zero(found) * is_less(i, n_open);
	}
	return found;
}

/*
 * Returns the frame of the call that returns, after dropping all calls below it, or NULL if there
 * is none.
 */
static struct frame *returning_frame(struct session *session, const struct call *call, u64 now)
{
	struct frame *frame = top_frame(session);
	u32 n_open, found;

	if (session->depth > cfg.max_depth) {
		/*
		 * The depth counter is beyond what is recorded. Either one of the calls beyond the
		 * limit returns, or all of these were missed.
		 */
		if (frame->sp > call->sp) {
			session->depth--;
			return NULL;
		}
		session->depth = cfg.max_depth;
	}
	if (frame->sp == call->sp && frame->func == call->func)
		return frame;
	session->sp = call->sp;
	n_open = open_calls_at(session);
	found = find_returning(session, call->func, n_open);
	session->keep = n_open;
	if (found)
		session->keep = found;
	else
		session->out.unmatched_returns++;
	drop_unreturned(session, now);
	return found ? top_frame(session) : NULL;
}

/* Passes the result of a call on to its caller's frame. */
static void tell_caller(struct session *session, u32 depth, const struct frame *frame, s32 code)
{
	struct frame *caller;

	if (!depth)
		return;
	caller = frame_at(session, depth - 1);
	note_failure(session, depth, frame->class == CLASS_NEVER ? frame->child_code : code);
	if (frame->flags & FRAME_ANSWERED || (code && frame->flags & FRAME_ANSWERS))
		caller->flags |= FRAME_ANSWERED;
	if (frame->class == CLASS_NEVER) {
		/*
		 * The function does not report failures itself. A failure below it may still be the
		 * reason of its caller's failure.
		 */
		if (frame->child_code)
			caller->child_code = frame->child_code;
		caller->pending |= frame->pending;
	} else if (code) {
		caller->child_code = code;
		caller->pending = 1;
	} else {
		caller->pending = 0;
	}
}

/*
 * Returns the record to fill for a failed call, or NULL if the failure was merged into the previous
 * record as a repeat. Captures the stack if this call is where the error first appears.
 */
static __always_inline struct call_rec *failure_record(struct session *session, struct frame *frame,
						       u32 depth, const struct call *call, s32 code,
						       u64 now, u32 *capture)
{
	struct call_rec *last;

	session->wanted_errors |= wanted_by(code);
	if (repeats_last(session, frame, depth, call->result)) {
		last = &session->out.calls[(session->out.top - 1) & (MAX_CALLS - 1)];
		last->repeats++;
		last->duration_ns = now - frame->started_ns;
		return NULL;
	}
	/*
	 * A callee that failed with the same code has already captured a deeper, more informative
	 * stack. A user function has returned to user space, so there is no kernel stack.
	 */
	if (frame->child_code != code && (depth || !is_unwanted_error(code)) &&
	    !is_outside(frame->sp) && !call->is_at_syscall)
		*capture = capture_stack(call->ctx, session, is_after_failure(session, depth));
	return next_record(session);
}

/*
 * Returns the record to fill for a successful call. Discards the records of its callees, unless the
 * call is void with a pending failure, successful calls are shown, or a request was answered with a
 * failure below it.
 */
static __always_inline struct call_rec *success_record(struct session *session, struct frame *frame,
						       u32 depth, const struct call *call,
						       u32 *capture)
{
	bool transparent = frame->class == CLASS_NEVER && frame->pending;

	if (!transparent && !cfg.show_success && !(frame->flags & FRAME_ANSWERED)) {
		truncate_records(session, records_begin(session, frame));
		session->cap_top = frame->cap_top;
	}
	if (cfg.show_success && frame->seq + 1 == session->next_seq && !is_outside(frame->sp))
		*capture = capture_last_stack(call->ctx, session);
	return transparent ? next_record(session) : record_in_run(session, depth);
}

static __always_inline void keep_call(struct session *session, struct frame *frame, u32 depth,
				      const struct call *call, s32 code, u64 now)
{
	struct call_rec *rec;
	u32 capture = 0;

	make_room(session);
	if (code)
		rec = failure_record(session, frame, depth, call, code, now, &capture);
	else
		rec = success_record(session, frame, depth, call, &capture);
	if (!rec)
		return;
	fill_record(rec, frame, depth, now);
	rec->flags = CALL_FAILED * (1 - is_zero((u32)code)) |
		     (frame->flags & FRAME_ENDED) * CALL_UNRETURNED / FRAME_ENDED;
	rec->result = call->result;
	rec->call_site = call->call_site;
	if (code && call->call_site_offset)
		rec->call_site = trampoline_call_site(frame->sp + call->call_site_offset, call->ip);
	rec->capture = capture;
}

static __always_inline bool has_other_errors(struct session *session)
{
	s32 code = verifier_reload(session->code);

	if (cfg.has_any_errors && !(session->wanted_errors & WANTED_ANY))
		return true;
	if (cfg.has_only_errors && code && !is_wanted_error(code))
		return true;
	if (cfg.has_only_errors && !(session->wanted_errors & WANTED_ONLY))
		return true;
	return is_unwanted_error(code);
}

/* Closes a session whose entry function's return was not reported. */
static __noinline void abandon_session(struct session *session)
{
	COUNT(abandoned);
	close_session(session);
}

/*
 * Closes the session of the current task if its entry function is a user function: the task has
 * executed another program, so the function does not return. Otherwise all system calls of the new
 * program would be callees of that function.
 */
static __always_inline void close_session_of_replaced_program(void)
{
	enum execution_context context;
	struct session *session;
	u64 key = session_key(task_key(), &context);

	if (!key || context != CONTEXT_TASK)
		return;
	session = find_session(key);
	if (session && is_outside(session->frames[0].sp))
		abandon_session(session);
}

/*
 * Returns whether the session's entry function is called with the stack pointer of its first call.
 * That is no tail call of the function to itself: the return was missed. System calls of a task all
 * have the same stack pointer, so without this check they would be callees of the first one, and
 * the session would never end. At the tracepoint of system calls, it is missed whatever the
 * function.
 */
static __always_inline bool is_called_again(const struct session *session, const struct call *call)
{
	const struct frame *root = &session->frames[0];

	/*
	 * No arithmetic: in programs of trampolines the stack pointer is a context pointer for the
	 * verifier.
	 */
	return root->sp == call->sp && (root->func == call->func || call->is_at_syscall);
}

/*
 * Remembers on which stack the session runs. The first call of a kernel function tells, which is
 * the root of most sessions.
 */
static __always_inline void note_stack(struct session *session, const struct call *call)
{
	u64 sp;

	/* As in is_on_other_stack(). */
	session->sp = call->sp;
	sp = verifier_reload(session->sp);
	session->stack_sp |= sp * is_zero(session->stack_sp) * (1 - is_outside(sp));
}

/*
 * Handles the call of a traced function. `may_open` is non-zero if the call may open a session.
 * Returns the call's token, or 0 if its return need not be handled.
 */
static __always_inline u64 on_entry(const struct call *call, u64 key,
				    enum execution_context context, u64 may_open)
{
	struct session *session = find_session(key);
	u64 now;

	if (!session && !may_open)
		return 0;
	now = bpf_ktime_get_ns();
	if (session && is_on_other_stack(session, call->sp)) {
		/* This is an interrupt that is not counted in preempt_count yet, or no longer. */
		if (context == CONTEXT_TASK)
			return 0;
		/* The CPU handles its next interrupt, so the previous one is over. */
		abandon_session(session);
		session = NULL;
		if (!may_open)
			return 0;
	}
	if (session && may_open && is_called_again(session, call)) {
		abandon_session(session);
		session = NULL;
	}
	if (session && top_frame(session)->sp < call->sp) {
		session->sp = call->sp;
		session->keep = open_calls_at(session);
		drop_unreturned(session, now);
		if (!session->depth) {
			abandon_session(session);
			session = NULL;
			if (!may_open)
				return 0;
		}
	}
	if (!session) {
		session = open_session(key, context, now);
		if (!session)
			return 0;
		session->out.reason = call->class >> CLASS_REASON_SHIFT & CLASS_REASON_MASK;
		if (cfg.reads_arguments)
			keep_arguments(session, call->ctx, call->arguments_in);
		note_cgroup(session);
	}
	note_stack(session, call);
	return push_call(session, call, now);
}

/*
 * The entry function has returned. Decides whether the session is sent, and closes it.
 * session->code is the code of the entry function's result.
 */
static __noinline void finish_session(struct session *session)
{
	struct rec_session *out = &session->out;
	u64 took = out->ended_ns - out->started_ns;
	struct frame *frame = &session->frames[0];
	bool failed = verifier_reload(session->code) || frame->flags & FRAME_ANSWERED ||
		      (frame->class == CLASS_NEVER && frame->pending);

	out->flags = failed ? SESSION_FAILED : 0;
	if (!failed && !cfg.show_success)
		COUNT(succeeded);
	else if (failed && has_other_errors(session))
		COUNT(other_errors);
	else if (took < cfg.longer_ns)
		COUNT(too_short);
	else if (send_session(session))
		COUNT(shown);
	else
		COUNT(ring_full);
	close_session(session);
}

/*
 * Handles the return of a traced function. Returns true if it was the outermost open call of the
 * session.
 */
static __noinline bool on_exit(struct call *call, struct session *session)
{
	struct frame *frame;
	u32 depth;
	s32 code;
	u64 now;

	if (!session->depth)
		return false;
	now = bpf_ktime_get_ns();
	frame = returning_frame(session, call, now);
	if (!session->depth) {
		abandon_session(session);
		return false;
	}
	if (!frame)
		return false;
	depth = session->depth - 1;
	if (depth >= MAX_DEPTH) /* never true, but the verifier does not know */
		return false;
	call->result = judged_result(frame->class, call->result);
	session->code = result_code(frame->class, call->result);
	code = verifier_reload(session->code);
	keep_call(session, frame, depth, call, code, now);
	tell_caller(session, depth, frame, code);
	session->depth = depth;
	session->out.ended_ns = now;
	if (cfg.flight_slots)
		record_flight(session, depth, call->result, now);
	return !depth;
}

#endif
