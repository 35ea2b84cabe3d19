/* SPDX-License-Identifier: BSD-2-Clause */
	.text
	.globl outside
	.type outside, @function
outside:
	mov %rdi, %rax
	neg %rax
	ret
	.size outside, . - outside
	.section .note.GNU-stack, "", @progbits
