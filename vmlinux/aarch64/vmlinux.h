/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Kernel types for arm64. */
#ifndef RETSNOOP_VMLINUX_H
#define RETSNOOP_VMLINUX_H

#include "../types.h"

/* The layout that kprobe programs see on arm64 is ABI (struct user_pt_regs, uapi/asm/ptrace.h). */
struct pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};

#endif
