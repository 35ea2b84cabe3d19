/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The algorithm: which traced calls are open in a session, and what is kept of the finished ones.
 *
 * A call is identified by its stack pointer: a caller's lies above its callee's as long as both
 * are open. So a return finds its call exactly, and a call or return that the kernel did not
 * report (exit pools run dry, noreturn functions, recursion guards) is noticed at the next event
 * and costs a mark, never the session.
 *
 * Finished calls are kept in post-order in out.calls, a ring. A failed call keeps what was kept
 * of its callees; a successful one gives it up. So when the entry function returns, the ring
 * holds the failures that were not forgiven, each with the failures below it.
 */
#ifndef RETSNOOP_STACK_H
#define RETSNOOP_STACK_H

struct call {
	void *ctx;
	u64 sp;
	u64 result;
	u64 call_site;
	u32 func;
	u32 class;
};

static struct frame *frame_at(struct session *session, u32 depth)
{
	/* Or the compiler proves the mask useless and the verifier misses it. */
	barrier_var(depth);
	return &session->frames[depth & (MAX_DEPTH - 1)];
}

/* The innermost open call that is recorded; the session has open calls. */
static struct frame *top_frame(struct session *session)
{
	u32 depth = session->depth < cfg.max_depth ? session->depth : cfg.max_depth;

	return frame_at(session, depth - 1);
}

static struct call_rec *next_record(struct session *session)
{
	struct rec_session *out = &session->out;

	if (out->top - out->low >= MAX_CALLS) {
		out->low++;
		out->overwritten_calls++;
	}
	return &out->calls[out->top++ & (MAX_CALLS - 1)];
}

/* The same failure of the same function again, with nothing else in between: a loop. */
static bool repeats_last(struct session *session, struct frame *frame, u32 depth, u64 result)
{
	struct rec_session *out = &session->out;
	struct call_rec *last;

	if (!depth || out->top != frame->rec_top || out->top == out->low ||
	    out->top <= frame_at(session, depth - 1)->rec_top)
		return false;
	last = &out->calls[(out->top - 1) & (MAX_CALLS - 1)];
	return last->func == frame->func && last->depth == depth && last->result == result &&
	       last->flags == CALL_FAILED;
}

/* Where the record of a successful call goes: the last few of a run are kept. */
static struct call_rec *success_record(struct session *session, u32 depth)
{
	struct rec_session *out = &session->out;
	struct frame *caller;
	u32 kept, slot;

	if (!depth)
		return next_record(session);
	caller = frame_at(session, depth - 1);
	kept = caller->run_len < MAX_SUCCESS_RUN ? caller->run_len : MAX_SUCCESS_RUN;
	if (!kept || out->top != caller->run_base + kept) {
		caller->run_base = out->top;
		caller->run_len = 0;
	}
	slot = caller->run_base + (caller->run_len & (MAX_SUCCESS_RUN - 1));
	caller->run_len++;
	if (caller->run_len <= MAX_SUCCESS_RUN)
		return next_record(session);
	return &out->calls[slot & (MAX_CALLS - 1)];
}

static void fill_record(struct call_rec *rec, const struct frame *frame, u32 depth, u64 now)
{
	rec->started_ns = frame->started_ns;
	rec->duration_ns = now - frame->started_ns;
	rec->func = frame->func;
	rec->seq = frame->seq;
	rec->depth = depth;
	rec->repeats = 1;
	rec->result = 0;
	rec->call_site = 0;
	rec->capture = 0;
	rec->reserved = 0;
}

/* A call whose return was never reported: keep it and what is below it, and say so. */
static void drop_unreturned(struct session *session, u64 now)
{
	u32 depth = --session->depth;
	struct frame *frame = frame_at(session, depth);
	struct call_rec *rec;
	struct frame *caller;

	session->out.unreturned++;
	if (depth >= MAX_DEPTH)
		return;
	rec = next_record(session);
	fill_record(rec, frame, depth, now);
	rec->flags = CALL_UNRETURNED;
	if (!depth)
		return;
	caller = frame_at(session, depth - 1);
	if (frame->child_code)
		caller->child_code = frame->child_code;
	caller->pending |= frame->pending;
}

/* Pops calls that cannot be open any more because the stack is above them. */
static void heal_to(struct session *session, u64 sp, u64 now)
{
	u32 i;

	if (session->depth > cfg.max_depth && frame_at(session, cfg.max_depth - 1)->sp <= sp)
		session->depth = cfg.max_depth;
	if (session->depth > cfg.max_depth)
		return;
	for (i = 0; i < MAX_DEPTH; i++) {
		if (!session->depth || frame_at(session, session->depth - 1)->sp >= sp)
			return;
		drop_unreturned(session, now);
	}
}

static void push_call(struct session *session, const struct call *call, u64 now)
{
	u32 depth = session->depth++;
	struct frame *frame;

	if (depth >= cfg.max_depth) {
		session->out.beyond_depth++;
		return;
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
	frame->class = call->class;
}

/* The open call that returns, at the top after healing; NULL where its start was not seen. */
static struct frame *returning_frame(struct session *session, const struct call *call, u64 now)
{
	struct frame *frame;
	u32 i;

	heal_to(session, call->sp, now);
	if (session->depth > cfg.max_depth) {
		session->depth--;
		return NULL;
	}
	/* A tail call: the callee has its caller's stack pointer and returns first. */
	for (i = 0; i < MAX_DEPTH; i++) {
		if (!session->depth)
			break;
		frame = frame_at(session, session->depth - 1);
		if (frame->sp != call->sp)
			break;
		if (frame->func == call->func)
			return frame;
		drop_unreturned(session, now);
	}
	session->out.unmatched_returns++;
	return NULL;
}

/* What the caller learns of its callee's result. */
static void tell_caller(struct session *session, u32 depth, const struct frame *frame, s32 code)
{
	struct frame *caller;

	if (!depth)
		return;
	caller = frame_at(session, depth - 1);
	if (frame->class == CLASS_NEVER) {
		/* Says nothing itself: what failed below it may still be the caller's reason. */
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

static void keep_failure(struct session *session, struct frame *frame, u32 depth,
			 const struct call *call, s32 code, u64 now)
{
	struct call_rec *rec;
	u32 capture = 0;

	if (repeats_last(session, frame, depth, call->result)) {
		rec = &session->out.calls[(session->out.top - 1) & (MAX_CALLS - 1)];
		rec->repeats++;
		rec->duration_ns = now - frame->started_ns;
		return;
	}
	/* A callee failed with the same code: its stack is deeper and tells more. */
	if (frame->child_code != code)
		capture = capture_stack(call->ctx, session);
	rec = next_record(session);
	fill_record(rec, frame, depth, now);
	rec->flags = CALL_FAILED;
	rec->result = call->result;
	rec->call_site = call->call_site;
	rec->capture = capture;
}

static void keep_success(struct session *session, struct frame *frame, u32 depth,
			 const struct call *call, u64 now)
{
	bool transparent = frame->class == CLASS_NEVER && frame->pending;
	struct call_rec *rec;

	if (!transparent && !cfg.show_success) {
		session->out.top = frame->rec_top;
		if (session->out.low > session->out.top)
			session->out.low = session->out.top;
		session->cap_top = frame->cap_top;
	}
	/* A stack of the deepest calls is all a successful session has to show. */
	if (cfg.show_success && frame->seq + 1 == session->next_seq) {
		session->cap_top = 0;
		session->captures = 0;
		rec = transparent ? next_record(session) : success_record(session, depth);
		fill_record(rec, frame, depth, now);
		rec->capture = capture_stack(call->ctx, session);
	} else {
		rec = transparent ? next_record(session) : success_record(session, depth);
		fill_record(rec, frame, depth, now);
	}
	rec->flags = 0;
	rec->result = call->result;
	rec->call_site = call->call_site;
}

static void finish_session(struct session *session, s32 code, bool pending, u32 class, u64 now)
{
	struct rec_session *out = &session->out;
	bool failed = code || (class == CLASS_NEVER && pending);

	out->ended_ns = now;
	out->flags = failed ? SESSION_FAILED : 0;
	if (!failed && !cfg.show_success)
		COUNT(succeeded);
	else if (now - out->started_ns < cfg.longer_ns)
		COUNT(too_short);
	else if (send_session(session))
		COUNT(shown);
	else
		COUNT(ring_full);
	close_session(session);
}

/* A traced function was called. Returns whether its return is of interest. */
static bool on_entry(const struct call *call, u64 key, enum lane lane, bool opens)
{
	struct session *session = find_session(key);
	u64 now;

	if (!session && !(opens && in_scope()))
		return false;
	now = bpf_ktime_get_ns();
	if (session && session->depth && top_frame(session)->sp < call->sp) {
		heal_to(session, call->sp, now);
		if (!session->depth) {
			/* The entry function's own return was never reported. */
			COUNT(abandoned);
			close_session(session);
			session = NULL;
			if (!(opens && in_scope()))
				return false;
		}
	}
	if (!session)
		session = open_session(key, lane, now);
	if (!session)
		return false;
	push_call(session, call, now);
	return true;
}

/* A traced function returned. */
static void on_exit(const struct call *call, u64 key)
{
	struct session *session = find_session(key);
	struct frame *frame;
	u32 depth;
	s32 code;
	u64 now;

	if (!session)
		return;
	now = bpf_ktime_get_ns();
	frame = returning_frame(session, call, now);
	if (!session->depth) {
		COUNT(abandoned);
		close_session(session);
		return;
	}
	if (!frame)
		return;
	depth = session->depth - 1;
	if (depth >= MAX_DEPTH) /* cannot be; the verifier does not know */
		return;
	code = result_code(frame->class, call->result);
	if (code)
		keep_failure(session, frame, depth, call, code, now);
	else
		keep_success(session, frame, depth, call, now);
	tell_caller(session, depth, frame, code);
	session->depth = depth;
	if (!depth)
		finish_session(session, code, frame->pending, frame->class, now);
}

#endif
