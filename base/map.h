/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map from a 64-bit key to a 64-bit value (a number, or a pointer that the caller owns).
 *
 * Linear probing with back-shift deletion; no tombstones, so a table that is filled and emptied for days stays
 * quick. Key and value may be anything. All zero is a valid empty map.
 */
#ifndef FNP_BASE_MAP_H
#define FNP_BASE_MAP_H

#include <stdbool.h>

#include "base/memory.h"

struct fnp_map_slot {
	uint64_t key, value;
	bool used;
};

struct fnp_map {
	struct fnp_map_slot *slots;
	size_t len; /* entries */
	size_t cap; /* slots, a power of two or 0 */
};

void fnp_map_deinit(struct fnp_map *map);

/* Sets or replaces; 0 or -ENOMEM (then nothing changed). */
int fnp_map_set(struct fnp_map *map, uint64_t key, uint64_t value);

/* NULL when the key is unknown; the pointer is valid until the next set or remove. */
uint64_t *fnp_map_find(const struct fnp_map *map, uint64_t key);

/* True when the key was there. */
bool fnp_map_remove(struct fnp_map *map, uint64_t key);

static inline void *fnp_map_find_ptr(const struct fnp_map *map, uint64_t key)
{
	uint64_t *value = fnp_map_find(map, key);
	return value ? (void *)(uintptr_t)*value : NULL;
}

static inline int fnp_map_set_ptr(struct fnp_map *map, uint64_t key, void *value)
{
	return fnp_map_set(map, key, (uint64_t)(uintptr_t)value);
}

/* for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&map, s));) -- do not set or remove meanwhile. */
struct fnp_map_slot *fnp_map_next(const struct fnp_map *map, struct fnp_map_slot *slot);

#endif
