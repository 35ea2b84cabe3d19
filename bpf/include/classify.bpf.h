/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Classifies a returned value. The code is 0 for success, -errno, or a positive number for another
 * failure: CODE_NULL, or CODE_STATUS and a status.
 */
#ifndef RETSNOOP_CLASSIFY_H
#define RETSNOOP_CLASSIFY_H

/* Permission was not given; the headers of the kernel are not included. */
#define EPERM 1

#define CODE_NULL 1
#define CODE_STATUS 0x10000

/* The status of -1, and that of false. */
#define STATUS_MINUS_ONE 0xffff
#define STATUS_FALSE 0

/* VM_FAULT_OOM, SIGBUS, HWPOISON, HWPOISON_LARGE, SIGSEGV. VM_FAULT_FALLBACK is not a failure. */
#define VM_FAULT_FAILED (0x1 | 0x2 | 0x10 | 0x20 | 0x40)

static s32 errno_code(s64 value)
{
	return value < 0 && value >= -MAX_ERRNO ? value : 0;
}

/*
 * Returns the result of a system call that a seccomp filter has refused; 0 if it is allowed. The
 * kernel has stored the answer in the registers of the system call, which are on the task's stack.
 * A call that was answered with a signal has none, and counts as -EPERM: before 7.3 this is what
 * the returned -1 looks like.
 */
static __noinline u64 filtered_result(u32 class, u64 raw)
{
	u64 stack = 0, answer = 0;
	s32 code;

	if (class == CLASS_FILTER_BOOL ? (u8)raw : (s32)raw != -1)
		return 0;
	if (cfg.answer_at) {
		bpf_probe_read_kernel(&stack, sizeof(stack),
				      (void *)bpf_get_current_task() + cfg.at.task_stack);
		bpf_probe_read_kernel(&answer, sizeof(answer), (void *)stack + cfg.answer_at);
	}
	code = errno_code(answer);
	return (s64)(code ? code : -EPERM);
}

/* Returns the result of a call as result_code() takes it. */
static __always_inline u64 judged_result(u32 class, u64 raw)
{
	if (class == CLASS_FILTER_INT || class == CLASS_FILTER_BOOL)
		return filtered_result(class, raw);
	return raw;
}

static s32 result_code(u32 class, u64 raw)
{
	s32 code;

	switch (class) {
	case CLASS_POINTER:
		return raw ? errno_code(raw) : CODE_NULL;
	case CLASS_S8:
		return errno_code((s8)raw);
	case CLASS_S16:
		return errno_code((s16)raw);
	case CLASS_S32:
		return errno_code((s32)raw);
	case CLASS_S64:
	case CLASS_FILTER_INT:
	case CLASS_FILTER_BOOL:
		return errno_code(raw);
	case CLASS_BLK_STATUS:
		return (u8)raw ? CODE_STATUS | (u8)raw : 0;
	case CLASS_VM_FAULT:
		return raw & VM_FAULT_FAILED ? CODE_STATUS | (raw & 0xffff) : 0;
	case CLASS_UNKNOWN:
		code = errno_code(raw);
		return code ? code : errno_code((s32)raw);
	case CLASS_USER_INTEGER:
		code = errno_code(raw);
		code = code ? code : errno_code((s32)raw);
		return code == -1 ? CODE_STATUS | STATUS_MINUS_ONE : code;
	case CLASS_MINUS_ONE:
		return (s32)raw == -1 ? CODE_STATUS | STATUS_MINUS_ONE : 0;
	case CLASS_FALSE:
		return (u8)raw ? 0 : CODE_STATUS | STATUS_FALSE;
	default:
		return 0;
	}
}

#endif
