/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What all programs do with a call that starts and one that ends. */
#ifndef RETSNOOP_CALLS_H
#define RETSNOOP_CALLS_H

/* What user space says about a function: id, class of its result, whether it opens sessions. */
#define OPENS_SHIFT 40

static __always_inline void read_tag(struct call *call, u64 tag)
{
	call->func = (u32)tag;
	call->class = (tag >> 32) & 0xff;
}

static __always_inline bool opens_session(u64 tag)
{
	return (tag >> OPENS_SHIFT) & 1;
}

/* Which function this is: by cookie since 5.15 (7adfc6c9b315, "bpf: Add bpf_get_attach_cookie()
 * BPF helper to access bpf_cookie value"), before by a constant in a copy of the program. */
static __always_inline u64 probe_tag(void *ctx)
{
	return cfg.has_cookies ? bpf_get_attach_cookie(ctx) : patched_constant(TAG_MARK);
}

/* Whether a call of a function that opens sessions may open one. */
static __always_inline bool may_open(void)
{
	return ready && in_scope();
}

/*
 * Nearly every call is told apart from those of interest by the first few instructions of a
 * program; what follows is in functions, so that these few need not save registers nor clear the
 * stack.
 */

static __always_inline u64 start_call(struct call *call, u64 tag, u64 task, u64 may_open)
{
	struct guard guard;
	enum lane lane;
	u64 token = 0;
	u64 key = session_key(task, &lane);

	if (!key || !ready || !enter_guard(&guard, key))
		return 0;
	read_tag(call, tag);
	token = on_entry(call, key, lane, may_open);
	leave_guard(&guard);
	return token;
}

/*
 * What it takes to open a session, and to send it when it ends, is in functions of its own: of the
 * programs of functions that do neither it is no part, because the branches to it are closed, and
 * what is behind them left out, before they are loaded (src/bpf/specialize).
 */
static __noinline u64 opening_call_starts(struct call *call, u64 tag, u64 task, u64 may_open)
{
	return start_call(call, tag, task, verifier_opaque(may_open));
}

static __noinline u64 inner_call_starts(struct call *call, u64 tag, u64 task)
{
	return start_call(call, tag, task, false);
}

/* A call that may be of interest. Returns what its return has to bring along, 0 if it is not.
 * `opens`: its function may open sessions; `may_open`: so may this call. */
static __always_inline u64 call_starts(struct call *call, u64 tag, u64 task, bool opens,
				       u64 may_open)
{
	if (opens)
		return opening_call_starts(call, tag, task, may_open);
	return inner_call_starts(call, tag, task);
}

static __always_inline void take_return(const struct call *call, struct session *session,
					bool opens)
{
	if (on_exit(call, session) && opens)
		finish_session(session);
}

static __always_inline void end_call_of_token(struct call *call, u64 token, bool opens)
{
	struct session *session = session_of_token(token);
	struct guard guard;

	if (!session || !ready || !enter_guard(&guard, session->key))
		return;
	recall(call, session, token);
	take_return(call, session, opens);
	leave_guard(&guard);
}

static __noinline void opening_call_of_token_ends(struct call *call, u64 token)
{
	end_call_of_token(call, token, true);
}

static __noinline void inner_call_of_token_ends(struct call *call, u64 token)
{
	end_call_of_token(call, token, false);
}

/* A return that says which call it belongs to. `opens`: its function may have opened the session.
 */
static __always_inline void call_with_token_ends(struct call *call, u64 token, bool opens)
{
	if (opens)
		opening_call_of_token_ends(call, token);
	else
		inner_call_of_token_ends(call, token);
}

static __always_inline void end_call(struct call *call, u64 task, bool opens)
{
	struct session *session;
	struct guard guard;
	enum lane lane;
	u64 key = session_key(task, &lane);

	if (!key || !ready || !enter_guard(&guard, key))
		return;
	session = find_session(key);
	if (session && !is_on_other_stack(session, call->sp))
		take_return(call, session, opens);
	leave_guard(&guard);
}

static __noinline void opening_call_ends(struct call *call, u64 task)
{
	end_call(call, task, true);
}

static __noinline void inner_call_ends(struct call *call, u64 task)
{
	end_call(call, task, false);
}

/* A return that does not: its stack pointer and function tell. */
static __always_inline void call_ends(struct call *call, u64 task, bool opens)
{
	if (opens)
		opening_call_ends(call, task);
	else
		inner_call_ends(call, task);
}

#endif
