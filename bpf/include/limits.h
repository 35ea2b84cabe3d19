/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All limits of the kernel side. Limits that mask an index are powers of two. */
#ifndef RETSNOOP_LIMITS_H
#define RETSNOOP_LIMITS_H

/* Recorded calls that are open at the same time in a session. Deeper ones are only counted. */
#define MAX_DEPTH 64

/* Records of finished calls that a session keeps. Later ones overwrite earlier ones. */
#define MAX_CALLS 64

/* The smallest number of records that make_room() discards. */
#define MIN_CUT 4

/* Successful calls in a row that are kept for each caller. They show what ran before a failure. */
#define MAX_SUCCESS_RUN 4

/* Calls that are recorded when several missed returns are noticed at once. Others are counted. */
#define MAX_UNRETURNED 8

/*
 * The length of a sequence of tail calls, which share a stack pointer, in which find_returning()
 * searches a call that returns out of order.
 */
#define MAX_TAIL_CALLS 8

/*
 * Addresses of a kernel stack: the default of kernel.perf_event_max_stack. Each trampoline on the
 * stack adds up to three addresses.
 */
#define MAX_STACK 127

/*
 * Stacks that a session keeps. A stack is captured where a failure first appears; later ones
 * overwrite earlier ones of the same kind. Kind 1 is of failures in what is called after another
 * failure, which is nearly always cleanup: it must not overwrite the stacks of kind 0.
 */
#define MAX_STACKS_OF_KIND 4
#define MAX_STACKS (2 * MAX_STACKS_OF_KIND)

/*
 * Stacks captured in one session. A session that has more is considered a loop of handled failures.
 */
#define MAX_CAPTURES 64

/* log2 of the entries in task_cache, which tells whether a task has a session. */
#define TASK_CACHE_BITS 12

/* Bits of the Bloom filter of thread names in rules: 8 KB. */
#define SCOPE_BITS 65536

/*
 * log2 of the counters that tell whether a rule may name an id of a process, user, cgroup…: 64 KB.
 */
#define SCOPE_MARK_BITS 14

/* Bytes of a cgroup's path that are reported. The path of a container in a pod has about 200. */
#define MAX_CGROUP_PATH 512

/* log2 of the recursion guards: see guard.bpf.h. */
#define GUARD_BITS 12

/* CPUs that have state of their own. Further CPUs share it. */
#define MAX_CPUS 1024

/* The capture number of the stack that a successful session shows. Other numbers start at 1. */
#define LAST_CAPTURE 0xffffffff

/*
 * Notes that a session keeps: see notes.bpf.h. Later ones overwrite earlier ones. A power of two.
 */
#define MAX_NOTES 16

/*
 * Calls of functions whose returns may be noted, inside one another. The returns of further ones
 * are not noted. A power of two.
 */
#define MAX_NOTED_CALLS 16

/* Arguments in registers that such a call keeps until it returns. A power of two, minus one. */
#define MAX_NOTED_ARGS 7

/* Bytes of a note that its source fills. A power of two. */
#define NOTE_BYTES 256

/* Values in a note about a function call, and pointers that are followed to read one of them. */
#define MAX_FACT_VALUES 10
#define MAX_FACT_HOPS 6

/* Bytes of a text in a note about a function call, including the NUL. */
#define FACT_TEXT 64

/* Where the stack begins in a note that has one. */
#define NOTE_STACK 128

/* Numbers of system calls that may be known, and arguments in memory that are read of one. */
#define MAX_SYSCALLS 512
#define MAX_AREAS 4

/* Bytes of an argument in memory, including the NUL of a text. A power of two. */
#define AREA_BYTES 256

/* Arguments of a USDT probe, as in <sys/sdt.h>. */
#define MAX_USDT_ARGUMENTS 12

/* Bytes that a program wrote to its standard error, of each write. A power of two. */
#define OUTPUT_BYTES 256

#define COMM_LEN 16
#define MAX_ERRNO 4095

#endif
