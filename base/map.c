/* SPDX-License-Identifier: Apache-2.0 */
/* Keys are mixed with the finalizer of MurmurHash3, because pids and addresses differ in few bits. */
#include "base/map.h"

#include <errno.h>

static uint64_t mix(uint64_t key)
{
	key ^= key >> 33;
	key *= UINT64_C(0xff51afd7ed558ccd);
	key ^= key >> 33;
	key *= UINT64_C(0xc4ceb9fe1a85ec53);
	return key ^ key >> 33;
}

static struct fnp_map_slot *slot_of(struct fnp_map_slot *slots, size_t cap, uint64_t key)
{
	size_t at = mix(key) & (cap - 1);

	while (slots[at].used && slots[at].key != key)
		at = (at + 1) & (cap - 1);
	return &slots[at];
}

static int grow(struct fnp_map *map)
{
	size_t cap = map->cap ? map->cap * 2 : 16;
	struct fnp_map_slot *slots = calloc(cap, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->cap; i++) {
		if (map->slots[i].used)
			*slot_of(slots, cap, map->slots[i].key) = map->slots[i];
	}
	free(map->slots);
	map->slots = slots;
	map->cap = cap;
	return 0;
}

void fnp_map_deinit(struct fnp_map *map)
{
	free(map->slots);
	*map = (struct fnp_map){0};
}

int fnp_map_set(struct fnp_map *map, uint64_t key, uint64_t value)
{
	struct fnp_map_slot *slot;

	if ((map->len + 1) * 4 > map->cap * 3) {
		int r = grow(map);
		if (r < 0)
			return r;
	}
	slot = slot_of(map->slots, map->cap, key);
	if (!slot->used)
		map->len++;
	*slot = (struct fnp_map_slot){.key = key, .value = value, .used = true};
	return 0;
}

uint64_t *fnp_map_find(const struct fnp_map *map, uint64_t key)
{
	struct fnp_map_slot *slot;

	if (map->len == 0)
		return NULL;
	slot = slot_of(map->slots, map->cap, key);
	return slot->used ? &slot->value : NULL;
}

bool fnp_map_remove(struct fnp_map *map, uint64_t key)
{
	size_t mask = map->cap - 1, hole, at;
	struct fnp_map_slot *slot;

	if (map->len == 0)
		return false;
	slot = slot_of(map->slots, map->cap, key);
	if (!slot->used)
		return false;
	hole = (size_t)(slot - map->slots);
	for (at = (hole + 1) & mask; map->slots[at].used; at = (at + 1) & mask) {
		size_t home = mix(map->slots[at].key) & mask;
		/* An entry may move back into the hole unless its home lies after the hole. */
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			map->slots[hole] = map->slots[at];
			hole = at;
		}
	}
	map->slots[hole].used = false;
	map->len--;
	return true;
}

struct fnp_map_slot *fnp_map_next(const struct fnp_map *map, struct fnp_map_slot *slot)
{
	size_t at = slot ? (size_t)(slot - map->slots) + 1 : 0;

	for (; at < map->cap; at++) {
		if (map->slots[at].used)
			return &map->slots[at];
	}
	return NULL;
}
