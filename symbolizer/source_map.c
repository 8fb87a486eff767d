/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source maps. The text "mappings" has a group for each generated line (ended by ';'), in it segments (ended by ','), each
 * of one, four or five numbers: distances of the generated column, the source, its line, its column and the name from
 * those before. A number is written in base 64, five bits a character, lowest first, bit 5 for "goes on", and its lowest
 * bit is the sign.
 */
#include "symbolizer/source_map.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/vec.h"

#define SEGMENTS_MAX (8 << 20)
#define NONE UINT32_MAX

struct segment {
	uint32_t line, column; /* generated, from 0 on */
	uint32_t source;       /* NONE: made of nothing */
	uint32_t source_line;
	uint32_t name; /* NONE */
};

struct fnp_source_map {
	json_t *json;
	json_t *names;
	char **files; /* owned */
	size_t n_files;
	FNP_VEC(struct segment) segments; /* in order */
};

void fnp_source_map_destroy(struct fnp_source_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->n_files; i++)
		free(map->files[i]);
	free(map->files);
	fnp_vec_deinit(&map->segments);
	json_decref(map->json);
	free(map);
}

static int digit_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The next number of a text that ends in NUL; it is moved on. -EBADMSG. */
static int read_number(const char **text, int64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift <= 35; shift += 5) {
		int digit = digit_of(**text);

		if (digit < 0)
			return -EBADMSG;
		(*text)++;
		value |= (uint64_t)(digit & 31) << shift;
		if (!(digit & 32)) {
			*ret = value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
			return 0;
		}
	}
	return -EBADMSG;
}

/* What the distances are counted from. */
struct state {
	uint32_t line;
	int64_t column, source, source_line, source_column, name;
};

/* Is this a number that a field can hold? */
static bool fits(int64_t value)
{
	return value >= 0 && value < INT32_MAX;
}

/* One segment, up to its comma, semicolon or the end. */
static int read_segment(const char **text, struct state *state, struct segment *ret)
{
	int64_t *const fields[] = {&state->column, &state->source, &state->source_line, &state->source_column,
				   &state->name};
	size_t n = 0;

	while (**text && **text != ',' && **text != ';') {
		int64_t distance;
		int r = n < FNP_ARRAY_SIZE(fields) ? read_number(text, &distance) : -EBADMSG;

		if (r < 0)
			return r;
		*fields[n] += distance;
		if (!fits(*fields[n++]))
			return -EBADMSG;
	}
	if (n != 1 && n != 4 && n != 5)
		return -EBADMSG;
	*ret = (struct segment){.line = state->line,
				.column = (uint32_t)state->column,
				.source = n > 1 ? (uint32_t)state->source : NONE,
				.source_line = (uint32_t)state->source_line,
				.name = n > 4 ? (uint32_t)state->name : NONE};
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : x->column > y->column;
}

static int read_mappings(const char *text, struct fnp_source_map *map)
{
	struct state state = {0};
	bool in_order = true;

	while (*text) {
		struct segment segment;
		size_t n = map->segments.len;

		if (*text == ';' || *text == ',') {
			state.line += *text == ';';
			state.column = *text == ';' ? 0 : state.column;
			text++;
			continue;
		}
		int r = read_segment(&text, &state, &segment);
		if (r < 0)
			return r;
		if (n >= SEGMENTS_MAX)
			return -E2BIG;
		in_order &= n == 0 || compare(&map->segments.items[n - 1], &segment) <= 0;
		if (fnp_vec_push(&map->segments, segment) < 0)
			return -ENOMEM;
	}
	if (!in_order)
		qsort(map->segments.items, map->segments.len, sizeof(map->segments.items[0]), compare);
	return 0;
}

static int read_files(json_t *sources, const char *root, struct fnp_source_map *map)
{
	size_t n = json_array_size(sources);

	map->files = calloc(n + 1, sizeof(map->files[0]));
	if (!map->files)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++, map->n_files++) {
		const char *file = json_string_value(json_array_get(sources, i)) ?: "";
		bool joins = *root && root[strlen(root) - 1] != '/' && *file;

		if (asprintf(&map->files[i], "%s%s%s", root, joins ? "/" : "", file) < 0) {
			map->files[i] = NULL;
			return -ENOMEM;
		}
	}
	return 0;
}

int fnp_source_map_parse(const void *bytes, size_t size, struct fnp_source_map **ret)
{
	FNP_CLEANUP(fnp_source_map_destroyp) struct fnp_source_map *map = calloc(1, sizeof(*map));
	const char *text = bytes, *mappings;
	json_t *sources;

	if (!map)
		return -ENOMEM;
	if (size > FNP_SOURCE_MAP_MAX)
		return -E2BIG;
	/* A first line that keeps browsers from running it. */
	if (size > 3 && memcmp(text, ")]}", 3) == 0) {
		const char *line = memchr(text, '\n', size);
		size -= line ? (size_t)(line - text) : size;
		text = line ?: text;
	}
	map->json = json_loadb(text, size, 0, NULL);
	mappings = json_string_value(json_object_get(map->json, "mappings"));
	sources = json_object_get(map->json, "sources");
	map->names = json_object_get(map->json, "names");
	if (json_integer_value(json_object_get(map->json, "version")) != 3 || !mappings ||
	    !json_is_array(sources))
		return -EBADMSG;
	int r = read_files(sources, json_string_value(json_object_get(map->json, "sourceRoot")) ?: "", map);
	r = r ?: read_mappings(mappings, map);
	if (r < 0)
		return r;
	/* Texts of sources, and the one that was read, are of no more use. */
	json_object_del(map->json, "sourcesContent");
	json_object_del(map->json, "mappings");
	fnp_vec_shrink(&map->segments);
	*ret = TAKE_PTR(map);
	return 0;
}

size_t fnp_source_map_size(const struct fnp_source_map *map)
{
	return map->segments.len * sizeof(map->segments.items[0]) + 64 * json_array_size(map->names) +
	       64 * map->n_files;
}

int fnp_source_map_find(const struct fnp_source_map *map, uint32_t line, uint32_t column,
			struct fnp_source_place *ret)
{
	const struct segment key = {.line = line, .column = column}, *found;
	size_t low = 0, high = map->segments.len;

	/* The last one that is not behind it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare(&map->segments.items[middle], &key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return -ENOENT;
	found = &map->segments.items[low - 1];
	if (found->line != line || found->source >= map->n_files || !*map->files[found->source])
		return -ENOENT;
	*ret = (struct fnp_source_place){
		.file = map->files[found->source],
		.name = found->name == NONE ? NULL : json_string_value(json_array_get(map->names, found->name)),
		.line = found->source_line + 1,
		.column = found->column};
	return 0;
}

int fnp_source_map_base64(const char *text, size_t size, uint8_t **ret, size_t *ret_size)
{
	fnp_autofree uint8_t *bytes = malloc(size / 4 * 3 + 4);
	uint32_t bits = 0;
	size_t n = 0, i;

	if (!bytes)
		return -ENOMEM;
	for (i = 0; i < size && digit_of(text[i]) >= 0; i++) {
		bits = bits << 6 | (uint32_t)digit_of(text[i]);
		if (i % 4)
			bytes[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	if (n == 0)
		return -EBADMSG;
	*ret = TAKE_PTR(bytes);
	*ret_size = n;
	return 0;
}
