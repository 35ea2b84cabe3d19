/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What all programs do at the start and at the end of a call. */
#ifndef RETSNOOP_CALLS_H
#define RETSNOOP_CALLS_H

/*
 * Layout of a tag, which describes a hook: id (bits 0 to 31), class byte (32 to 39, see
 * stack.bpf.h), whether it opens sessions (40). User space builds it (tag() in
 * src/bpf/attach/mod.rs).
 */
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

/*
 * Returns the function's tag. Since 5.15 (7adfc6c9b315, "bpf: Add bpf_get_attach_cookie() BPF
 * helper to access bpf_cookie value") it is the cookie. Before, it is a constant in a copy of the
 * program.
 */
static __always_inline u64 probe_tag(void *ctx)
{
	return cfg.has_cookies ? bpf_get_attach_cookie(ctx) : patched_constant(TAG_MARK);
}

/* Returns whether a call of an entry function may open a session. */
static __always_inline bool may_open(void)
{
	return ready && in_scope();
}

/*
 * The first few instructions of a program reject nearly every call. The rest is in functions that
 * are not inlined, so that these few instructions need not save registers or clear the stack.
 */

static __always_inline u64 start_call(struct call *call, u64 tag, u64 task, u64 may_open)
{
	struct guard guard;
	enum execution_context context;
	u64 token = 0;
	u64 key = session_key(task, &context);

	if (!key || !ready || !enter_guard(&guard, key))
		return 0;
	read_tag(call, tag);
	token = on_entry(call, key, context, may_open);
	leave_guard(&guard);
	return token;
}

/*
 * The code that opens sessions, and sends them when they end, is in functions of its own. Programs
 * that need neither do not contain it: their branches to it are folded, and the unreachable code is
 * removed, before they are loaded (src/bpf/specialize).
 */
static __noinline u64 opening_call_starts(struct call *call, u64 tag, u64 task, u64 may_open)
{
	return start_call(call, tag, task, verifier_opaque(may_open));
}

static __noinline u64 inner_call_starts(struct call *call, u64 tag, u64 task)
{
	return start_call(call, tag, task, false);
}

/*
 * Handles a call that may be of interest. `opens` is true if the program's functions may open
 * sessions, `may_open` if this call may. Returns the token that the return must present, or 0 if
 * the call is not tracked.
 */
static __always_inline u64 call_starts(struct call *call, u64 tag, u64 task, bool opens,
				       u64 may_open)
{
	if (opens)
		return opening_call_starts(call, tag, task, may_open);
	return inner_call_starts(call, tag, task);
}

static __always_inline void take_return(struct call *call, struct session *session, bool opens)
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

/*
 * Handles a return that presents the token of its call. `opens` is true if the function may have
 * opened the session.
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
	enum execution_context context;
	u64 key = session_key(task, &context);

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

/* Handles a return without a token. The call is found by stack pointer and function. */
static __always_inline void call_ends(struct call *call, u64 task, bool opens)
{
	if (opens)
		opening_call_ends(call, task);
	else
		inner_call_ends(call, task);
}

#endif
