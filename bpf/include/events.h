/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire format of what the kernel side sends through the ring buffer.
 *
 * Integers have fixed widths, and there is no implicit padding. Sizes are asserted here and in
 * src/bpf/wire.rs, whose types libbpf-cargo generates from this file's BTF. A session first sends
 * its context, its stacks, its notes and its system call. The rec_session follows, and refers to
 * the stacks by capture number.
 */
#ifndef RETSNOOP_EVENTS_H
#define RETSNOOP_EVENTS_H

#include "limits.h"

enum rec_kind {
	REC_STACK = 1,
	REC_SESSION = 2,
	REC_CONTEXT = 3,
	REC_CGROUP = 4,
	REC_NOTE = 5,
	REC_SYSCALL = 6,
	REC_OUTPUT = 7,
	REC_EXIT = 8,
};

enum cgroup_event {
	CGROUP_MADE = 1,
	CGROUP_REMOVED = 2,
};

/*
 * How a result is classified. User space chooses the class of each function by its BTF return type.
 * Classes are less than 16: see stack.bpf.h.
 */
enum result_class {
	CLASS_NEVER = 0, /* never fails: void, bool, unsigned */
	CLASS_POINTER = 1, /* NULL or ERR_PTR */
	CLASS_S8 = 2, /* -1 to -4095, as an integer of this width */
	CLASS_S16 = 3,
	CLASS_S32 = 4,
	CLASS_S64 = 5, /* also an errno in an unsigned long */
	CLASS_BLK_STATUS = 6, /* any u8 except 0 */
	CLASS_VM_FAULT = 7, /* VM_FAULT_ERROR bits */
	CLASS_UNKNOWN = 8, /* type not known: an errno in 64 or in 32 bits */
	CLASS_MINUS_ONE = 9, /* -1 in 32 or in 64 bits, as the C library's system calls return it */
	CLASS_FALSE = 10, /* a bool that is false */
	/* An integer or unknown type of a user function: -1 as above, or an errno of any width. */
	CLASS_USER_INTEGER = 11,
	/*
	 * __seccomp_filter(): an int, or a bool, that says that the system call is refused. The
	 * programs replace it by the errno that the call fails with; see filtered_result().
	 */
	CLASS_FILTER_INT = 12,
	CLASS_FILTER_BOOL = 13,
	/*
	 * A flag, for handlers of requests. The failure is sent to the requester as an answer. So
	 * it counts, even if the handler's callers succeed.
	 */
	CLASS_ANSWERS = 0x80,
};

/* Why a session was opened. User space chooses the reason of each entry function; less than 8. */
enum entry_reason {
	ENTRY_NONE = 0, /* opens no session; in recordings of older versions: not known */
	ENTRY_SYSCALL = 1, /* a system call */
	ENTRY_FUNCTION = 2, /* a call of another kernel function */
	ENTRY_REQUEST = 3, /* a call of a function that handles a request */
	ENTRY_USER_FUNCTION = 4, /* a call of a user function */
	ENTRY_USDT = 5, /* a hit of a USDT probe */
};

/* Where a session ran. */
enum execution_context {
	CONTEXT_TASK = 0,
	CONTEXT_SOFTIRQ = 1,
	CONTEXT_HARDIRQ = 2,
	CONTEXT_NMI = 3,
};

enum call_flags {
	CALL_FAILED = 1,
	CALL_UNRETURNED = 2,
};

enum session_flags {
	SESSION_FAILED = 1,
	SESSION_HAS_SYSCALL = 2, /* a rec_syscall was sent, or did not fit into the buffer */
};

struct rec_hdr {
	__u32 kind;
	__u32 cpu;
	__u64 session;
	__u32 seq; /* number of the record in its session, from 0: a gap is a lost record */
	__u32 n_notes; /* of a rec_session: notes that the session had, sent or not; else 0 */
};
_Static_assert(sizeof(struct rec_hdr) == 24, "wire");

struct rec_stack {
	struct rec_hdr hdr;
	__u32 capture; /* see capture.bpf.h; unique in its session */
	__u32 n_addrs;
	__u64 addrs[MAX_STACK]; /* innermost first; only n_addrs of them are sent */
};
_Static_assert(sizeof(struct rec_stack) == 24 + 8 + 8 * MAX_STACK, "wire");

/* The workload of a session's task. Sent before its session. */
struct rec_context {
	struct rec_hdr hdr;
	__u64 cgroup; /* id in the unified hierarchy */
	__u32 mntns; /* namespaces by inode number; 0: unknown */
	__u32 pidns;
	__u32 netns;
	__u32 level; /* number of PID namespaces above its own */
	__u32 ns_tgid; /* ids in its own PID namespace */
	__u32 ns_tid;
};
_Static_assert(sizeof(struct rec_context) == 56, "wire");

/* A cgroup was created or removed. Belongs to no session. */
struct rec_cgroup {
	struct rec_hdr hdr;
	__u64 id;
	__u32 event; /* enum cgroup_event */
	__u32 len; /* bytes of the path that are sent, including the NUL */
	__u8 path[MAX_CGROUP_PATH];
};
_Static_assert(sizeof(struct rec_cgroup) == 40 + MAX_CGROUP_PATH, "wire");

/*
 * Something that happened in a session and is no call of a traced function: an event, or facts
 * about a call. Sent before its session. The source decides what the data mean.
 */
struct rec_note {
	struct rec_hdr hdr;
	__u64 at_ns;
	__u32 number; /* number of the note in its session, from 0: earlier ones are overwritten */
	__u32 source; /* chosen by user space */
	__u32 next_seq; /* calls with a lower seq had started */
	__u32 inside; /* seq of the innermost call that was open */
	__u32 unread; /* a bit for each value that could not be read */
	__u32 len; /* bytes of data that are sent */
	__u8 data[NOTE_BYTES];
};
_Static_assert(sizeof(struct rec_note) == 24 + 32 + NOTE_BYTES, "wire");

/* What was read of an argument in memory that was not read. */
#define AREA_NONE (-1)
#define AREA_UNREADABLE (-2)

/* The file of a descriptor, or the current directory. */
struct area_file {
	__u64 inode;
	__u32 is_cut; /* names are missing at the outer end */
	__u32 is_deleted;
	char type[16]; /* of its file system */
	char names[AREA_BYTES - 32]; /* each with a NUL, the innermost first */
};
_Static_assert(sizeof(struct area_file) == AREA_BYTES, "wire");

/* The beginning of a buffer. */
struct area_buffer {
	__u64 size;
	__u64 is_read;
	__u8 data[64]; /* the last byte is not used; begins with the address if it was not read */
};
_Static_assert(sizeof(struct area_buffer) == 80, "wire");

/* A message that is sent: of `struct user_msghdr`, with its first buffer and its address. */
struct area_message {
	__u64 name;
	__u64 n_buffers;
	__u64 control_len;
	__u64 address_len; /* bytes that were read */
	struct area_buffer buffer;
	__u8 address[AREA_BYTES - 112];
};
_Static_assert(sizeof(struct area_message) == AREA_BYTES, "wire");

/* A number of no system call: the arguments are those of the entry function. */
#define NUMBER_OF_FUNCTION 0xffffffff

/*
 * The system call that a session is about, or another entry function, and its arguments. Sent
 * before its session.
 */
struct rec_syscall {
	struct rec_hdr hdr;
	__u64 args[6];
	__u32 number; /* as the program gave it */
	__u32 is_compat; /* of the 32-bit table */
	__s32 lens[MAX_AREAS]; /* bytes of each area, including the NUL of a text; or AREA_NONE… */
	__u32 n_areas; /* that are sent */
	__u32 reserved;
	__u8 data[MAX_AREAS * AREA_BYTES];
};
_Static_assert(sizeof(struct rec_syscall) == 24 + 48 + 32 + MAX_AREAS * AREA_BYTES, "wire");

/* A task wrote to its standard error. Belongs to no session. */
struct rec_output {
	struct rec_hdr hdr;
	__u64 at_ns;
	__u64 size; /* bytes that were written */
	__u32 tgid;
	__u32 tid;
	__u8 comm[COMM_LEN];
	__u32 len; /* bytes of the text: the first ones, and less than OUTPUT_BYTES */
	__u32 reserved;
	__u8 text[OUTPUT_BYTES];
};
_Static_assert(sizeof(struct rec_output) == 72 + OUTPUT_BYTES, "wire");

/* A process ended. Belongs to no session. */
struct rec_exit {
	struct rec_hdr hdr;
	__u64 at_ns;
	__u32 tgid;
	__u32 tid; /* of its last thread */
	__u8 comm[COMM_LEN]; /* name of its first thread */
	__u32 code; /* as waitpid() gives it: the status above the signal */
	__u32 reserved;
};
_Static_assert(sizeof(struct rec_exit) == 64, "wire");

struct call_rec {
	__u64 started_ns;
	__u64 duration_ns;
	__u64 result;
	__u64 call_site; /* return address of the call; 0 if the back end does not know it */
	__u32 func;
	__u32 seq; /* order of the calls' starts in the session */
	__u32 repeats;
	__u32 capture; /* stack captured at this call's failure, 0 if none */
	__u16 depth;
	__u16 flags; /* enum call_flags */
	__u32 place; /* low half of the function's address, if only a call reveals it; else 0 */
};
_Static_assert(sizeof(struct call_rec) == 56, "wire");

struct rec_session {
	struct rec_hdr hdr;
	__u64 started_ns;
	__u64 ended_ns;
	__u32 tgid;
	__u32 tid;
	__u8 comm[COMM_LEN];
	__u8 leader_comm[COMM_LEN];
	__u16 execution_context;
	__u16 reason; /* enum entry_reason */
	__u32 flags; /* enum session_flags */
	__u32 beyond_depth;
	__u32 unreturned;
	__u32 unmatched_returns;
	__u32 missing_stacks;
	__u32 n_calls; /* elements of calls[] that are sent */
	__u32 peak; /* there: calls[i % MAX_CALLS] for peak - MAX_CALLS <= i < top */
	__u32 top;
	__u32 cut; /* records discarded of calls after a failure: see make_room() */
	struct call_rec calls[MAX_CALLS]; /* in the order in which the calls ended */
};
_Static_assert(sizeof(struct rec_session) == 24 + 16 + 8 + 32 + 40 + 56 * MAX_CALLS, "wire");

#endif
