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
#include "filter.bpf.h"
#include "session.bpf.h"
#include "emit.bpf.h"
#include "stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* BTF roots: libbpf-cargo generates Rust types for what the maps do not mention. */
struct rec_stack rec_stack_root = {};
struct rec_session rec_session_root = {};

/* What user space says about a function: id, class of its result. */
static __always_inline void read_tag(struct call *call, u64 tag)
{
	call->func = (u32)tag;
	call->class = (tag >> 32) & 0xff;
}

/* kprobe.session: one program for call and return. Returning 1 skips the return. */
static __always_inline int session_program(struct pt_regs *ctx, bool opens)
{
	struct call call = {.ctx = ctx};
	enum lane lane;
	bool sampled;
	u64 *cookie;
	u64 key;

	if (!ready)
		return 1;
	sampled = is_sampled() && !(session_is_return(ctx) & 0xff);
	if (sampled)
		count_call(bpf_get_attach_cookie(ctx));
	key = session_key(&lane);
	if (!key || (!opens && !may_have_session(key)))
		return 1;
	if (sampled)
		count_inside(bpf_get_attach_cookie(ctx));
	cookie = session_cookie(ctx);
	read_tag(&call, bpf_get_attach_cookie(ctx));
	if (session_is_return(ctx) & 0xff) {
		call.sp = *cookie;
		call.result = regs_result(ctx);
		call.call_site = regs_instruction_pointer(ctx);
		on_exit(&call, key);
		return 0;
	}
	call.sp = regs_stack_pointer(ctx);
	*cookie = call.sp;
	return on_entry(&call, key, lane, opens) ? 0 : 1;
}

SEC("kprobe")
int session_opening(struct pt_regs *ctx)
{
	return session_program(ctx, true);
}

SEC("kprobe")
int session_inner(struct pt_regs *ctx)
{
	return session_program(ctx, false);
}

static __always_inline int kprobe_entry(struct pt_regs *ctx, bool opens)
{
	struct call call = {.ctx = ctx};
	enum lane lane;
	bool sampled;
	u64 key;

	if (!ready)
		return 0;
	sampled = is_sampled();
	if (sampled)
		count_call(bpf_get_attach_cookie(ctx));
	key = session_key(&lane);
	if (!key || (!opens && !may_have_session(key)))
		return 0;
	if (sampled)
		count_inside(bpf_get_attach_cookie(ctx));
	read_tag(&call, bpf_get_attach_cookie(ctx));
	call.sp = regs_stack_pointer(ctx);
	on_entry(&call, key, lane, opens);
	return 0;
}

SEC("kprobe")
int kprobe_opening(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, true);
}

SEC("kprobe")
int kprobe_inner(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, false);
}

SEC("kprobe")
int kprobe_return(struct pt_regs *ctx)
{
	struct call call = {.ctx = ctx};
	enum lane lane;
	u64 key;

	if (!ready)
		return 0;
	key = session_key(&lane);
	if (!key || !may_have_session(key))
		return 0;
	read_tag(&call, bpf_get_attach_cookie(ctx));
	/* The return address has been popped by then. */
	call.sp = regs_stack_pointer(ctx) - 8;
	call.result = regs_result(ctx);
	call.call_site = regs_instruction_pointer(ctx);
	on_exit(&call, key);
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
#define OPENS_SHIFT 40

/* Programs of a trampoline may run inside helpers that our own programs call (kprobe programs
 * are kept apart by the kernel; 5.10 does not even stop a program from entering itself). */
static __always_inline bool enter_guard(u64 key, u64 **guard, u64 *saved)
{
	*guard = &guards[bpf_get_smp_processor_id() & (MAX_CPUS - 1)];
	*saved = **guard;
	if (*saved == key)
		return false;
	*(volatile u64 *)*guard = key;
	return true;
}

/* The section's type is of no matter: only patched copies are loaded, with their own. */
SEC("raw_tracepoint/trampoline")
int trampoline_entry(u64 *ctx)
{
	u64 tag = patched_constant(TAG_MARK);
	bool opens = (tag >> OPENS_SHIFT) & 1;
	struct call call = {.ctx = ctx};
	u64 *guard, saved;
	enum lane lane;
	bool sampled;
	u64 key;

	if (!ready)
		return 0;
	sampled = is_sampled();
	if (sampled)
		count_call(tag);
	key = session_key(&lane);
	if (!key || (!opens && !may_have_session(key)))
		return 0;
	if (sampled)
		count_inside(tag);
	if (!enter_guard(key, &guard, &saved))
		return 0;
	read_tag(&call, tag);
	call.sp = (u64)ctx;
	on_entry(&call, key, lane, opens);
	*(volatile u64 *)guard = saved;
	return 0;
}

SEC("raw_tracepoint/trampoline")
int trampoline_exit(u64 *ctx)
{
	u64 tag = patched_constant(TAG_MARK);
	struct call call = {.ctx = ctx};
	u64 *guard, saved;
	enum lane lane;
	u64 key;

	if (!ready)
		return 0;
	key = session_key(&lane);
	if (!key || !may_have_session(key))
		return 0;
	if (!enter_guard(key, &guard, &saved))
		return 0;
	read_tag(&call, tag);
	call.sp = (u64)ctx;
	/* Not by a plain load: a result that is a pointer would be one to the verifier, and no
	 * number that can be compared. */
	bpf_probe_read_kernel(&call.result, sizeof(call.result),
			      (void *)ctx + patched_constant(RESULT_OFFSET_MARK));
	on_exit(&call, key);
	*(volatile u64 *)guard = saved;
	return 0;
}

/* A session dies with its task: exit system calls and dying tasks never return. */
SEC("raw_tracepoint/sched_process_exit")
int task_exit(void *ctx)
{
	struct session *session;
	enum lane lane;
	u64 key;

	key = session_key(&lane);
	if (!key || lane != LANE_TASK || !may_have_session(key))
		return 0;
	session = find_session(key);
	if (session) {
		COUNT(task_exit);
		close_session(session);
	}
	return 0;
}
