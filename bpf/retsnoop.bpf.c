// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The programs: each finds out which function was called or returned, its stack pointer and its
 * result, and hands that to the one algorithm in stack.bpf.h. Which of them are loaded is the
 * back end's choice (src/bpf/attach).
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "events.h"
#include "config.bpf.h"
#include "patched.bpf.h"
#include "maps.bpf.h"
#include "arch.bpf.h"
#include "lane.bpf.h"
#include "hits.bpf.h"
#include "classify.bpf.h"
#include "task.bpf.h"
#include "filter.bpf.h"
#include "follow.bpf.h"
#include "guard.bpf.h"
#include "session.bpf.h"
#include "emit.bpf.h"
#include "stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* BTF roots: libbpf-cargo generates Rust types for what the maps do not mention. */
struct rec_stack rec_stack_root = {};
struct rec_session rec_session_root = {};
struct rec_context rec_context_root = {};
struct rec_cgroup rec_cgroup_root = {};

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

/* Which function this is: by cookie, or where those do not exist (before 5.15) by a constant in
 * a copy of the program. */
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
	return start_call(call, tag, task, unknown(may_open));
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
	if (session)
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

static __noinline void session_call_ends(struct pt_regs *ctx, bool opens)
{
	struct call call = {
		.ctx = ctx,
		.result = regs_result(ctx),
		.call_site = regs_instruction_pointer(ctx),
	};

	call_with_token_ends(&call, *session_cookie(ctx), opens);
}

static __noinline u64 session_call_starts(struct pt_regs *ctx, u64 task, bool opens, u64 may_open)
{
	struct call call = {.ctx = ctx, .sp = regs_stack_pointer(ctx)};

	return call_starts(&call, bpf_get_attach_cookie(ctx), task, opens, may_open);
}

/* Which functions of a program open sessions. */
enum opens {
	NONE_OPENS = 0,
	ENTRIES_OPEN = 1,
	ALL_OPEN = 2,
};

#define IS_BLOCK_OF_ENTRY(block, n) ((block) == patched_constant(ENTRY_BLOCK_MARK + (n)))

/* Whether this function is one of the few that open sessions. Its cookie would tell, too, but
 * asking for it is a search among all functions' addresses. A program runs a few bytes behind the
 * first of its function, so functions are told by their blocks of 16 bytes: user space has seen to
 * it that no other function begins in one of these. That it is none is found out by a bit for each
 * 64th. */
static __always_inline bool is_entry(struct pt_regs *ctx)
{
	u64 block = regs_instruction_pointer(ctx) >> 4;

	if (!((patched_constant(ENTRY_BITS_MARK) >> (block & 63)) & 1))
		return false;
	return IS_BLOCK_OF_ENTRY(block, 0) || IS_BLOCK_OF_ENTRY(block, 1) ||
	       IS_BLOCK_OF_ENTRY(block, 2) || IS_BLOCK_OF_ENTRY(block, 3) ||
	       IS_BLOCK_OF_ENTRY(block, 4) || IS_BLOCK_OF_ENTRY(block, 5) ||
	       IS_BLOCK_OF_ENTRY(block, 6) || IS_BLOCK_OF_ENTRY(block, 7);
}

/* kprobe.session: one program for call and return. Returning 1 skips the return. */
static __always_inline int session_program(struct pt_regs *ctx, enum opens opens)
{
	bool opening, sampled;
	u64 task, token;

	if (session_is_return(ctx) & 0xff) {
		session_call_ends(ctx, opens);
		return 0;
	}
	sampled = is_sampled();
	if (sampled)
		count_call(bpf_get_attach_cookie(ctx));
	opening = opens && (opens == ALL_OPEN || is_entry(ctx)) && may_open();
	task = task_key();
	if (!opening && has_no_session(task))
		return 1;
	if (sampled)
		count_inside(bpf_get_attach_cookie(ctx));
	token = session_call_starts(ctx, task, opens, opening);
	if (!token)
		return 1;
	*session_cookie(ctx) = token;
	return 0;
}

/* For functions that open sessions and others, where the former are few: one program is verified in
 * little more than half the time of two. */
SEC("kprobe")
int session_any(struct pt_regs *ctx)
{
	return session_program(ctx, ENTRIES_OPEN);
}

SEC("kprobe")
int session_opening(struct pt_regs *ctx)
{
	return session_program(ctx, ALL_OPEN);
}

SEC("kprobe")
int session_inner(struct pt_regs *ctx)
{
	return session_program(ctx, NONE_OPENS);
}

/* Functions of a module that was not loaded when they were attached to: each call tells where the
 * module lies. Breakpoints, and ftrace in their stead, leave the address behind the breakpoint. */
static __always_inline u32 place_of(struct pt_regs *ctx)
{
	u64 ip = cfg.has_cookies ? bpf_get_func_ip(ctx) : 0;

	return ip ? ip : regs_instruction_pointer(ctx) - 1;
}

static __noinline void kprobe_call_starts(struct pt_regs *ctx, u64 task, bool opens, u64 may_open)
{
	struct call call = {.ctx = ctx, .sp = regs_stack_pointer(ctx)};

	call_starts(&call, probe_tag(ctx), task, opens, may_open);
}

static __noinline void on_load_call_starts(struct pt_regs *ctx, u64 task, bool opens, u64 may_open)
{
	struct call call = {
		.ctx = ctx,
		.sp = regs_stack_pointer(ctx),
		.place = place_of(ctx),
	};

	call_starts(&call, probe_tag(ctx), task, opens, may_open);
}

static __always_inline int kprobe_entry(struct pt_regs *ctx, bool opens, bool on_load)
{
	bool opening = opens && may_open();
	bool sampled = is_sampled();
	u64 task = task_key();

	if (sampled)
		count_call(probe_tag(ctx));
	if (!opening && has_no_session(task))
		return 0;
	if (sampled)
		count_inside(probe_tag(ctx));
	if (on_load)
		on_load_call_starts(ctx, task, opens, opening);
	else
		kprobe_call_starts(ctx, task, opens, opening);
	return 0;
}

SEC("kprobe")
int kprobe_opening(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, true, false);
}

SEC("kprobe")
int kprobe_inner(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, false, false);
}

SEC("kprobe")
int on_load_opening(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, true, true);
}

SEC("kprobe")
int on_load_inner(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, false, true);
}

static __noinline void kprobe_call_ends(struct pt_regs *ctx, u64 task)
{
	struct call call = {
		.ctx = ctx,
		/* The return address has been popped by then. */
		.sp = regs_stack_pointer(ctx) - 8,
		.result = regs_result(ctx),
	};

	read_tag(&call, probe_tag(ctx));
	/* Kernels without cookies (before 5.15) have the kretprobe's own trampoline there. */
	if (cfg.has_cookies)
		call.call_site = regs_instruction_pointer(ctx);
	call_ends(&call, task, true);
}

SEC("kprobe")
int kprobe_return(struct pt_regs *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		kprobe_call_ends(ctx, task);
	return 0;
}

/*
 * Trampolines. User space makes one copy per function and replaces the marked instructions: the
 * tag is loaded as a constant, the result from the slot behind the function's arguments. So
 * neither cookies (6.0) nor bpf_get_func_ip (5.15) are needed.
 *
 * The context lives in the trampoline's stack frame: its address is as good as the function's
 * stack pointer, and the same for entry and exit of one call.
 */

/* Whether any function of a program opens sessions. A program for many functions asks for what a
 * copy for one has as constants, but for this. */
static __always_inline bool any_opens_session(void)
{
	return patched_constant(OPENS_MARK);
}

static __noinline u64 trampoline_call_starts(u64 *ctx, u64 tag, u64 task, u64 may_open)
{
	struct call call = {.ctx = ctx, .sp = (u64)ctx};

	return call_starts(&call, tag, task, any_opens_session(), may_open);
}

static __always_inline int trampoline_call(u64 *ctx, u64 tag, bool opens)
{
	bool opening = opens && may_open();
	bool sampled = is_sampled();
	u64 task = task_key();

	if (sampled)
		count_call(tag);
	if (!opening && has_no_session(task))
		return 0;
	if (sampled)
		count_inside(tag);
	trampoline_call_starts(ctx, tag, task, opening);
	return 0;
}

/* The section's type is of no matter: only patched copies are loaded, with their own. */
SEC("raw_tracepoint/trampoline")
int trampoline_entry(u64 *ctx)
{
	return trampoline_call(ctx, patched_constant(TAG_MARK), any_opens_session());
}

static __noinline void trampoline_call_ends(u64 *ctx, u64 task, u64 tag)
{
	u64 offset = patched_constant(RESULT_OFFSET_MARK);
	struct call call = {
		.ctx = ctx,
		.sp = (u64)ctx,
		.call_site_offset = offset + TRAMPOLINE_CALL_SITE,
	};

	read_tag(&call, tag);
	/* Not by a plain load: a result that is a pointer would be one to the verifier, and no
	 * number that can be compared. */
	bpf_probe_read_kernel(&call.result, sizeof(call.result), (void *)ctx + offset);
	if (cfg.has_cookies)
		call.ip = bpf_get_func_ip(ctx);
	call_ends(&call, task, any_opens_session());
}

SEC("raw_tracepoint/trampoline")
int trampoline_exit(u64 *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		trampoline_call_ends(ctx, task, patched_constant(TAG_MARK));
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

/* fsession.multi: one program and link for call and return of all functions. It cannot skip the
 * return: its entry has to return 0. The cookie is 0 unless we set it. */
SEC("raw_tracepoint/trampoline")
int tracing_session(u64 *ctx)
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

/* fentry.multi and fexit.multi: a program and a link for calls, and one for returns. */
SEC("raw_tracepoint/trampoline")
int tracing_entry(u64 *ctx)
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
int tracing_exit(u64 *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		tracing_call_ends(ctx, task, any_opens_session());
	return 0;
}

/* A session dies with its task: exit system calls and dying tasks never return. */
SEC("raw_tracepoint/sched_process_exit")
int task_exit(void *ctx)
{
	struct session *session;
	enum lane lane;
	u64 key;

	follow_exit();
	key = session_key(task_key(), &lane);
	if (!key || lane != LANE_TASK)
		return 0;
	session = find_session(key);
	if (session) {
		COUNT(task_exit);
		close_session(session);
	}
	return 0;
}

/* Arguments of raw tracepoints: the parent and the child. */
SEC("raw_tracepoint/sched_process_fork")
int task_fork(u64 *ctx)
{
	follow_fork(ctx[0], ctx[1]);
	return 0;
}

/* The same as an event of perf, which has numbers only: its format is looked at before. */
#define CLONE_THREAD 0x10000

struct new_task {
	u64 common;
	u32 pid;
	char comm[16];
	u64 clone_flags;
};

SEC("tracepoint/task/task_newtask")
int task_new(struct new_task *ctx)
{
	if (!(ctx->clone_flags & CLONE_THREAD))
		follow_child(bpf_get_current_pid_tgid() >> 32, ctx->pid);
	return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int task_exec(u64 *ctx)
{
	follow_exec();
	return 0;
}

/* The cgroup and its path. */
SEC("raw_tracepoint/cgroup_mkdir")
int cgroup_made(u64 *ctx)
{
	follow_mkdir(ctx[0], (const char *)ctx[1]);
	return 0;
}

SEC("raw_tracepoint/cgroup_rmdir")
int cgroup_removed(u64 *ctx)
{
	follow_rmdir(ctx[0], (const char *)ctx[1]);
	return 0;
}
