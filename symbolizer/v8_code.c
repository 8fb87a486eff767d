/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code objects: which one holds a pc, and the compiler that made it.
 *
 * V8 keeps no list of code that could be read from outside. But code objects begin at multiples of 32 bytes with the
 * map of their type, and a Code says where its instructions begin and how many they are: so the one around a pc is the
 * nearest such object before it, and it is believed only when its own words cover the pc.
 */
#include "symbolizer/v8.h"

#define CODE_BACK_MAX (512 << 10)
#define CODE_ALIGN 32
#define PIECE 4096
#define SIZE_MAX_BYTES (64 << 20)
#define KIND_MASK 15

/* All isolates share the map. Until it is known, every word that may be one is looked at. */
static bool is_stream_map(const struct fnp_v8_view *view, uint64_t map)
{
	uint16_t type;

	if (view->stream_map && *view->stream_map)
		return map == *view->stream_map;
	return (map & 3) == 1 && fnp_v8_is_object(map) &&
	       fnp_runtime_read(view->pid, map + view->layout.map_type, &type, sizeof(type)) == 0 &&
	       type == view->tables.type_stream;
}

static int read_half(const struct fnp_v8_view *view, uint64_t object, uint16_t offset, uint32_t *ret)
{
	return fnp_runtime_read(view->pid, object - 1 + offset, ret, sizeof(*ret)) < 0 ? -ESRCH : 0;
}

static enum fnp_v8_tier tier_of(const struct fnp_v8_view *view, uint32_t kind)
{
	const int32_t *v = view->tables.values;
	int32_t above = (int32_t)kind - v[FNP_V8_KIND_BASELINE];

	if (above == 0)
		return FNP_V8_TIER_SPARKPLUG;
	if (above == 1)
		return FNP_V8_TIER_MAGLEV;
	if (above == 2)
		return FNP_V8_TIER_TURBOFAN;
	/* Up to 11 there is one kind more between these two. */
	return v[FNP_V8_KIND_INTERPRETED] - (int32_t)kind ==
			       (fnp_v8_has(&view->tables, FNP_V8_CODE_START) ? 6 : 7)
		       ? FNP_V8_TIER_REGEXP
		       : FNP_V8_TIER_OTHER;
}

static int read_head(const struct fnp_v8_view *view, uint64_t address, uint64_t pc, struct fnp_v8_head *ret)
{
	const struct fnp_v8_tables *t = &view->tables;
	struct fnp_v8_head h = {.address = address, .start = address + t->stream_start};
	uint64_t start = h.start, code = address + 1;
	uint32_t flags = 0;
	int r = 0;

	if (t->stream_code) {
		r = fnp_v8_field(view, address + 1, t->stream_code, &code);
		r = r ?: fnp_v8_field(view, code, t->code_start, &start);
		if (r < 0 || fnp_v8_type(view, code) != t->values[FNP_V8_TYPE_CODE])
			return -ESRCH;
	}
	r = r ?: read_half(view, code, t->code_size, &h.size);
	r = r ?: read_half(view, code, t->code_flags, &flags);
	r = r ?: fnp_v8_field(view, code, t->code_deopt, &h.deopt);
	r = r ?: fnp_v8_field(view, code, t->code_positions, &h.positions);
	if (r < 0 || start != h.start || h.size > SIZE_MAX_BYTES || pc < h.start || pc - h.start >= h.size)
		return -ESRCH;
	h.tier = tier_of(view, flags & KIND_MASK);
	*ret = h;
	return 0;
}

/* Looks at a piece of memory for the last code object in it that begins before the pc. -ENOENT. */
static int look_in_piece(const struct fnp_v8_view *view, uint64_t start, size_t size, uint64_t pc,
			 struct fnp_v8_head *ret)
{
	uint64_t words[PIECE / 8];
	size_t skew = (CODE_ALIGN - view->tables.stream_start % CODE_ALIGN) % CODE_ALIGN;

	if (fnp_runtime_read(view->pid, start, words, size) < 0)
		return -ESRCH;
	for (size_t i = size; i >= CODE_ALIGN; i -= CODE_ALIGN) {
		size_t at = i - CODE_ALIGN + skew;

		if (start + at >= pc || !is_stream_map(view, words[at / 8]))
			continue;
		int r = read_head(view, start + at, pc, ret);
		if (r == 0 && view->stream_map)
			*view->stream_map = words[at / 8];
		return r;
	}
	return -ENOENT;
}

int fnp_v8_head_find(const struct fnp_v8_view *view, uint64_t pc, struct fnp_v8_head *ret)
{
	uint64_t end = (pc & ~(uint64_t)(CODE_ALIGN - 1)) + CODE_ALIGN;
	int r = -ENOENT;

	/* Page by page: what lies before the first one may not be readable. */
	for (size_t back = 0; r == -ENOENT && back < CODE_BACK_MAX && end > PIECE; back += PIECE) {
		uint64_t start = (end - 1) & ~(uint64_t)(PIECE - 1);

		r = look_in_piece(view, start, end - start, pc, ret);
		end = start;
	}
	return r == -ENOENT ? -ESRCH : r;
}

int fnp_v8_head_at(const struct fnp_v8_view *view, uint64_t address, uint64_t pc, struct fnp_v8_head *ret)
{
	uint64_t map;

	if (fnp_runtime_read(view->pid, address, &map, sizeof(map)) < 0 || !is_stream_map(view, map))
		return -ESRCH;
	return read_head(view, address, pc, ret);
}
