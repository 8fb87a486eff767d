/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source maps (ECMA-426): which line of which source a place of generated JavaScript was made of, and what was called
 * what there. A map is JSON with a text of base-64 numbers; it comes from whoever built the program, and is not believed.
 */
#ifndef FNP_SYMBOLIZER_SOURCE_MAP_H
#define FNP_SYMBOLIZER_SOURCE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"

#define FNP_SOURCE_MAP_MAX (64 << 20) /* bytes of one */

struct fnp_source_map;

/* What a place was made of; texts live as long as the map. */
struct fnp_source_place {
	const char *file; /* as the map says it, after its sourceRoot */
	const char *name; /* what stands there is called so in the source; NULL: the map does not say */
	uint32_t line;	  /* from 1 on */
	uint32_t column;  /* of the generated place that the map has, at or before the one asked for */
};

/* Takes a map apart. -EBADMSG: it is none; -E2BIG, -ENOMEM. Maps of maps (`sections`) are not understood: -EBADMSG. */
int fnp_source_map_parse(const void *bytes, size_t size, struct fnp_source_map **ret);

void fnp_source_map_destroy(struct fnp_source_map *map);
FNP_DEFINE_CLEANUP(fnp_source_map_destroyp, struct fnp_source_map *, fnp_source_map_destroy)

/* Bytes of memory that it takes. */
size_t fnp_source_map_size(const struct fnp_source_map *map);

/* What line and column of the generated text, both from 0 on, were made of. -ENOENT. */
int fnp_source_map_find(const struct fnp_source_map *map, uint32_t line, uint32_t column,
			struct fnp_source_place *ret);

/* The bytes of a text in base 64, owned; ends at the first character that is none. -EBADMSG: nothing. */
int fnp_source_map_base64(const char *text, size_t size, uint8_t **ret, size_t *ret_size);

#endif
