/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records of a session's finished calls: which are kept, and which are discarded first. */
#ifndef RETSNOOP_RECORDS_H
#define RETSNOOP_RECORDS_H

/*
 * The records are a ring. Those from session->first_record up to out.top are there; earlier ones
 * were overwritten.
 */
static struct call_rec *next_record(struct session *session)
{
	u32 index = session->out.top++;
	u32 n_records = index + 1 - session->first_record;

	session->first_record += (n_records - MAX_CALLS) * is_less(MAX_CALLS, n_records);
	return &session->out.calls[index & (MAX_CALLS - 1)];
}

/*
 * Discards the records from index `top` on. Those below it may have been overwritten by discarded
 * ones; what follows then begins at `top`.
 */
static void truncate_records(struct session *session, u32 top)
{
	session->out.top = top;
	session->first_record -=
		(session->first_record - top) * is_less(top, session->first_record);
}

/*
 * Makes room when the next record would overwrite the oldest one. What a function calls after one
 * of its callees has failed is nearly always cleanup, and much of it may fail too. The earlier
 * failure is the subject of the session. So the records of the calls after it are discarded. If
 * there are none, the ring overwrites its oldest record.
 */
static __always_inline void make_room(struct session *session)
{
	struct rec_session *out = &session->out;
	u32 top = session->failed_top;

	if (out->top - session->first_record < MAX_CALLS || !top || top + MIN_CUT > out->top)
		return;
	out->cut += out->top - top;
	truncate_records(session, top);
	session->cut_top = top;
	session->cut_seq = session->next_seq;
}

/*
 * Returns where the records of a call's callees begin. make_room() may have discarded records while
 * the call was open. Then its rec_top may be above what is left.
 */
static __always_inline u32 records_begin(const struct session *session, const struct frame *frame)
{
	u32 above = frame->rec_top - session->cut_top;

	return frame->rec_top - above * is_less(frame->seq, session->cut_seq) *
					is_less(session->cut_top, frame->rec_top);
}

/*
 * Returns whether the same function fails again with the same result, directly after the previous
 * time: a loop.
 */
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

/*
 * Returns the record for the next successful call in a run of them. Only the last MAX_SUCCESS_RUN
 * calls of a run are kept.
 */
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

/*
 * Returns 1 if a callee of the call at session->failed_depth has failed, nothing has succeeded
 * there since, and a call at `depth` is below that caller; else 0. The code has no branches, which
 * keeps the verifier fast.
 */
static __always_inline u32 is_after_failure(struct session *session, u32 depth)
{
	struct frame *failed = frame_at(session, session->failed_depth);

	return (1 - is_zero(session->failed_top)) * (1 - is_zero(failed->pending)) *
	       is_less(session->failed_depth, depth);
}

/*
 * Handles the code that a call at this depth returns to its caller. For a negative code (an errno)
 * it notes where the records of the failure end, and the depth of its caller. A failure after
 * another one, in the same caller or below it, is not noted, because it is part of the cleanup. A
 * failure that is returned to a caller further up is noted: either it is the same failure, or the
 * previous one was handled.
 */
static __always_inline void note_failure(struct session *session, u32 depth, s32 code)
{
	u32 is_new = sign_of((s64)code) * (1 - is_after_failure(session, depth));

	session->failed_top += (session->out.top - session->failed_top) * is_new;
	session->failed_depth += (depth - 1 - session->failed_depth) * is_new;
	/* When a call returns, the failure noted among its callees no longer applies. */
	session->failed_top *= 1 - is_zero(session->failed_depth ^ depth);
}

#endif
