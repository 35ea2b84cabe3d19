/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Classifies a returned value. The code is 0 for success, -errno, or a positive number for another
 * failure: CODE_NULL, or CODE_STATUS and a status.
 */
#ifndef RETSNOOP_CLASSIFY_H
#define RETSNOOP_CLASSIFY_H

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
