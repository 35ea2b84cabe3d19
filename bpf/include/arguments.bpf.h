/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The arguments of an entry function that is no system call. Their words are kept at the call, and
 * the texts that they point to are read when the session is sent.
 */
#ifndef RETSNOOP_ARGUMENTS_H
#define RETSNOOP_ARGUMENTS_H

/* Where the context of a program has the arguments of the called function. */
enum arguments_in {
	ARGUMENTS_UNKNOWN = 0,
	ARGUMENTS_IN_REGISTERS = 1, /* struct pt_regs */
	ARGUMENTS_IN_WORDS = 2, /* one after the other */
};

/*
 * Keeps the arguments of an entry function that is no system call: at its end they are gone. What
 * they point to is read then.
 */
static __noinline void keep_arguments(struct session *session, void *ctx, u32 arguments_in)
{
	u64 *args = session->syscall.args;

	session->syscall.number = 0;
	if (!arguments_in || session->out.reason == ENTRY_SYSCALL)
		return;
	if (arguments_in == ARGUMENTS_IN_WORDS)
		bpf_probe_read_kernel(args, sizeof(session->syscall.args), ctx);
	else
		copy_register_arguments(ctx, args);
	session->syscall.number = NUMBER_OF_FUNCTION;
}

static __always_inline bool has_arguments(const struct session *session)
{
	return session->out.reason == ENTRY_SYSCALL ||
	       session->syscall.number == NUMBER_OF_FUNCTION;
}

/* Reads the text at an argument, which may be in the kernel or in the program. */
static __always_inline s32 read_text(u8 *out, u64 address)
{
	s32 len;

	if (!address)
		return AREA_NONE;
	if ((s64)address < 0)
		len = bpf_probe_read_kernel_str(out, AREA_BYTES, (void *)address);
	else
		len = bpf_probe_read_user_str(out, AREA_BYTES, (void *)address);
	return len < 0 ? AREA_UNREADABLE : len;
}

static __always_inline void read_function_arguments(struct session *session)
{
	struct rec_syscall *out = &session->syscall;
	u32 func = session->frames[0].func;
	u32 *known = bpf_map_lookup_elem(&entry_texts, &func);
	u32 texts = known ? *known : 0;
	u32 i;

	out->is_compat = 0;
	out->n_areas = 0;
	for (i = 0; i < MAX_AREAS; i++) {
		u64 word = (texts >> (8 * i) & 0xff) - 1;

		if (word > 5)
			break;
		word = verifier_reload(word) & 7;
		out->lens[i] = read_text(out->data + i * AREA_BYTES, out->args[word]);
		out->n_areas = i + 1;
	}
}

#endif
