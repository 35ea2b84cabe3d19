/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Instructions that user space replaces before it loads a copy of a program
 * (src/bpf/patch.rs, which has the same numbers; a test finds every one of them in the object).
 */
#ifndef RETSNOOP_PATCHED_H
#define RETSNOOP_PATCHED_H

/* Becomes whether any function of a program opens sessions. */
#define OPENS_MARK 0x7261736e6f6f7024

/* Become what tells the functions that open sessions: see is_entry(). */
#define ENTRY_BITS_MARK 0x7261736e6f6f7025
#define ENTRY_BLOCK_MARK 0x7261736e6f6f7030 /* and the next seven */

/* Becomes the number that program_generation has when it is the program's turn: see is_current_generation(). */
#define GENERATION_MARK 0x7261736e6f6f7026

/* Becomes the tag of the function that a copy of a program is for. */
#define TAG_MARK 0x7261736e6f6f7021

/* Becomes the offset of the result behind the function's arguments, in bytes. */
#define RESULT_OFFSET_MARK 0x7261736e6f6f7023

/* Becomes the address, by BTF id, of the per-CPU variable that holds preempt_count. */
#define PREEMPT_VAR_MARK 0x7261736e6f6f7022

/* Become calls of bpf_session_is_return() and bpf_session_cookie(). They take no argument in 6.10
 * (adf46d88ae4b, 5c919acef851) to 6.19, and the context since 7.0 (8fe4dc4f6456, "bpf: change
 * prototype of bpf_session_{cookie,is_return}"). To pass the context does for both. */
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
