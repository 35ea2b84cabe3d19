/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * arm64: registers and location of preempt_count. This file compiles, and nothing of it was run:
 * user space has no layout for arm64 yet.
 */
#ifndef RETSNOOP_ARCH_ARM64_H
#define RETSNOOP_ARCH_ARM64_H

static __always_inline u64 regs_stack_pointer(const struct pt_regs *regs)
{
	return regs->sp;
}

static __always_inline u64 regs_instruction_pointer(const struct pt_regs *regs)
{
	return regs->pc;
}

/* Arguments that are in registers; at most MAX_NOTED_ARGS. */
#define REGISTER_ARGS 7

static __always_inline void read_register_arguments(const struct pt_regs *regs, u64 *args)
{
	u32 i;

	for (i = 0; i < REGISTER_ARGS; i++)
		args[i] = regs->regs[i];
}

/* The same, where the verifier does not know that the registers may be read. */
static __always_inline void copy_register_arguments(void *regs, u64 *args)
{
	bpf_probe_read_kernel(args, 6 * sizeof(u64), regs + offsetof(struct pt_regs, regs));
}

static __always_inline u64 regs_result(const struct pt_regs *regs)
{
	return regs->regs[0];
}

/* The return address is in a register, so a return does not move the stack pointer. */
static __always_inline u64 regs_returned_stack_pointer(const struct pt_regs *regs)
{
	return regs->sp;
}

/* Return addresses are in a register. User space opens no sessions that depend on them. */
static __always_inline bool return_is_traced(u64 at)
{
	return true;
}

/* At a breakpoint, pc is the address of the breakpoint instruction. */
static __always_inline u64 regs_probed_address(const struct pt_regs *regs)
{
	return regs->pc;
}

/*
 * Where the stack frame of a trampoline has the return address depends on how it was padded. It is
 * not looked for: call sites are not known.
 */
#define TRAMPOLINE_CALL_SITE 0

static __always_inline u64 trampoline_call_site(u64 at, u64 ip)
{
	return 0;
}

static __always_inline bool is_compat_call(void)
{
	return false;
}

/* The system call's number is in the register for it also when it returns. */
static __always_inline u32 regs_syscall_number(u64 regs)
{
	u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &((struct pt_regs *)regs)->regs[8]);
	return number;
}

/* System calls that write. */
#define SYSCALL_WRITE 64
#define SYSCALL_WRITEV 66
#define COMPAT_WRITE 4
#define COMPAT_WRITEV 146

static __always_inline u64 syscall_registers(void)
{
	return 0;
}

/* The register of the first argument has the result now. The kernel keeps orig_x0 behind the rest.
 */
static __always_inline void read_three_arguments(u64 regs, bool is_compat, u64 *args)
{
	bpf_probe_read_kernel(args, 24, ((struct pt_regs *)regs)->regs);
	bpf_probe_read_kernel(args, 8, (void *)(regs + sizeof(struct pt_regs)));
}

/*
 * Where the registers of a system call are depends on the size of struct pt_regs, which differs
 * between versions. They are not read.
 */
static __always_inline bool read_syscall_registers(struct rec_syscall *out)
{
	return false;
}

/*
 * Returns the preempt_count of the current task, or 0 if its location is not known. It is a member
 * of thread_info, with which task_struct begins; cfg.preempt_count is its offset there.
 */
static __always_inline u32 preempt_count(void)
{
	u32 count = 0;

	if (cfg.preempt_count)
		bpf_probe_read_kernel(&count, sizeof(count),
				      (void *)(bpf_get_current_task() + cfg.preempt_count));
	return count;
}

#endif
