/* SPDX-License-Identifier: BSD-2-Clause */
long outside(long value);

static inline __attribute__((always_inline)) long innermost(long value)
{
	if (value < 0)
		return outside(value);
	return value;
}

static inline __attribute__((always_inline)) long middle(long value)
{
	long result = innermost(value * 3);

	return result + 1;
}
