/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of each pattern three bytes are chosen of which both pairs are rare in code. Wherever the pattern stands, one of its two
 * pairs stands at an even offset; so a look at each even offset, whether the pair there is one of those, finds all patterns,
 * and nearly nothing else. Eight bytes are looked at without a jump.
 */
#include "symbolizer/unwind_places.h"

#include <errno.h>

#define SEARCH_MAX (4U << 20) /* bytes of code in one segment */
#define FUNCTION_MAX 65536
#define PLACES_MAX 65536

static const struct {
	uint8_t bytes[10], size;
	uint8_t rare; /* where the three bytes begin */
} patterns[] = {
	[FNP_PATTERN_SIGNAL_RETURN] = {{0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05}, 9, 0},
	[FNP_PATTERN_SIGNAL_RETURN_SHORT] = {{0xb8, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05}, 7, 0},
	[FNP_PATTERN_CONTEXT_START] = {{0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff}, 10, 1},
	[FNP_PATTERN_CONTEXT_CHANGE] = {{0x48, 0x8b, 0xa2, 0xa0, 0x00, 0x00, 0x00}, 7, 1},
	[FNP_PATTERN_GREENLET_CHANGE] = {{0x48, 0x01, 0xc4, 0x48, 0x01, 0xc5}, 6, 1},
	[FNP_PATTERN_LEAVE_BY_JUMP] = {{0x48, 0x8b, 0x6d, 0x00, 0x48, 0x89, 0xcc, 0x59, 0xff, 0xe1}, 10, 5},
	[FNP_PATTERN_LEAVE_BY_RETURN] = {{0x48, 0x8b, 0x6d, 0x00, 0x48, 0x89, 0xcc, 0xc3}, 8, 5},
	[FNP_PATTERN_BINDING] = {{0x48, 0x8b, 0x73, 0x10, 0x48, 0x8b, 0x7b, 0x08, 0xe8}, 9, 6},
	[FNP_PATTERN_FCONTEXT_BEGIN] = {{0x55, 0xff, 0xe3, 0x48, 0x31, 0xff, 0xe8}, 7, 0},
	[FNP_PATTERN_FCONTEXT_CHANGE] = {{0x48, 0x89, 0xe0, 0x48, 0x89, 0xfc}, 6, 1},
};

static const char *const names[] = {
	[FNP_NAMED_V8_BUILTINS] = "v8_Default_embedded_blob_code_",
	[FNP_NAMED_V8_PUSH_REGISTERS] = "PushAllRegistersAndIterateStack",
	[FNP_NAMED_RAISE_EXCEPTION] = "_Unwind_RaiseException",
	[FNP_NAMED_RESUME] = "_Unwind_Resume",
	[FNP_NAMED_FORCED_UNWIND] = "_Unwind_ForcedUnwind",
	[FNP_NAMED_RESUME_OR_RETHROW] = "_Unwind_Resume_or_Rethrow",
};

_Static_assert(FNP_ARRAY_SIZE(patterns) == FNP_PATTERN_COUNT, "a pattern has no bytes");
_Static_assert(FNP_ARRAY_SIZE(names) == FNP_NAMED_COUNT, "a place has no name");

#define GROUPS 8

/*
 * Of each pair of bytes: which patterns it is a rare pair of, a bit a group of them; none for nearly all. A byte a
 * pair, because taking a bit out of a smaller table costs more than the cache that the larger one takes.
 */
struct rare_pairs {
	uint8_t groups[65536];
};

/* What is searched. */
struct search {
	struct fnp_unwind_places *places;
	const uint8_t *code;
	size_t size;
	uint64_t address;
	struct rare_pairs *rare;
};

size_t fnp_pattern_size(enum fnp_pattern pattern)
{
	return patterns[pattern].size;
}

static uint8_t group_of(enum fnp_pattern pattern)
{
	return (uint8_t)(1U << pattern % GROUPS);
}

/* The pair at a place, as a number; which one does not matter. */
static uint16_t pair_at(const uint8_t *code)
{
	uint16_t pair;

	memcpy(&pair, code, sizeof(pair));
	return pair;
}

static struct rare_pairs *create_rare_pairs(void)
{
	struct rare_pairs *rare = calloc(1, sizeof(*rare));

	for (enum fnp_pattern i = 0; rare && i < FNP_PATTERN_COUNT; i++) {
		const uint8_t *bytes = patterns[i].bytes + patterns[i].rare;

		rare->groups[pair_at(bytes)] |= group_of(i);
		rare->groups[pair_at(bytes + 1)] |= group_of(i);
	}
	return rare;
}

/* All patterns of these groups of which a rare pair may stand at `even`. */
static int take_around(struct search *s, size_t even, uint8_t groups)
{
	for (enum fnp_pattern i = 0; i < FNP_PATTERN_COUNT; i++) {
		if (!(groups & group_of(i)))
			continue;
		for (size_t back = patterns[i].rare; back <= patterns[i].rare + 1U; back++) {
			struct fnp_unwind_place place = {.pattern = i};

			if (even < back || patterns[i].size > s->size - (even - back) ||
			    memcmp(s->code + even - back, patterns[i].bytes, patterns[i].size) != 0)
				continue;
			place.before = even - back;
			place.left = s->size - place.before;
			place.code = s->code + place.before;
			place.address = s->address + place.before;
			if (s->places->items.len < PLACES_MAX && fnp_vec_push(&s->places->items, place) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int search(struct search *s)
{
	const uint8_t *groups = s->rare->groups;
	size_t at = 0;

	for (; at + 8 <= s->size; at += 8) {
		const uint8_t *code = s->code + at;

		if (!(groups[pair_at(code)] | groups[pair_at(code + 2)] | groups[pair_at(code + 4)] |
		      groups[pair_at(code + 6)]))
			continue;
		for (size_t even = 0; even < 8; even += 2) {
			uint8_t found = groups[pair_at(code + even)];

			if (found && take_around(s, at + even, found) < 0)
				return -ENOMEM;
		}
	}
	for (; at + 2 <= s->size; at += 2) {
		if (take_around(s, at, UINT8_MAX) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int search_at(struct search *s, const struct fnp_object *object, uint64_t address, uint64_t size)
{
	if (fnp_object_read_address(object, address, size, &s->code) < 0)
		return 0;
	s->address = address;
	s->size = size;
	return search(s);
}

static bool is_searched(const struct fnp_segment *segment)
{
	return (segment->flags & PF_X) && segment->file_size <= SEARCH_MAX;
}

/* Functions by name, where their segment was not searched as a whole. */
static int search_named(struct search *s, const struct fnp_object *object)
{
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(object, &segments);
	int r = 0;

	for (size_t i = FNP_NAMED_RAISE_EXCEPTION; r == 0 && i <= FNP_NAMED_RESUME_OR_RETHROW; i++) {
		const struct fnp_object_symbol *symbol = &s->places->named[i];
		bool done = !symbol->is_found || symbol->size == 0 || symbol->size > FUNCTION_MAX;

		for (size_t k = 0; !done && k < n; k++)
			done = is_searched(&segments[k]) && symbol->address >= segments[k].address &&
			       symbol->address - segments[k].address < segments[k].file_size;
		if (!done)
			r = search_at(s, object, symbol->address, symbol->size);
	}
	return r;
}

int fnp_unwind_places_find(const struct fnp_object *object, struct fnp_unwind_places *ret)
{
	fnp_autofree struct rare_pairs *rare = create_rare_pairs();
	struct search s = {.places = ret, .rare = rare};
	const struct fnp_segment *segments;
	size_t n = fnp_object_segments(object, &segments);
	bool is_large = false;
	int r = rare ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (is_searched(&segments[i]))
			r = search_at(&s, object, segments[i].address, segments[i].file_size);
		else
			is_large |= segments[i].flags & PF_X;
	}
	if (r < 0 || !is_large)
		return r;
	fnp_object_find_symbols(object, names, FNP_NAMED_COUNT, ret->named);
	return search_named(&s, object);
}

void fnp_unwind_places_deinit(struct fnp_unwind_places *places)
{
	fnp_vec_deinit(&places->items);
}
