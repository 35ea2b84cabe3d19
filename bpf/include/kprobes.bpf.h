/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs for kprobe.session, kprobe.multi and single kprobes. */
#ifndef RETSNOOP_KPROBES_H
#define RETSNOOP_KPROBES_H

/*
 * A cache of the tags of recently called functions, indexed by address. Without it,
 * bpf_get_attach_cookie() does a binary search over the link's addresses. This takes as long as
 * everything else that is done for a call inside a session.
 */
#define TAG_CACHE_BITS 11
#define CACHED_FUNC_BITS 24
#define CACHED_FUNC_MASK ((1U << CACHED_FUNC_BITS) - 1)

/*
 * An entry is a single word, so that a CPU never sees halves of two entries. It holds the low 32
 * bits of the address (in the kernel and its modules the upper 32 bits are all ones), the
 * function's class byte (8 bits) and its id (24 bits).
 */
u64 tag_cache[1 << TAG_CACHE_BITS] = {};

static __noinline u64 session_tag(struct pt_regs *ctx)
{
	u64 ip = regs_instruction_pointer(ctx);
	volatile u64 *entry = &tag_cache[(ip >> 4) & ((1 << TAG_CACHE_BITS) - 1)];
	u64 known = *entry;
	u64 tag;

	if (known >> 32 == (u32)ip)
		return (known & CACHED_FUNC_MASK) | (known >> CACHED_FUNC_BITS & 0xff) << 32;
	tag = bpf_get_attach_cookie(ctx);
	if ((u32)tag <= CACHED_FUNC_MASK)
		*entry = ip << 32 | (tag >> 32 & 0xff) << CACHED_FUNC_BITS | (u32)tag;
	return tag;
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

/*
 * The generation of the program copy that handles calls. To detach functions while tracing, user
 * space first attaches a new copy of the program, with the next generation, to the remaining
 * functions. Then it sets this variable and closes the old link. In between, the kernel runs both
 * copies at each call. The copy whose generation does not match ignores the call. The copy that has
 * handled the call handles the return, too.
 */
volatile u32 program_generation = 0;

static __always_inline bool is_current_generation(void)
{
	return program_generation == patched_constant(GENERATION_MARK);
}

static __noinline u64 session_call_starts(struct pt_regs *ctx, u64 task, bool opens, u64 may_open)
{
	struct call call = {
		.ctx = ctx,
		.sp = regs_stack_pointer(ctx),
		.arguments_in = ARGUMENTS_IN_REGISTERS,
	};

	if (!is_current_generation())
		return 0;
	return call_starts(&call, session_tag(ctx), task, opens, may_open);
}

/* Which functions of a program open sessions. */
enum opens {
	NONE_OPENS = 0,
	ENTRIES_OPEN = 1,
	ALL_OPEN = 2,
};

#define IS_BLOCK_OF_ENTRY(block, n) ((block) == patched_constant(ENTRY_BLOCK_MARK + (n)))

/*
 * Returns whether the called function is an entry function, by its address. The cookie would tell
 * as well, but reading it is a search among all addresses of the link. Should a kernel report
 * another address than expected, is_unrecognized() notices it.
 */
static __always_inline bool is_entry(struct pt_regs *ctx)
{
	/*
	 * The reported ip is a few bytes after the function's first byte, so a function is
	 * identified by its block of 16 bytes. User space has checked that no other function begins
	 * in one of the blocks.
	 */
	u64 block = regs_instruction_pointer(ctx) >> 4;

	/* A Bloom filter of 64 bits rejects most calls with one comparison. */
	if (!((patched_constant(ENTRY_BITS_MARK) >> (block & 63)) & 1))
		return false;
	return IS_BLOCK_OF_ENTRY(block, 0) || IS_BLOCK_OF_ENTRY(block, 1) ||
	       IS_BLOCK_OF_ENTRY(block, 2) || IS_BLOCK_OF_ENTRY(block, 3) ||
	       IS_BLOCK_OF_ENTRY(block, 4) || IS_BLOCK_OF_ENTRY(block, 5) ||
	       IS_BLOCK_OF_ENTRY(block, 6) || IS_BLOCK_OF_ENTRY(block, 7);
}

/*
 * A byte for each block, indexed by the low bits of the block. It is 1 if the function's cookie has
 * said that it opens no session. Two functions that are a multiple of 4 MiB apart share an entry.
 * Once the first one is marked, the cookie of the second one is not read.
 */
#define CHECKED_BITS 18

u8 checked[1 << CHECKED_BITS] = {};

static __noinline bool says_cookie(struct pt_regs *ctx, volatile u8 *of)
{
	if (opens_session(bpf_get_attach_cookie(ctx))) {
		COUNT(unrecognized);
		return true;
	}
	*of = 1;
	return false;
}

/*
 * Returns whether the called function is an entry function that is_entry() did not recognize,
 * because the kernel reports another address in it than expected. The cookie is read at the first
 * call of each function. For an entry function it is read at each call, so that no session is
 * missed.
 */
static __always_inline bool is_unrecognized(struct pt_regs *ctx)
{
	u64 block = regs_instruction_pointer(ctx) >> 4;
	volatile u8 *of = &checked[block & ((1 << CHECKED_BITS) - 1)];

	return !*of && says_cookie(ctx, of);
}

static __always_inline bool opens_here(struct pt_regs *ctx, enum opens opens)
{
	return opens == ALL_OPEN || (opens && (is_entry(ctx) || is_unrecognized(ctx)));
}

/*
 * kprobe.session: one program handles call and return. At a call, the return value 1 tells the
 * kernel to skip the return.
 */
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
		count_call(session_tag(ctx));
	opening = opens_here(ctx, opens) && may_open();
	task = task_key();
	if (!opening && has_no_session(task))
		return 1;
	if (sampled)
		count_inside(session_tag(ctx));
	token = session_call_starts(ctx, task, opens, opening);
	if (!token)
		return 1;
	*session_cookie(ctx) = token;
	return 0;
}

/*
 * For a mix of a few entry functions and other functions. Verifying this program takes little more
 * than half the time of verifying both programs below.
 */
SEC("kprobe")
int retsnoop_session_any(struct pt_regs *ctx)
{
	return session_program(ctx, ENTRIES_OPEN);
}

SEC("kprobe")
int retsnoop_session_opening(struct pt_regs *ctx)
{
	return session_program(ctx, ALL_OPEN);
}

SEC("kprobe")
int retsnoop_session_inner(struct pt_regs *ctx)
{
	return session_program(ctx, NONE_OPENS);
}

/*
 * Returns the lower half of the called function's address. Its module was not loaded when the
 * function was attached to, so only a call reveals where the module is.
 */
static __always_inline u32 place_of(struct pt_regs *ctx)
{
	u64 ip = cfg.has_cookies ? bpf_get_func_ip(ctx) : 0;

	return ip ? ip : regs_probed_address(ctx);
}

static __noinline void kprobe_call_starts(struct pt_regs *ctx, u64 task, bool opens, u64 may_open)
{
	struct call call = {
		.ctx = ctx,
		.sp = regs_stack_pointer(ctx),
		.arguments_in = ARGUMENTS_IN_REGISTERS,
	};

	call_starts(&call, probe_tag(ctx), task, opens, may_open);
}

static __noinline void on_load_call_starts(struct pt_regs *ctx, u64 task, bool opens, u64 may_open)
{
	struct call call = {
		.ctx = ctx,
		.sp = regs_stack_pointer(ctx),
		.place = place_of(ctx),
		.arguments_in = ARGUMENTS_IN_REGISTERS,
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
int retsnoop_kprobe_opening(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, true, false);
}

SEC("kprobe")
int retsnoop_kprobe_inner(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, false, false);
}

SEC("kprobe")
int retsnoop_on_load_opening(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, true, true);
}

SEC("kprobe")
int retsnoop_on_load_inner(struct pt_regs *ctx)
{
	return kprobe_entry(ctx, false, true);
}

static __noinline void kprobe_call_ends(struct pt_regs *ctx, u64 task)
{
	struct call call = {
		.ctx = ctx,
		.sp = regs_returned_stack_pointer(ctx),
		.result = regs_result(ctx),
	};

	read_tag(&call, probe_tag(ctx));
	/*
	 * Before 5.16 (df91c5bccb0c, "kprobes: Enable stacktrace from pt_regs in kretprobe
	 * handler") regs->ip is the kretprobe's trampoline. The check for cookies (since 5.15) is
	 * close enough: only 5.15 reports the trampoline as call site.
	 */
	if (cfg.has_cookies)
		call.call_site = regs_instruction_pointer(ctx);
	call_ends(&call, task, true);
}

SEC("kprobe")
int retsnoop_kprobe_return(struct pt_regs *ctx)
{
	u64 task = task_key();

	if (!has_no_session(task))
		kprobe_call_ends(ctx, task);
	return 0;
}

#endif
