/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Marked instructions, which user space replaces before it loads a copy of a program.
 * src/bpf/patch.rs has the same numbers, and a test finds each of them in the object.
 */
#ifndef RETSNOOP_PATCHED_H
#define RETSNOOP_PATCHED_H

/* Replaced by 1 if any function of the program opens sessions, else by 0. */
#define OPENS_MARK 0x7261736e6f6f7024

/* Replaced by the Bloom filter and by the blocks of the entry functions: see is_entry(). */
#define ENTRY_BITS_MARK 0x7261736e6f6f7025
#define ENTRY_BLOCK_MARK 0x7261736e6f6f7030 /* this and the next seven */

/* Replaced by the generation of the program copy: see is_current_generation(). */
#define GENERATION_MARK 0x7261736e6f6f7026

/* Replaced by the tag of the function that the copy is for. */
#define TAG_MARK 0x7261736e6f6f7021

/*
 * Replaced by the size of the function's arguments in the context, in bytes. The result follows
 * them.
 */
#define RESULT_OFFSET_MARK 0x7261736e6f6f7023

/*
 * Replaced by the BTF id of the per-CPU variable that contains preempt_count. The kernel makes it
 * an address.
 */
#define PREEMPT_VAR_MARK 0x7261736e6f6f7022

/*
 * Replaced by calls of bpf_session_is_return() and bpf_session_cookie(). These take no argument
 * from 6.10 (adf46d88ae4b, 5c919acef851) to 6.19, and the context since 7.0 (8fe4dc4f6456, "bpf:
 * change prototype of bpf_session_{cookie,is_return}"). Passing the context works with both.
 */
#define IS_RETURN_MARK 0x7a5e5501
#define COOKIE_MARK 0x7a5e5502

#define patched_constant(mark)                                                                     \
	({                                                                                         \
		u64 constant;                                                                      \
		asm volatile("%[constant] = %[value] ll"                                           \
			     : [constant] "=r"(constant)                                           \
			     : [value] "i"(mark));                                                 \
		constant;                                                                          \
	})

static u64 (*const session_is_return)(void *ctx) = (void *)IS_RETURN_MARK;
static u64 *(*const session_cookie)(void *ctx) = (void *)COOKIE_MARK;

#endif
