/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two arrays that the kernel side maps, too; what it must not see (users, hashes) stands beside them.
 */
#include "profiler/targets/space_pool.h"

#include <errno.h>
#include <sys/mman.h>

#include <xxhash.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#define REUSE_AFTER_NS FNP_NS_PER_S

/* A space in use, or waiting to be used again. */
struct space {
	uint32_t users;
	uint32_t first, count; /* of its code ranges */
	uint64_t hash;
	uint64_t free_since_ns;
};

struct fnp_space_pool {
	struct fnp_tables *tables;
	struct fnp_space *shown; /* as the kernel side sees them */
	struct fnp_code_range *ranges;
	struct space items[FNP_SPACES_MAX];
	uint32_t n_items; /* ever used */
	uint32_t version;
	struct fnp_code_room room; /* in `ranges` */
	struct fnp_map by_hash;	   /* hash -> space */
};

static void *map_array(int fd, size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
		    fd, 0);
}

static void unmap_array(void *p, size_t bytes)
{
	if (p && p != MAP_FAILED)
		munmap(p, bytes);
}

int fnp_space_pool_create(int spaces_fd, int ranges_fd, struct fnp_tables *tables, struct fnp_space_pool **ret)
{
	FNP_CLEANUP(fnp_space_pool_destroyp) struct fnp_space_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->tables = tables;
	pool->room.size = FNP_CODE_RANGES_MAX;
	pool->shown = map_array(spaces_fd, FNP_SPACES_MAX * sizeof(*pool->shown));
	pool->ranges = map_array(ranges_fd, FNP_CODE_RANGES_MAX * sizeof(*pool->ranges));
	if (pool->shown == MAP_FAILED || pool->ranges == MAP_FAILED)
		return fnp_error(-errno, "cannot map the maps of code ranges: %s", strerror(errno));
	*ret = TAKE_PTR(pool);
	return 0;
}

void fnp_space_pool_destroy(struct fnp_space_pool *pool)
{
	if (!pool)
		return;
	fnp_map_deinit(&pool->by_hash);
	fnp_code_room_deinit(&pool->room);
	unmap_array(pool->shown, FNP_SPACES_MAX * sizeof(*pool->shown));
	unmap_array(pool->ranges, FNP_CODE_RANGES_MAX * sizeof(*pool->ranges));
	free(pool);
}

/* The index of a space that nobody uses; UINT32_MAX. */
static uint32_t free_space(struct fnp_space_pool *pool)
{
	uint64_t now_ns = fnp_clock_ns();

	for (uint32_t i = 0; i < pool->n_items; i++) {
		if (pool->items[i].users == 0 && now_ns - pool->items[i].free_since_ns >= REUSE_AFTER_NS)
			return i;
	}
	return pool->n_items < FNP_SPACES_MAX ? pool->n_items++ : UINT32_MAX;
}

static int make_space(struct fnp_space_pool *pool, const fnp_code_range_vec *ranges,
		      const struct fnp_space_words *words, uint64_t hash, uint32_t *ret)
{
	uint32_t index, first = 0, count = (uint32_t)ranges->len;
	struct fnp_space *shown;
	int r = fnp_code_room_take(&pool->room, count, &first);

	if (r < 0)
		return r;
	index = free_space(pool);
	if (index == UINT32_MAX) {
		fnp_code_room_give(&pool->room, first, count);
		return -ENOSPC;
	}
	if (count)
		memcpy(&pool->ranges[first], ranges->items, count * sizeof(ranges->items[0]));
	pool->items[index] = (struct space){.users = 1, .first = first, .count = count, .hash = hash};
	shown = &pool->shown[index];
	shown->first = first;
	shown->count = count;
	memcpy(shown->runtime, words->runtime, sizeof(shown->runtime));
	pool->version += pool->version == UINT32_MAX ? 2 : 1; /* 0 is nobody's */
	__atomic_store_n(&shown->version, pool->version, __ATOMIC_RELEASE);
	if (fnp_map_set(&pool->by_hash, hash, index) < 0)
		fnp_warning_once("no memory: address spaces are not shared");
	*ret = index;
	return 0;
}

int fnp_space_pool_take(struct fnp_space_pool *pool, fnp_code_range_vec *ranges,
			const struct fnp_space_words *words, uint32_t *ret)
{
	uint64_t hash = XXH3_64bits_withSeed(ranges->items, ranges->len * sizeof(ranges->items[0]),
					     XXH3_64bits(words, sizeof(*words)));
	const uint64_t *known = fnp_map_find(&pool->by_hash, hash);
	int r;

	if (known && fnp_space_pool_is(pool, (uint32_t)*known, ranges, words)) {
		*ret = (uint32_t)*known;
		fnp_space_pool_hold(pool, *ret);
		fnp_space_pool_drop(pool, ranges);
		return 0;
	}
	r = make_space(pool, ranges, words, hash, ret);
	if (r == 0)
		ranges->len = 0;
	return r;
}

void fnp_space_pool_hold(struct fnp_space_pool *pool, uint32_t index)
{
	pool->items[index].users++;
}

void fnp_space_pool_give(struct fnp_space_pool *pool, uint32_t index)
{
	struct space *space = &pool->items[index];
	const uint64_t *known;

	if (--space->users > 0)
		return;
	__atomic_store_n(&pool->shown[index].version, 0, __ATOMIC_RELEASE);
	known = fnp_map_find(&pool->by_hash, space->hash);
	if (known && *known == index)
		fnp_map_remove(&pool->by_hash, space->hash);
	for (uint32_t i = 0; i < space->count; i++)
		fnp_tables_release(pool->tables, pool->ranges[space->first + i].object);
	fnp_code_room_give(&pool->room, space->first, space->count);
	space->free_since_ns = fnp_clock_ns();
}

bool fnp_space_pool_has_words(const struct fnp_space_pool *pool, uint32_t index,
			      const struct fnp_space_words *words)
{
	return memcmp(pool->shown[index].runtime, words->runtime, sizeof(words->runtime)) == 0;
}

bool fnp_space_pool_is(const struct fnp_space_pool *pool, uint32_t index, const fnp_code_range_vec *ranges,
		       const struct fnp_space_words *words)
{
	const struct space *space = &pool->items[index];

	return space->users > 0 && space->count == ranges->len &&
	       (ranges->len == 0 || memcmp(&pool->ranges[space->first], ranges->items,
					   ranges->len * sizeof(ranges->items[0])) == 0) &&
	       fnp_space_pool_has_words(pool, index, words);
}

const struct fnp_code_range *fnp_space_pool_ranges(const struct fnp_space_pool *pool, uint32_t index,
						   uint32_t *ret_count)
{
	*ret_count = pool->items[index].count;
	return &pool->ranges[pool->items[index].first];
}

uint32_t fnp_space_pool_version(const struct fnp_space_pool *pool, uint32_t index)
{
	return pool->shown[index].version;
}

void fnp_space_pool_drop(struct fnp_space_pool *pool, fnp_code_range_vec *ranges)
{
	for (size_t i = 0; i < ranges->len; i++)
		fnp_tables_release(pool->tables, ranges->items[i].object);
	ranges->len = 0;
}
