/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Kernel types for x86-64. */
#ifndef RETSNOOP_VMLINUX_H
#define RETSNOOP_VMLINUX_H

#include "../types.h"

/* The layout that kprobe programs see on x86-64 is ABI (uapi/asm/ptrace.h). */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax;
	unsigned long ip, cs, flags, sp, ss;
};

#endif
