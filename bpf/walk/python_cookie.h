/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What tells a code object from those that lay at its place before, or will. Addresses do not: a program that compiles again
 * and again gets the same memory for what has the same size, code object, name, file and line table alike.
 *
 * From 3.12 on the interpreter numbers its code objects, and the number is in each. Before, what the name and the file
 * hold is taken into account: a text's hash where the interpreter knows it, which is so for all names that it looks up, else
 * the bytes, of long ones the last. Each look costs as much as a third of the frame itself, so the line table is taken for the
 * same where it lies at the same address, but for what has a name that says nothing ("<module>", "<lambda>").
 *
 * A walk that user space ends finds what was made at the sample beside the code object (python_resume.h).
 */
#ifndef FNP_BPF_WALK_PYTHON_COOKIE_H
#define FNP_BPF_WALK_PYTHON_COOKIE_H

#include "bpf/layout/python.h"
#include "bpf/walk/walk.h"

/* In scratch, behind the frame's and the code object's bytes. What the verifier need not follow is kept there. */
#define FNP_PYTHON_DIGEST_FROM 40
#define FNP_PYTHON_DIGEST_SIZE 41
#define FNP_PYTHON_DIGEST_BEGIN 42 /* what a text begins with, if it is ASCII */

/* Where the last bytes lie of the str or bytes object whose head is in scratch: they and their number go there, too. */
FNP_INLINE void fnp_python_last_bytes(struct fnp_walk *walk, const struct fnp_python_layout *l,
				      fnp_u64 object, fnp_u32 is_text)
{
	volatile fnp_u64 *kept = walk->scratch;
	fnp_u64 length = walk->scratch[(l->bytes_size / 8) & 7], from = object + l->bytes_data;
	fnp_u32 state;

	if (is_text) {
		state = walk->scratch[(l->text_state / 8) & 7] >> (8 * (l->text_state & 7));
		state >>= l->text_kind_bit & 31;
		length = walk->scratch[(l->text_length / 8) & 7] * (state & 7);
		from = object + (state & 16 ? l->text_size : l->text_wide);
	}
	kept[FNP_PYTHON_DIGEST_FROM] = from;
	kept[FNP_PYTHON_DIGEST_SIZE] = length;
	if (length > FNP_PYTHON_DIGEST_MAX) {
		kept[FNP_PYTHON_DIGEST_FROM] = from + length - FNP_PYTHON_DIGEST_MAX;
		kept[FNP_PYTHON_DIGEST_SIZE] = FNP_PYTHON_DIGEST_MAX;
	}
}

/* A digest of what a str or, when `is_text` is 0, a bytes object holds; it comes into scratch, in a frame's place. */
FNP_SUBPROGRAM int fnp_python_digest(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 object, fnp_u32 is_text)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	volatile fnp_u64 *kept;
	fnp_u64 digest, n;
	fnp_u32 head;

	if (!walk || !l)
		return 0;
	kept = walk->scratch;
	kept[FNP_PYTHON_DIGEST_BEGIN] = 0;
	head = l->text_size + 8; /* of bytes, too: their length comes first */
	if (head > 64 || fnp_read_user(walk->scratch, head, object))
		return 0;
	kept[FNP_PYTHON_DIGEST_BEGIN] = walk->scratch[(l->text_size / 8) & 7];
	digest = walk->scratch[(l->text_length / 8 + 1) & 7]; /* the hash, -1 before somebody asked for it */
	if (is_text && digest != ~0ULL)
		return digest ^ digest >> 32;
	fnp_python_last_bytes(walk, l, object, is_text);
	n = kept[FNP_PYTHON_DIGEST_SIZE];
	for (fnp_u32 i = 0; i < FNP_PYTHON_DIGEST_MAX / 8; i++)
		walk->scratch[i] = 0;
	if (fnp_read_user(walk->scratch, n & (2 * FNP_PYTHON_DIGEST_MAX - 1), kept[FNP_PYTHON_DIGEST_FROM]))
		return 0;
	digest = n;
	for (fnp_u32 i = 0; i < FNP_PYTHON_DIGEST_MAX / 8; i++) /* no end at n: the verifier would follow each */
		digest = fnp_python_mix(digest, walk->scratch[i]);
	return digest >> 32;
}

/* Of a code object's file; neighbours on a stack often have the same. */
FNP_INLINE fnp_u32 fnp_python_file_digest(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 file)
{
	if (walk->python_file != file) {
		walk->python_file_digest = (fnp_u32)fnp_python_digest(walk, layout, file, 1);
		walk->python_file = file;
	}
	return *(volatile fnp_u64 *)&walk->python_file_digest;
}

/* Puts what holds for this code object alone, whose bytes are in scratch, to walk->value; a frame's bytes there are lost. */
FNP_INLINE void fnp_python_identity(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u32 layout,
				    fnp_u64 code)
{
	fnp_u64 identity, name_begin;

	walk->value = fnp_python_code_word(walk, l->code_version) >> (8 * (l->code_version & 7));
	if (l->code_version)
		return;
#ifndef __bpf__
	if (fnp_read_user(&walk->value, sizeof(walk->value), code | FNP_PYTHON_IDENTITY_AT) == 0)
		return;
#endif
	identity = fnp_python_mix(
		code, (fnp_u32)fnp_python_digest(walk, layout, fnp_python_code_word(walk, l->code_name), 1));
	name_begin = ((volatile fnp_u64 *)walk->scratch)[FNP_PYTHON_DIGEST_BEGIN];
	identity = fnp_python_mix(
		identity, fnp_python_file_digest(walk, layout, fnp_python_code_word(walk, l->code_file)));
	if (fnp_python_says_nothing(name_begin))
		identity = fnp_python_mix(
			identity, (fnp_u32)fnp_python_digest(walk, layout,
							     fnp_python_code_word(walk, l->code_table), 0));
	walk->value = identity >> 32;
}

/* The cookie of the code object whose bytes are in scratch, and whose identity is in walk->value. */
FNP_INLINE fnp_u32 fnp_python_cookie_by(const struct fnp_walk *walk, const struct fnp_python_layout *l)
{
	return fnp_python_cookie(
		fnp_python_code_word(walk, l->code_name), fnp_python_code_word(walk, l->code_file),
		fnp_python_code_word(walk, l->code_table),
		fnp_python_code_word(walk, l->code_first_line) >> (8 * (l->code_first_line & 7)),
		(fnp_u32) * (volatile const fnp_u64 *)&walk->value);
}

/* Both, for who is not as deep in calls as a walk. */
FNP_SUBPROGRAM int fnp_python_cookie_of(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 code)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);

	if (!walk || !l)
		return 0;
	fnp_python_identity(walk, l, layout, code);
	return fnp_python_cookie_by(walk, l);
}

#endif
