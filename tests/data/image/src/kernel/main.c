/* SPDX-License-Identifier: BSD-2-Clause */
#include "../include/check.h"

extern long alloc(long size);

__attribute__((noinline, used)) long entry(long value)
{
	long first = alloc(value);

	if (first)
		return first;
	return middle(value) + 2;
}

__attribute__((noinline, used)) long plain(long value)
{
	outside(value);
	return entry(value + 1) + 1;
}

__attribute__((noreturn, noinline)) void die(void)
{
	for (;;)
		outside(0);
}

/* The call of a function that does not return is the last instruction: its return address is the
 * next function's first byte. */
__attribute__((noinline, used)) long doomed(long value)
{
	if (value)
		return 1;
	die();
}

__attribute__((noinline, used)) long behind(long value)
{
	return outside(value) + 7;
}
