/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/names_cache.h"

#include <errno.h>

#include "base/cursor.h"

#define CHAINS_MAX (1U << 18)
#define FRAMES_MAX (1U << 20)
#define CHAIN_MAX 0xffffU

struct head {
	uint32_t n_chains, n_frames;
	uint64_t strings;
};

struct packed_chain {
	uint64_t address;
	uint32_t first, n;
};

/* Offsets of strings. */
struct packed_frame {
	uint32_t name, system_name, file, line, start_line;
};

/* The same string is the same pointer, nearly always: strings are interned. */
static int pack_string(struct fnp_map *seen, const char *text, struct fnp_buffer *strings, uint32_t *ret)
{
	uint64_t *known = fnp_map_find(seen, (uint64_t)(uintptr_t)text);

	if (known) {
		*ret = (uint32_t)*known;
		return 0;
	}
	if (strings->len > UINT32_MAX - (1U << 20))
		return -ENOMEM;
	*ret = (uint32_t)strings->len;
	fnp_buffer_append(strings, text, strlen(text) + 1);
	return strings->error ?: fnp_map_set(seen, (uint64_t)(uintptr_t)text, *ret);
}

static int pack_frames(const fnp_symbol_vec *frames, struct fnp_buffer *strings, struct fnp_buffer *ret)
{
	struct fnp_map seen = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < frames->len; i++) {
		const struct fnp_symbol *s = &frames->items[i];
		struct packed_frame packed = {.line = s->line, .start_line = s->start_line};

		r = pack_string(&seen, s->name, strings, &packed.name);
		r = r ?: pack_string(&seen, s->system_name, strings, &packed.system_name);
		r = r ?: pack_string(&seen, s->file, strings, &packed.file);
		fnp_buffer_append(ret, &packed, sizeof(packed));
	}
	fnp_map_deinit(&seen);
	return r ?: ret->error;
}

int fnp_names_pack(const struct fnp_map *chains, const fnp_symbol_vec *frames, struct fnp_buffer *ret)
{
	fnp_autobuffer struct fnp_buffer strings = {0};
	struct head head = {.n_frames = (uint32_t)frames->len};
	int r;

	if (frames->len > FRAMES_MAX || chains->len > CHAINS_MAX)
		return -ENOMEM;
	ret->len = 0;
	fnp_buffer_append(ret, &head, sizeof(head));
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(chains, s));) {
		struct packed_chain chain = {.address = s->key,
					     .first = (uint32_t)(s->value >> 16),
					     .n = (uint32_t)(s->value & CHAIN_MAX)};

		fnp_buffer_append(ret, &chain, sizeof(chain));
		head.n_chains++;
	}
	r = pack_frames(frames, &strings, ret);
	if (r < 0)
		return r;
	head.strings = strings.len;
	fnp_buffer_append(ret, strings.data, strings.len);
	if (ret->error)
		return ret->error;
	memcpy(ret->data, &head, sizeof(head));
	return 0;
}

static int unpack_frames(const uint8_t *packed, const struct head *head, const char *strings,
			 fnp_symbol_vec *ret)
{
	for (uint32_t i = 0; i < head->n_frames; i++) {
		struct fnp_symbol symbol = {0};
		struct packed_frame frame;

		memcpy(&frame, packed + i * sizeof(frame), sizeof(frame));
		if (frame.name >= head->strings || frame.system_name >= head->strings ||
		    frame.file >= head->strings)
			return -EBADMSG;
		symbol.name = strings + frame.name;
		symbol.system_name = strings + frame.system_name;
		symbol.file = strings + frame.file;
		symbol.line = frame.line;
		symbol.start_line = frame.start_line;
		ret->items[ret->len++] = symbol;
	}
	return 0;
}

static int unpack_chains(const uint8_t *packed, const struct head *head, uint64_t before, struct fnp_map *ret)
{
	int r = 0;

	/* All are looked at before the first is taken. */
	for (uint32_t i = 0; i < head->n_chains; i++) {
		struct packed_chain chain;

		memcpy(&chain, packed + i * sizeof(chain), sizeof(chain));
		if (chain.n > CHAIN_MAX || chain.n > head->n_frames || chain.first > head->n_frames - chain.n)
			return -EBADMSG;
	}
	for (uint32_t i = 0; r == 0 && i < head->n_chains; i++) {
		struct packed_chain chain;

		memcpy(&chain, packed + i * sizeof(chain), sizeof(chain));
		r = fnp_map_set(ret, chain.address, (before + chain.first) << 16 | chain.n);
	}
	return r;
}

int fnp_names_unpack(const void *data, size_t size, struct fnp_map *chains, fnp_symbol_vec *frames)
{
	struct fnp_cursor c = fnp_cursor_of(data, size);
	const uint8_t *packed_chains, *packed_frames, *strings;
	size_t before = frames->len;
	struct head head;
	int r;

	if (fnp_cursor_copy(&c, &head, sizeof(head)) < 0 || head.n_chains > CHAINS_MAX ||
	    head.n_frames > FRAMES_MAX ||
	    fnp_cursor_bytes(&c, (uint64_t)head.n_chains * sizeof(struct packed_chain), &packed_chains) < 0 ||
	    fnp_cursor_bytes(&c, (uint64_t)head.n_frames * sizeof(struct packed_frame), &packed_frames) < 0 ||
	    fnp_cursor_left(&c) != head.strings || fnp_cursor_bytes(&c, head.strings, &strings) < 0)
		return -EBADMSG;
	if (head.n_frames > 0 && (head.strings == 0 || strings[head.strings - 1] != '\0'))
		return -EBADMSG;
	r = fnp_vec_reserve(frames, before + head.n_frames);
	r = r ?: unpack_frames(packed_frames, &head, (const char *)strings, frames);
	r = r ?: unpack_chains(packed_chains, &head, before, chains);
	if (r < 0)
		frames->len = before;
	return r;
}
