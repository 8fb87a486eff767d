/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place in compiled code stands for: the compiler that made it, the function, and the functions inlined there.
 *
 * V8 keeps no list of code that could be read from outside. But code objects begin at multiples of 32 bytes with the
 * map of their type, and a Code says where its instructions begin and how many they are: so the one around a pc is the
 * nearest such object before it, and it is believed only when its own words cover the pc.
 *
 * Optimized code has a table of positions (v8_positions.c), whose entries say in which inlining they are; each inlining
 * says which function it is, where it was called and in which inlining.
 */
#include "symbolizer/v8.h"

#define CODE_BACK_MAX (512 << 10)
#define CODE_ALIGN 32
#define PIECE 4096
#define SIZE_MAX_BYTES (64 << 20)
#define KIND_MASK 15
#define POSITION_BYTES 16 /* one inlining: position, function, padding */

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

/* The parts of a Code that are of use. */
struct head {
	uint64_t code; /* tagged */
	uint64_t start;
	uint32_t size, kind;
	uint64_t deopt, positions;
};

static int read_half(const struct fnp_v8_view *view, uint64_t object, uint16_t offset, uint32_t *ret)
{
	return fnp_runtime_read(view->pid, object - 1 + offset, ret, sizeof(*ret)) < 0 ? -ESRCH : 0;
}

/* Is this address that of a code object whose instructions hold the pc? */
static int read_head(const struct fnp_v8_view *view, uint64_t address, uint64_t pc, struct head *ret)
{
	const struct fnp_v8_tables *t = &view->tables;
	struct head h = {.code = address + 1, .start = address + t->stream_start};
	uint64_t start = h.start;
	int r = 0;

	if (t->stream_code) {
		r = fnp_v8_field(view, address + 1, t->stream_code, &h.code);
		r = r ?: fnp_v8_field(view, h.code, t->code_start, &start);
		if (r < 0 || fnp_v8_type(view, h.code) != t->values[FNP_V8_TYPE_CODE])
			return -ESRCH;
	}
	r = r ?: read_half(view, h.code, t->code_size, &h.size);
	r = r ?: read_half(view, h.code, t->code_flags, &h.kind);
	r = r ?: fnp_v8_field(view, h.code, t->code_deopt, &h.deopt);
	r = r ?: fnp_v8_field(view, h.code, t->code_positions, &h.positions);
	if (r < 0 || start != h.start || h.size > SIZE_MAX_BYTES || pc < h.start || pc - h.start >= h.size)
		return -ESRCH;
	h.kind &= KIND_MASK;
	*ret = h;
	return 0;
}

/* Looks at a piece of memory for the last code object in it that begins before the pc. -ENOENT. */
static int look_in_piece(const struct fnp_v8_view *view, uint64_t start, size_t size, uint64_t pc,
			 struct head *ret)
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

static int find_code(const struct fnp_v8_view *view, uint64_t pc, struct head *ret)
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

/* ---- inlining ----------------------------------------------------------------------------------------------- */

/* An element of one of V8's arrays. */
static int element(const struct fnp_v8_view *view, uint64_t array, uint64_t index, uint64_t *ret)
{
	const int32_t *v = view->tables.values;
	uint64_t length;
	int r = fnp_v8_field(view, array, v[FNP_V8_ARRAY_LENGTH], &length);

	if (r < 0 || (uint32_t)length || index >= length >> 32)
		return -ESRCH;
	return fnp_v8_field(view, array, v[FNP_V8_ARRAY_DATA] + 8 * (int32_t)index, ret);
}

/* The function that was compiled. */
static int own_function(const struct fnp_v8_view *view, uint64_t deopt, uint64_t *ret)
{
	const struct fnp_v8_tables *t = &view->tables;
	bool is_wrapped = fnp_v8_has(t, FNP_V8_DEOPT_WRAPPED_SHARED);
	int r = element(view, deopt,
			(uint64_t)t->values[is_wrapped ? FNP_V8_DEOPT_WRAPPED_SHARED : FNP_V8_DEOPT_SHARED],
			ret);

	return r ?: is_wrapped ? fnp_v8_field(view, *ret, 8, ret) : 0;
}

struct inlining {
	uint64_t position;
	int32_t function;
	int32_t pad;
};
_Static_assert(sizeof(struct inlining) == POSITION_BYTES, "inlining");

static int read_scopes(const struct fnp_v8_view *view, const struct head *head, struct fnp_v8_code *ret)
{
	const int32_t *v = view->tables.values;
	fnp_autofree uint8_t *bytes = NULL;
	uint64_t literals, inlinings, function, own;
	struct fnp_v8_position at;
	size_t size;
	int r = fnp_v8_position_find(view, head->positions, ret->offset, &at);

	r = r ?: own_function(view, head->deopt, &own);
	r = r ?: element(view, head->deopt, (uint64_t)v[FNP_V8_DEOPT_LITERALS], &literals);
	r = r ?: element(view, head->deopt, (uint64_t)v[FNP_V8_DEOPT_INLINING], &inlinings);
	r = r ?: fnp_v8_byte_array(view, inlinings, &bytes, &size);
	if (r < 0)
		return r;
	for (ret->n = 0; at.inlined >= 0; ret->n++) {
		struct inlining one;

		if (ret->n >= FNP_RUNTIME_LINES_MAX - 1 || (size_t)at.inlined >= size / sizeof(one))
			return -ESRCH;
		memcpy(&one, bytes + (size_t)at.inlined * sizeof(one), sizeof(one));
		function = own;
		if (one.function >= 0)
			r = element(view, literals, (uint64_t)one.function, &function);
		if (r < 0)
			return r;
		ret->scopes[ret->n] = (struct fnp_v8_scope){.shared = function & ~UINT64_C(2),
							    .position = at.source};
		fnp_v8_position_set(one.position, &at);
	}
	ret->scopes[ret->n++] = (struct fnp_v8_scope){.shared = own, .position = at.source};
	return 0;
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

int fnp_v8_code_read(const struct fnp_v8_view *view, uint64_t pc, uint64_t next, uint32_t hash,
		     struct fnp_v8_code *ret)
{
	uint64_t around[2];
	struct head head;
	int r = find_code(view, pc, &head);

	if (r < 0)
		return r;
	ret->n = 0;
	ret->bytecode = 0;
	ret->offset = (uint32_t)(pc - head.start);
	ret->tier = tier_of(view, head.kind);
	ret->position = -1;
	if (ret->tier == FNP_V8_TIER_SPARKPLUG) {
		ret->bytecode = head.deopt;
		ret->position = fnp_v8_baseline_position(view, head.deopt, head.positions, ret->offset);
	}
	if (ret->tier == FNP_V8_TIER_MAGLEV || ret->tier == FNP_V8_TIER_TURBOFAN)
		r = read_scopes(view, &head, ret);
	/* Last: all that was read belongs to the code that is there now. */
	if (r == 0 && (fnp_runtime_read(view->pid, next - 8, around, sizeof(around)) < 0 ||
		       !fnp_v8_code_is_same(fnp_v8_code_hash(around[0], around[1]), hash)))
		return -ESRCH;
	return r;
}
