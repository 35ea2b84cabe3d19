/* SPDX-License-Identifier: BSD-2-Clause */
#include "../include/check.h"

static inline __attribute__((always_inline)) long half(long size)
{
	return middle(size / 2);
}

__attribute__((noinline, used)) long alloc(long size)
{
	if (size > 100)
		return half(size) - 1;
	return outside(size) - 1;
}
