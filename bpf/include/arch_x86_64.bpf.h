/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* x86-64: registers, layout of a trampoline's stack frame, location of preempt_count. */
#ifndef RETSNOOP_ARCH_X86_64_H
#define RETSNOOP_ARCH_X86_64_H

static __always_inline u64 regs_stack_pointer(const struct pt_regs *regs)
{
	return regs->sp;
}

static __always_inline u64 regs_instruction_pointer(const struct pt_regs *regs)
{
	return regs->ip;
}

static __always_inline u64 regs_result(const struct pt_regs *regs)
{
	return regs->ax;
}

/* Arguments that are in registers; at most MAX_NOTED_ARGS. */
#define REGISTER_ARGS 6

static __always_inline void read_register_arguments(const struct pt_regs *regs, u64 *args)
{
	args[0] = regs->di;
	args[1] = regs->si;
	args[2] = regs->dx;
	args[3] = regs->cx;
	args[4] = regs->r8;
	args[5] = regs->r9;
}

/*
 * The same, for programs whose context may be another one: the verifier does not know then that the
 * registers may be read.
 */
static __always_inline void copy_register_arguments(void *regs, u64 *args)
{
	/* r9, r8, ax, cx, dx, si, di */
	u64 words[7] = {};

	bpf_probe_read_kernel(words, sizeof(words), regs + offsetof(struct pt_regs, r9));
	args[0] = words[6];
	args[1] = words[5];
	args[2] = words[4];
	args[3] = words[3];
	args[4] = words[1];
	args[5] = words[0];
}

/* Returns the stack pointer that the call had. The return has popped the return address. */
static __always_inline u64 regs_returned_stack_pointer(const struct pt_regs *regs)
{
	return regs->sp - 8;
}

#define PAGE_MASK 0xfffULL

/*
 * Returns whether the kernel has replaced the return address at this place of a user stack, because
 * the return is traced. Then it leads to the start of a page (get_trampoline_vaddr() in
 * kernel/events/uprobes.c), where no call in a program returns to.
 */
static __always_inline bool return_is_traced(u64 at)
{
	u64 addr = 0;

	return !bpf_probe_read_user(&addr, sizeof(addr), (void *)at) && !(addr & PAGE_MASK);
}

/*
 * Returns the address of the probed instruction. At a breakpoint, ip is the address after the
 * breakpoint instruction, which is one byte long; ftrace-based kprobes imitate this.
 */
static __always_inline u64 regs_probed_address(const struct pt_regs *regs)
{
	return regs->ip - 1;
}

/*
 * Offset, from the result in a trampoline's stack frame, of the word after the saved frame pointer
 * (in bytes). If the function calls its trampoline, that word is an address in the function, and
 * the function's return address follows. Since 6.19 (402e44b31e9d, "bpf: implement "jmp" mode for
 * trampoline") functions jump to the trampoline where they can. Then the word is the function's
 * return address.
 */
#define TRAMPOLINE_CALL_SITE 16

static __always_inline u64 trampoline_call_site(u64 at, u64 ip)
{
	u64 addrs[2] = {};

	if (bpf_probe_read_kernel(addrs, sizeof(addrs), (void *)at))
		return 0;
	/*
	 * Before 5.15 (9b99edcae5c8, "bpf: Add bpf_get_func_ip helper for tracing programs") `ip`
	 * is not known. But functions jump to trampolines only since 6.19.
	 */
	return !ip || addrs[0] - ip < 32 ? addrs[1] : addrs[0];
}

#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

/* Bit of thread_info.status: the current system call is one of the 32-bit table. */
#define TS_COMPAT 2

#define SAVED_REGISTER(regs, name) read_word((regs) + offsetof(struct pt_regs, name))

/* Returns whether the current system call is one of the 32-bit table. */
static __always_inline bool is_compat_call(void)
{
	/* A program in 64-bit mode may make such a call, too (int $0x80). */
	return cfg.at.thread_status &&
	       read_half(bpf_get_current_task() + cfg.at.thread_status) & TS_COMPAT;
}

static __always_inline u32 regs_syscall_number(u64 regs)
{
	return SAVED_REGISTER(regs, orig_ax);
}

/* System calls that write: of the native table, and of the 32-bit one. */
#define SYSCALL_WRITE 1
#define SYSCALL_WRITEV 20
#define COMPAT_WRITE 4
#define COMPAT_WRITEV 146

/*
 * Returns the address of the registers that the entry code has saved at the end of the task's
 * stack; 0 if it is not known.
 */
static __always_inline u64 syscall_registers(void)
{
	u64 stack = read_word(bpf_get_current_task() + cfg.at.task_stack);

	if (!cfg.answer_at || !stack)
		return 0;
	return stack + cfg.answer_at - offsetof(struct pt_regs, ax);
}

/* Reads the first three arguments of a system call. */
static __always_inline void read_three_arguments(u64 regs, bool is_compat, u64 *args)
{
	args[0] = is_compat ? (u32)SAVED_REGISTER(regs, bx) : SAVED_REGISTER(regs, di);
	args[1] = is_compat ? (u32)SAVED_REGISTER(regs, cx) : SAVED_REGISTER(regs, si);
	args[2] = SAVED_REGISTER(regs, dx);
	if (is_compat)
		args[2] = (u32)args[2];
}

/* Reads the registers of the current system call. Returns false if it is not known where. */
static __always_inline bool read_syscall_registers(struct rec_syscall *out)
{
	u64 regs = syscall_registers();

	if (!regs)
		return false;
	out->number = regs_syscall_number(regs);
	out->is_compat = is_compat_call();
	if (out->is_compat) {
		out->args[0] = (u32)SAVED_REGISTER(regs, bx);
		out->args[1] = (u32)SAVED_REGISTER(regs, cx);
		out->args[2] = (u32)SAVED_REGISTER(regs, dx);
		out->args[3] = (u32)SAVED_REGISTER(regs, si);
		out->args[4] = (u32)SAVED_REGISTER(regs, di);
		out->args[5] = (u32)SAVED_REGISTER(regs, bp);
		return true;
	}
	out->args[0] = SAVED_REGISTER(regs, di);
	out->args[1] = SAVED_REGISTER(regs, si);
	out->args[2] = SAVED_REGISTER(regs, dx);
	out->args[3] = SAVED_REGISTER(regs, r10);
	out->args[4] = SAVED_REGISTER(regs, r8);
	out->args[5] = SAVED_REGISTER(regs, r9);
	return true;
}

/*
 * Returns the preempt_count of this CPU, or 0 if its location is not known. It is the variable
 * __preempt_count before 6.2 and since 6.15 (46e8fff6d45f, "x86/preempt: Move preempt count to
 * percpu hot section"), and a member of pcpu_hot in between (64701838bf05, "x86/percpu: Move
 * preempt_count next to current_task"). The BTF of Debian's 5.10 has no per-CPU variables
 * (a0b8200d06ad). There the address comes from kallsyms.
 */
static __always_inline u32 preempt_count(void)
{
	u64 base = 0;
	u32 count = 0;
	u32 cpu;

	if (cfg.has_preempt_var) {
		void *variable = (void *)patched_constant(PREEMPT_VAR_MARK);

		return *(const u32 *)(bpf_this_cpu_ptr(variable) + cfg.preempt_offset);
	}
	if (!cfg.preempt_count)
		return 0;
	/* The per-CPU base does not change while a CPU is online. */
	cpu = bpf_get_smp_processor_id();
	if (bpf_probe_read_kernel(&base, sizeof(base), (void *)(cfg.per_cpu_offset + 8 * cpu)))
		return 0;
	bpf_probe_read_kernel(&count, sizeof(count), (void *)(base + cfg.preempt_count));
	return count;
}

#endif
