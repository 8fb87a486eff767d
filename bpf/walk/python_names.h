/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Names that travel with the sample: for each code object on a stack that was not met before in its process, its texts
 * and line table as they are now. A process of a few milliseconds is gone before user space looks, and a code object
 * may be freed.
 *
 * What was met is remembered by a hash of process, address and cookie: in a small table a CPU that is looked at first,
 * and in one for all. What does not fit in this sample is not remembered, and comes with a later one; user space reads
 * the process's memory for what never came.
 */
#ifndef FNP_BPF_WALK_PYTHON_NAMES_H
#define FNP_BPF_WALK_PYTHON_NAMES_H

#include "bpf/walk/walk.h"

#ifdef __bpf__

#define FNP_PYTHON_NAMES_WORDS 512 /* words of a stack that are looked at, from the leaf */
#define FNP_PYTHON_NAMES_MAX 24	   /* code objects a sample */
#define FNP_PYTHON_SEEN_MAX 16384  /* in all processes */
#define FNP_PYTHON_HEAD_WORDS (sizeof(struct fnp_python_code) / 8)
#define FNP_PYTHON_NAME_WORDS (FNP_PYTHON_HEAD_WORDS + (2 * FNP_PYTHON_TEXT_MAX + FNP_PYTHON_TABLE_MAX) / 8)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FNP_PYTHON_SEEN_MAX);
	__type(key, fnp_u64);
	__type(value, fnp_u32);
} fnp_python_seen SEC(".maps");

/* Copies `size` bytes, at most `max` (a power of two), to walk->words[at ...]; the words that they take. */
FNP_INLINE fnp_u32 fnp_python_copy(struct fnp_walk *walk, fnp_u32 at, fnp_u64 from, fnp_u32 size, fnp_u32 max)
{
	fnp_u32 offset = at * 8;

	if (size == 0 || size > max || offset > sizeof(walk->words) - 2 * max)
		return 0;
	if (fnp_read_user((void *)walk->words + offset, size & (2 * max - 1), from))
		return 0;
	return (size + 7) / 8;
}

/* Puts a str at words[at]; what it is goes to `scratch[39]` as a struct fnp_python_text. The words it takes. */
FNP_SUBPROGRAM int fnp_python_put_text(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 address, fnp_u32 at)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	struct fnp_python_text text = {};
	fnp_u64 state, bytes, data;
	fnp_u32 words, head;

	if (!walk || !l)
		return 0;
	__builtin_memcpy(&walk->scratch[39], &text, sizeof(text));
	head = l->text_state + 8; /* the last field of the head that is of use */
	if (head > 64 || fnp_read_user(walk->scratch, head, address))
		return 0;
	state = walk->scratch[(l->text_state / 8) & 7] >> (8 * (l->text_state & 7));
	state = (fnp_u32)state >> (l->text_kind_bit & 31);
	bytes = walk->scratch[(l->text_length / 8) & 7];
	text.length = bytes > 0xffffffff ? 0xffffffff : bytes;
	text.kind = state & 7;
	if (!(state & 8) || (text.kind != 1 && text.kind != 2 && text.kind != 4))
		return 0;
	data = address + (state & 16 ? l->text_size : l->text_wide);
	bytes = text.length > FNP_PYTHON_TEXT_MAX ? FNP_PYTHON_TEXT_MAX : text.length;
	bytes *= text.kind;
	if (bytes > FNP_PYTHON_TEXT_MAX)
		bytes = FNP_PYTHON_TEXT_MAX;
	words = fnp_python_copy(walk, at, data, bytes, FNP_PYTHON_TEXT_MAX);
	if (bytes && !words)
		return 0;
	text.copied = bytes;
	__builtin_memcpy(&walk->scratch[39], &text, sizeof(text));
	return words;
}

/*
 * Puts a line table (bytes) at words[at]; its length goes to `scratch[39]`, what was copied to `value`. A page that is not
 * there right now makes the length unknown, not 0: user space then reads the process's memory.
 */
FNP_SUBPROGRAM int fnp_python_put_table(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 address, fnp_u32 at)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 length;
	fnp_u32 size, words;

	if (!walk || !l)
		return 0;
	walk->scratch[39] = 0xffffffff;
	if (fnp_read_user(&walk->value, 8, address + l->bytes_size)) {
		walk->value = 0;
		return 0;
	}
	length = walk->value;
	walk->value = 0;
	size = length > FNP_PYTHON_TABLE_MAX ? FNP_PYTHON_TABLE_MAX : length;
	words = fnp_python_copy(walk, at, address + l->bytes_data, size, FNP_PYTHON_TABLE_MAX);
	walk->scratch[39] = length > 0xffffffff ? 0xffffffff : length;
	walk->value = words ? size : 0;
	return words;
}

/* Puts an entry for a code object at words[at]; the words it takes, 0 when it cannot be read. */
FNP_SUBPROGRAM int fnp_python_put_code(struct fnp_walk *walk, fnp_u64 code, fnp_u32 cookie, fnp_u32 at)
{
	const struct fnp_space *space;
	const struct fnp_python_layout *l;
	struct fnp_python_code head = {};
	fnp_u64 name, file, table;
	fnp_u32 layout, words = FNP_PYTHON_HEAD_WORDS, size;

	if (!walk || at > FNP_WALK_WORDS - FNP_PYTHON_NAME_WORDS - 2 * FNP_PYTHON_TABLE_MAX / 8)
		return 0;
	space = fnp_array_at(fnp_spaces, walk->space);
	if (!space)
		return 0;
	layout = space->runtime[0][0];
	l = fnp_array_at(fnp_python_layouts, layout);
	if (!l)
		return 0;
	size = l->code_size;
	if (size > FNP_PYTHON_CODE_MAX || fnp_read_user(walk->scratch + FNP_PYTHON_CODE_AT, size, code))
		return 0;
	name = fnp_python_code_word(walk, l->code_name);
	file = fnp_python_code_word(walk, l->code_file);
	table = fnp_python_code_word(walk, l->code_table);
	head.code = code;
	head.cookie = cookie;
	head.first_line = fnp_python_code_word(walk, l->code_first_line) >> (8 * (l->code_first_line & 7));
	if ((fnp_u32)fnp_python_cookie_of(walk, layout, code) != cookie)
		return 0;
	words += fnp_python_put_text(walk, layout, name, at + words);
	__builtin_memcpy(&head.name, &walk->scratch[39], sizeof(head.name));
	words += fnp_python_put_text(walk, layout, file, at + words);
	__builtin_memcpy(&head.file, &walk->scratch[39], sizeof(head.file));
	words += fnp_python_put_table(walk, layout, table, at + words);
	head.table_length = walk->scratch[39];
	head.table_copied = walk->value;
	head.size = words * 8;
	if (words > FNP_PYTHON_NAME_WORDS)
		return 0;
	__builtin_memcpy(&walk->words[at], &head, sizeof(head));
	return words;
}

/* The walk is over, so walk->chain is free: where the next entry goes, and how many there are. */
#define FNP_PYTHON_NEXT 0
#define FNP_PYTHON_ENTRIES 1

/* Puts an entry for a code object, if it was not met yet. */
FNP_SUBPROGRAM int fnp_python_name_code(struct fnp_walk *walk, fnp_u64 code, fnp_u64 cookie, fnp_u64 process)
{
	fnp_u64 key;
	fnp_u32 one = 1;
	int words;

	if (!walk)
		return 0;
	key = (process ^ cookie << 32) * 0x9e3779b97f4a7c15ULL;
	key = (key ^ key >> 29 ^ code) * 0xff51afd7ed558ccdULL;
	key ^= key >> 32;
	if (walk->python_seen[key & (FNP_WALK_PYTHON_SEEN - 1)] == key)
		return 0;
	if (!bpf_map_lookup_elem(&fnp_python_seen, &key)) {
		if (walk->chain[FNP_PYTHON_ENTRIES] >= FNP_PYTHON_NAMES_MAX)
			return 0;
		words = fnp_python_put_code(walk, code, cookie, walk->chain[FNP_PYTHON_NEXT]);
		if (words <= 0)
			return 0;
		walk->chain[FNP_PYTHON_NEXT] += words;
		walk->chain[FNP_PYTHON_ENTRIES]++;
		bpf_map_update_elem(&fnp_python_seen, &key, &one, BPF_ANY);
	}
	walk->python_seen[key & (FNP_WALK_PYTHON_SEEN - 1)] = key;
	return 0;
}

/* The same for the frame whose head is words[i], if it is one. */
FNP_INLINE void fnp_python_name_frame(struct fnp_walk *walk, fnp_u32 i, fnp_u64 process)
{
	if (i < walk->n_words && walk->words[i] >> FNP_WORD_MORE_SHIFT == (FNP_WORD_PYTHON << 3 | 1))
		fnp_python_name_code(walk, walk->words[i] & FNP_PYTHON_ADDRESS_MASK, walk->words[i + 1] >> 32,
				     process);
}

/* Two words a call: what the loop itself does costs the verifier as much. */
FNP_SUBPROGRAM int fnp_python_name_two(struct fnp_walk *walk, fnp_u32 i, fnp_u64 process)
{
	if (!walk || i >= FNP_PYTHON_NAMES_WORDS)
		return 0;
	fnp_python_name_frame(walk, i, process);
	fnp_python_name_frame(walk, i + 1, process);
	return 0;
}

/* Adds the section at walk->words[at]; the number of words that it takes, 0 when no code object is new. */
FNP_SUBPROGRAM int fnp_walk_python_names(struct fnp_walk *walk, fnp_u32 at, fnp_u64 process)
{
	struct fnp_wire_section section = {.type = FNP_SECTION_PYTHON_CODE};
	fnp_u32 words;

	if (!fnp_walk_python_on || !walk || at >= FNP_WALK_WORDS - 1)
		return 0;
	walk->chain[FNP_PYTHON_NEXT] = at + 1;
	walk->chain[FNP_PYTHON_ENTRIES] = 0;
	/* All state is in memory: each turn looks alike to the verifier. */
	for (fnp_u32 i = 0; i < FNP_PYTHON_NAMES_WORDS; i += 2) {
		if (i >= walk->n_words)
			break;
		fnp_python_name_two(walk, i, process);
	}
	for (fnp_u32 i = 0; i < FNP_WALK_PYTHON_KEPT; i++) {
		if (i >= walk->n_python_kept)
			break;
		fnp_python_name_code(walk, walk->python_kept[2 * i], walk->python_kept[2 * i + 1], process);
	}
	if (!walk->chain[FNP_PYTHON_ENTRIES])
		return 0;
	words = (fnp_u32)walk->chain[FNP_PYTHON_NEXT] - at;
	section.size = 8 * (words - 1);
	if (at < FNP_WALK_WORDS)
		__builtin_memcpy(&walk->words[at], &section, sizeof(section));
	return words;
}

#endif

#endif
