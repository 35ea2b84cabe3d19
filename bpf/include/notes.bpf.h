/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Notes: what happens in a session besides calls of traced functions. They are kept with the
 * session, and are sent only if it is shown.
 */
#ifndef RETSNOOP_NOTES_H
#define RETSNOOP_NOTES_H

/* A call of a function whose return may be noted. Its arguments are gone by then. */
struct noted_call {
	u64 cookie;
	u64 sp; /* the stack pointer at its start */
	u64 words[MAX_NOTED_ARGS + 1]; /* the arguments, and the result behind the last one */
};

struct session_notes {
	struct rec_note notes[MAX_NOTES];
	struct noted_call calls[MAX_NOTED_CALLS];
};

/*
 * The notes of the session in each slot. User space sets the same number as for `slots` if anything
 * is noted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct session_notes);
} notes SEC(".maps");

/*
 * A bit of rec_note.unread: the data begin with the address of a pointer to a text, which is read
 * when the note is sent. Values have lower bits.
 */
#define NOTE_IS_LATE (1U << 31)

static struct session_notes *notes_of(const struct session *session)
{
	u32 slot = session->slot;

	return bpf_map_lookup_elem(&notes, &slot);
}

/*
 * Returns a new note of the session, to be filled with at most NOTE_BYTES bytes of data. NULL if
 * there is no room for notes.
 */
static __always_inline struct rec_note *new_note(struct session *session, u32 source)
{
	struct session_notes *all = notes_of(session);
	u32 depth = recorded_depth(session);
	struct rec_note *note;

	if (!all)
		return NULL;
	note = &all->notes[session->n_notes & (MAX_NOTES - 1)];
	note->number = session->n_notes++;
	note->at_ns = bpf_ktime_get_ns();
	note->source = source;
	note->next_seq = session->next_seq;
	note->inside = depth ? frame_at(session, depth - 1)->seq : 0;
	note->unread = 0;
	note->len = 0;
	return note;
}

/* Reads a text that was not there yet when it was noted. */
static __noinline void read_late(struct rec_note *note)
{
	u64 text = read_word(*(u64 *)note->data);
	long len = bpf_probe_read_kernel_str(note->data, NOTE_BYTES, (void *)text);

	note->len = len < 0 ? 0 : len;
	note->unread = len < 0;
}

#endif
