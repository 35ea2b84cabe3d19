// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How bpf/include/kprobes.bpf.h tells entry functions from others, as an ordinary program: reads
 * the addresses at which functions are called, and prints for each call whether it may open a
 * session and how often cookies were asked for so far. For tests/it/heart.rs.
 *
 *   e BLOCK     blocks of 16 bytes in which entry functions are expected
 *   c IP OPENS  a call; its cookie says that the function opens sessions or not
 */
#include <stddef.h>
#include <stdio.h>

#define SEC(name)
#undef __always_inline
#define __always_inline inline
#define __noinline
#define RETSNOOP_PATCHED_H
#define OPENS_MARK 1
#define GENERATION_MARK 2
#define TAG_MARK 3
#define ENTRY_BITS_MARK 0x100
#define ENTRY_BLOCK_MARK 0x200
#define COUNT(what) (what++)

#include "vmlinux.h"

static u64 entry_bits, entry_blocks[8];
static u64 cookie, n_asked, unrecognized;
static u32 n_blocks;

static u64 patched_constant(u64 mark)
{
	if (mark == ENTRY_BITS_MARK)
		return entry_bits;
	return mark >= ENTRY_BLOCK_MARK ? entry_blocks[mark - ENTRY_BLOCK_MARK] : 0;
}

/* The remainder of the header needs this, but it is not called here. */
struct call {
	void *ctx;
	u64 sp, result, call_site;
	u32 place, arguments_in;
};
#define ARGUMENTS_IN_REGISTERS 1
static struct {
	u32 has_cookies;
} cfg;
static u64 regs_instruction_pointer(const struct pt_regs *regs)
{
	return regs->ip;
}
static u64 regs_stack_pointer(const struct pt_regs *regs)
{
	return regs->sp;
}
static u64 regs_returned_stack_pointer(const struct pt_regs *regs)
{
	return regs->sp - 8;
}
static u64 regs_probed_address(const struct pt_regs *regs)
{
	return regs->ip - 1;
}
static u64 regs_result(const struct pt_regs *regs)
{
	return regs->ax;
}
static u64 bpf_get_attach_cookie(void *ctx)
{
	n_asked++;
	return cookie;
}
static u64 bpf_get_func_ip(void *ctx)
{
	return 0;
}
static bool opens_session(u64 tag)
{
	return tag >> 40 & 1;
}
static u64 probe_tag(void *ctx)
{
	return 0;
}
static void read_tag(struct call *call, u64 tag)
{
}
static bool may_open(void)
{
	return true;
}
static bool is_sampled(void)
{
	return false;
}
static void count_call(u64 tag)
{
}
static void count_inside(u64 tag)
{
}
static u64 task_key(void)
{
	return 1;
}
static bool has_no_session(u64 task)
{
	return true;
}
static u64 session_is_return(void *ctx)
{
	return 0;
}
static u64 *session_cookie(void *ctx)
{
	return &cookie;
}
static u64 call_starts(struct call *call, u64 tag, u64 task, bool opens, u64 may)
{
	return 0;
}
static void call_ends(struct call *call, u64 task, bool opens)
{
}
static void call_with_token_ends(struct call *call, u64 token, bool opens)
{
}

#include "kprobes.bpf.h"

int main(void)
{
	struct pt_regs regs = {};
	unsigned long long at, opens;
	char line[128];
	bool may;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "e %llx", &at) == 1 && n_blocks < 8) {
			entry_blocks[n_blocks++] = at;
			entry_bits |= 1ULL << (at & 63);
		} else if (sscanf(line, "c %llx %llu", &at, &opens) == 2) {
			regs.ip = at;
			cookie = opens << 40;
			may = opens_here(&regs, ENTRIES_OPEN);
			printf("%d asked %llu unrecognized %llu\n", may, n_asked, unrecognized);
		} else {
			fprintf(stderr, "not understood: %s", line);
			return 2;
		}
	}
	return 0;
}
