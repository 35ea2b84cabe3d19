/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every bound of the kernel side, in one place. Powers of two where an index is masked. */
#ifndef RETSNOOP_LIMITS_H
#define RETSNOOP_LIMITS_H

/* Traced calls that are open at once in one session; deeper ones are counted only. */
#define MAX_DEPTH 64

/* Finished calls kept per session, newest win. */
#define MAX_CALLS 64

/* Fewer records are not worth cutting: see make_room(). */
#define MIN_CUT 4

/* Successful calls in a row kept per caller: evidence of what ran before a failure. */
#define MAX_SUCCESS_RUN 4

/* Calls without a return that are kept when several are noticed at once; more are counted. */
#define MAX_UNRETURNED 8

/* Calls one behind the other at the same stack pointer, by tail calls, of which one that returns
 * out of order is found. */
#define MAX_TAIL_CALLS 8

/* Addresses of one kernel stack: the default of kernel.perf_event_max_stack. A trampoline
 * adds up to three of them for each traced function. */
#define MAX_STACK 127

/* Stacks kept per session, one for each place where a failure was made; of each kind the newest
 * win. The second kind is of failures in what is called after another failure, which is nearly
 * always cleanup: it must not overwrite the stacks of the first kind. */
#define MAX_STACKS_OF_KIND 4
#define MAX_STACKS (2 * MAX_STACKS_OF_KIND)

/* Stacks taken in one session before it is considered a loop of handled failures. */
#define MAX_CAPTURES 64

/* Slots of the cache "has this task a session". */
#define TASK_CACHE_BITS 12

/* Bits that say whether a rule names a thread's name (hashed): 8 KB. */
#define SCOPE_BITS 65536

/* Counters that say whether any rule may name a process, user, cgroup…: 64 KB. */
#define SCOPE_MARK_BITS 14

/* Bytes of a cgroup's path that are reported: a pod's container has some 200. */
#define MAX_CGROUP_PATH 512

/* CPUs that have a recursion guard of their own; more share one. */
#define MAX_CPUS 1024

/* The number of the stack that a successful session shows; others count from 1. */
#define LAST_CAPTURE 0xffffffff

#define COMM_LEN 16
#define MAX_ERRNO 4095

#endif
