/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs that trampolines run. User space makes one copy for each function and replaces the
 * marked instructions: the tag is a constant, and the result is read from the slot after the
 * function's arguments. So these programs need no cookies, which trampolines have since 5.19
 * (2fcc82411e74, "bpf, x86: Attach a cookie to fentry/fexit/fmod_ret/lsm."), and no
 * bpf_get_func_ip(), which exists since 5.15 (9b99edcae5c8, "bpf: Add bpf_get_func_ip helper for
 * tracing programs").
 *
 * The context pointer points into the trampoline's stack frame. Its address serves as the call's
 * stack pointer: it is the same at the entry and the exit of one call.
 */
#ifndef RETSNOOP_TRAMPOLINES_H
#define RETSNOOP_TRAMPOLINES_H

/*
 * Returns whether any function of the program opens sessions. This is a constant in every copy,
 * also in one for many functions, which reads the tag from the cookie instead.
 */
static __always_inline bool any_opens_session(void)
{
	return patched_constant(OPENS_MARK);
}

static __noinline u64 trampoline_call_starts(u64 *ctx, u64 tag, u64 task, u64 may_open)
{
	struct call call = {
		.ctx = ctx,
		.sp = (u64)ctx,
		.arguments_in = ARGUMENTS_IN_WORDS,
	};

	return call_starts(&call, tag, task, any_opens_session(), may_open);
}

/*
 * Returns whether a call may open a session or may belong to one, and counts it if it is sampled.
 */
static __always_inline bool is_of_interest(u64 tag, u64 task, bool opening)
{
	bool sampled = is_sampled();

	if (sampled)
		count_call(tag);
	if (!opening && has_no_session(task))
		return false;
	if (sampled)
		count_inside(tag);
	return true;
}

static __always_inline int trampoline_call(u64 *ctx, u64 tag, bool opens)
{
	bool opening = opens && may_open();
	u64 task = task_key();

	if (is_of_interest(tag, task, opening))
		trampoline_call_starts(ctx, tag, task, opening);
	return 0;
}

/*
 * The program type of the section does not matter: only patched copies are loaded, with types of
 * their own.
 */
SEC("raw_tracepoint/trampoline")
int retsnoop_trampoline_entry(u64 *ctx)
{
	return trampoline_call(ctx, patched_constant(TAG_MARK), any_opens_session());
}

static __noinline void trampoline_call_ends(u64 *ctx, u64 task, u64 tag, u64 offset)
{
	struct call call = {
		.ctx = ctx,
		.sp = (u64)ctx,
		.call_site_offset = offset + TRAMPOLINE_CALL_SITE,
	};

	read_tag(&call, tag);
	/*
	 * A plain load would not do: if the function returns a pointer, the verifier gives the
	 * value a pointer type and refuses comparisons with numbers.
	 */
	bpf_probe_read_kernel(&call.result, sizeof(call.result), (void *)ctx + offset);
	if (cfg.has_cookies)
		call.ip = bpf_get_func_ip(ctx);
	call_ends(&call, task, any_opens_session());
}

SEC("raw_tracepoint/trampoline")
int retsnoop_trampoline_exit(u64 *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		trampoline_call_ends(ctx, task, patched_constant(TAG_MARK),
				     patched_constant(RESULT_OFFSET_MARK));
	return 0;
}

static __always_inline void read_return(struct call *call, u64 *ctx)
{
	bpf_get_func_ret(ctx, &call->result);
	call->call_site_offset = 8 * bpf_get_func_arg_cnt(ctx) + TRAMPOLINE_CALL_SITE;
	call->ip = bpf_get_func_ip(ctx);
}

static __noinline void tracing_call_with_token_ends(u64 *ctx, u64 token, bool opens)
{
	struct call call = {.ctx = ctx};

	read_return(&call, ctx);
	call_with_token_ends(&call, token, opens);
}

/*
 * fsession.multi: one program and one link handle calls and returns of all functions. The program
 * cannot skip a return, because it must return 0 at a call. The session cookie is 0 until we set
 * it.
 */
SEC("raw_tracepoint/trampoline")
int retsnoop_tracing_session(u64 *ctx)
{
	bool opening, sampled;
	u64 tag, task, token;

	if (session_is_return(ctx) & 0xff) {
		token = *session_cookie(ctx);
		if (token)
			tracing_call_with_token_ends(ctx, token, any_opens_session());
		return 0;
	}
	task = task_key();
	tag = bpf_get_attach_cookie(ctx);
	sampled = is_sampled();
	if (sampled)
		count_call(tag);
	opening = any_opens_session() && opens_session(tag) && may_open();
	if (!opening && has_no_session(task))
		return 0;
	if (sampled)
		count_inside(tag);
	token = trampoline_call_starts(ctx, tag, task, opening);
	if (token)
		*session_cookie(ctx) = token;
	return 0;
}

/* fentry.multi and fexit.multi: one program and one link for calls, and one for returns. */
SEC("raw_tracepoint/trampoline")
int retsnoop_tracing_entry(u64 *ctx)
{
	u64 tag = bpf_get_attach_cookie(ctx);

	return trampoline_call(ctx, tag, any_opens_session() && opens_session(tag));
}

static __noinline void tracing_call_ends(u64 *ctx, u64 task, bool opens)
{
	struct call call = {.ctx = ctx, .sp = (u64)ctx};

	read_tag(&call, bpf_get_attach_cookie(ctx));
	read_return(&call, ctx);
	call_ends(&call, task, opens);
}

SEC("raw_tracepoint/trampoline")
int retsnoop_tracing_exit(u64 *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		tracing_call_ends(ctx, task, any_opens_session());
	return 0;
}

#endif
