/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The records of a session's finished calls: which are kept, and which go first. */
#ifndef RETSNOOP_RECORDS_H
#define RETSNOOP_RECORDS_H

/* Records are a ring: user space works out from `peak` which are overwritten. */
static struct call_rec *next_record(struct session *session)
{
	return &session->out.calls[session->out.top++ & (MAX_CALLS - 1)];
}

/* Gives up the records from `top` on. */
static void truncate_records(struct rec_session *out, u32 top)
{
	if (out->peak < out->top)
		out->peak = out->top;
	out->top = top;
}

/*
 * The next record would overwrite the oldest one. What a function calls after one of its callees
 * has failed is nearly always cleanup, however much of it fails in turn; the failure before it is
 * what the session is about. So the records of the former are given up. Where there are none, the
 * ring overwrites its oldest record.
 */
static __always_inline void make_room(struct session *session)
{
	struct rec_session *out = &session->out;
	u32 top = session->failed_top;

	if (out->top < MAX_CALLS || out->top < out->peak || !top || top + MIN_CUT > out->top)
		return;
	out->cut += out->top - top;
	truncate_records(out, top);
	session->cut_top = top;
	session->cut_seq = session->next_seq;
}

/* Where the records of a call's callees begin. A call that was open when records were cut may have
 * begun above what is left. */
static __always_inline u32 records_begin(const struct session *session, const struct frame *frame)
{
	u32 above = frame->rec_top - session->cut_top;

	return frame->rec_top - above * is_less(frame->seq, session->cut_seq) *
					is_less(session->cut_top, frame->rec_top);
}

/* The same failure of the same function again, with nothing else in between: a loop. */
static bool repeats_last(struct session *session, struct frame *frame, u32 depth, u64 result)
{
	struct rec_session *out = &session->out;
	struct call_rec *last;

	if (!depth || out->top != frame->rec_top ||
	    out->top <= frame_at(session, depth - 1)->rec_top)
		return false;
	last = &out->calls[(out->top - 1) & (MAX_CALLS - 1)];
	return last->func == frame->func && last->depth == depth && last->result == result &&
	       last->flags == CALL_FAILED;
}

/* Of successful calls in a run the last few are kept. */
static __always_inline struct call_rec *record_in_run(struct session *session, u32 depth)
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

static __always_inline void fill_record(struct call_rec *rec, const struct frame *frame, u32 depth,
					u64 now)
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
	rec->place = frame->place;
}

/* Whether a call at this depth was made after a callee of session->failed_depth had failed, and
 * nothing has succeeded there since. 1 or 0; without branches for the verifier's sake. */
static __always_inline u32 is_after_failure(struct session *session, u32 depth)
{
	struct frame *failed = frame_at(session, session->failed_depth);

	return (1 - is_zero(session->failed_top)) * (1 - is_zero(failed->pending)) *
	       is_less(session->failed_depth, depth);
}

/*
 * A call at this depth has returned this code to its caller. Of a failure it is noted where its
 * records end, and at which depth its caller is. One that comes after another in the same caller,
 * or in what that calls, is not noted: it is of the cleanup. One that a caller further up learns of
 * is: it is the same failure, or the one before it was handled.
 */
static __always_inline void note_failure(struct session *session, u32 depth, s32 code)
{
	u32 is_new = sign_of((s64)code) * (1 - is_after_failure(session, depth));

	session->failed_top += (session->out.top - session->failed_top) * is_new;
	session->failed_depth += (depth - 1 - session->failed_depth) * is_new;
	/* What the call itself had noted is over with it. */
	session->failed_top *= 1 - is_zero(session->failed_depth ^ depth);
}

#endif
