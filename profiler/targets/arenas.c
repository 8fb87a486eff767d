/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/targets/arenas.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/vec.h"

struct hole {
	uint32_t first, n;
};

struct arena {
	int fd; /* -1: plain memory */
	uint32_t lines;
	struct fnp_block *mapped;   /* NULL: not at present */
	FNP_VEC(struct hole) holes; /* ascending, never touching each other */
};

struct fnp_arenas {
	int map_fd;
	size_t max_bytes, bytes;
	struct arena items[FNP_ARENAS_MAX];
	struct fnp_walk_arena views[FNP_ARENAS_MAX];
	uint32_t n;
};

static size_t bytes_of(const struct arena *arena)
{
	return (size_t)arena->lines * FNP_BLOCK_BYTES;
}

static void unmap(struct arena *arena)
{
	if (arena->fd >= 0 && arena->mapped) {
		munmap(arena->mapped, bytes_of(arena));
		arena->mapped = NULL;
	}
}

static int map(struct arena *arena)
{
	void *p;

	if (arena->mapped)
		return 0;
	p = mmap(NULL, bytes_of(arena), PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	arena->mapped = p;
	return 0;
}

static void arena_deinit(struct arena *arena)
{
	if (arena->fd < 0)
		free(arena->mapped);
	else
		unmap(arena);
	fnp_closep(&arena->fd);
	fnp_vec_deinit(&arena->holes);
}

void fnp_arenas_destroy(struct fnp_arenas *arenas)
{
	if (!arenas)
		return;
	for (uint32_t i = 0; i < arenas->n; i++)
		arena_deinit(&arenas->items[i]);
	free(arenas);
}

static int make_memory(const struct fnp_arenas *arenas, struct arena *arena)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	uint32_t index = arenas->n;

	if (arenas->map_fd < 0) {
		arena->mapped = aligned_alloc(FNP_BLOCK_BYTES, bytes_of(arena));
		return arena->mapped ? 0 : -ENOMEM;
	}
	arena->fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fnp_arena", sizeof(uint32_t), FNP_BLOCK_BYTES,
				   arena->lines, &options);
	if (arena->fd < 0)
		return -errno;
	return bpf_map_update_elem(arenas->map_fd, &index, &arena->fd, BPF_ANY) < 0 ? -errno : 0;
}

static int add_arena(struct fnp_arenas *arenas, size_t n_lines)
{
	struct arena arena = {.fd = -1, .lines = FNP_ARENA_BYTES / FNP_BLOCK_BYTES};
	struct hole all;
	int r;

	if (n_lines > UINT32_MAX / FNP_BLOCK_BYTES)
		return -ENOSPC;
	arena.lines = FNP_MAX(arena.lines, (uint32_t)n_lines);
	if (arenas->n == FNP_ARENAS_MAX || bytes_of(&arena) > arenas->max_bytes - arenas->bytes)
		return -ENOSPC;
	all = (struct hole){.first = 0, .n = arena.lines};
	r = fnp_vec_push(&arena.holes, all);
	if (r == 0)
		r = make_memory(arenas, &arena);
	if (r < 0) {
		arena_deinit(&arena);
		return r;
	}
	arenas->items[arenas->n++] = arena;
	arenas->bytes += bytes_of(&arena);
	return 0;
}

int fnp_arenas_create(int map_fd, size_t max_bytes, struct fnp_arenas **ret)
{
	struct fnp_arenas *arenas = calloc(1, sizeof(*arenas));

	if (!arenas)
		return -ENOMEM;
	arenas->map_fd = map_fd;
	arenas->max_bytes = max_bytes;
	/* To show a new one to the kernel side takes a grace period, 10 ms in which a short program comes and goes. */
	if (map_fd >= 0 && add_arena(arenas, 1) < 0)
		fnp_debug("the first arena comes later");
	*ret = arenas;
	return 0;
}

/* The first hole that is large enough; it shrinks from its front. */
static bool take(struct fnp_arenas *arenas, size_t n, uint32_t *ret_arena, uint32_t *ret_first)
{
	for (uint32_t a = 0; a < arenas->n; a++) {
		struct arena *arena = &arenas->items[a];

		for (size_t i = 0; i < arena->holes.len; i++) {
			struct hole *hole = &arena->holes.items[i];

			if (hole->n < n)
				continue;
			*ret_arena = a;
			*ret_first = hole->first;
			hole->first += (uint32_t)n;
			hole->n -= (uint32_t)n;
			if (hole->n == 0) {
				memmove(hole, hole + 1, (arena->holes.len - i - 1) * sizeof(*hole));
				arena->holes.len--;
			}
			return true;
		}
	}
	return false;
}

int fnp_arenas_store(struct fnp_arenas *arenas, const struct fnp_block *lines, size_t n, uint32_t *ret_arena,
		     uint32_t *ret_first)
{
	uint32_t arena, first;
	int r;

	if (!take(arenas, n, &arena, &first)) {
		r = add_arena(arenas, n);
		if (r < 0)
			return r;
		if (!take(arenas, n, &arena, &first))
			return -ENOSPC;
	}
	r = map(&arenas->items[arena]);
	if (r < 0) {
		fnp_arenas_free(arenas, arena, first, n);
		return r;
	}
	memcpy(arenas->items[arena].mapped + first, lines, n * FNP_BLOCK_BYTES);
	unmap(&arenas->items[arena]);
	*ret_arena = arena;
	*ret_first = first;
	return 0;
}

void fnp_arenas_free(struct fnp_arenas *arenas, uint32_t index, uint32_t first, size_t n)
{
	struct arena *arena = &arenas->items[index];
	struct hole hole = {.first = first, .n = (uint32_t)n}, *at;
	size_t i = 0;

	while (i < arena->holes.len && arena->holes.items[i].first < first)
		i++;
	if (fnp_vec_push(&arena->holes, hole) < 0)
		return; /* the lines stay unused until the end: no harm */
	at = &arena->holes.items[i];
	memmove(at + 1, at, (arena->holes.len - i - 1) * sizeof(*at));
	*at = hole;
	if (i + 1 < arena->holes.len && at->first + at->n == at[1].first) {
		at->n += at[1].n;
		memmove(at + 1, at + 2, (arena->holes.len - i - 2) * sizeof(*at));
		arena->holes.len--;
	}
	if (i > 0 && at[-1].first + at[-1].n == at->first) {
		at[-1].n += at->n;
		memmove(at, at + 1, (arena->holes.len - i - 1) * sizeof(*at));
		arena->holes.len--;
	}
}

int fnp_arenas_map(struct fnp_arenas *arenas, const struct fnp_walk_arena **ret, size_t *ret_n)
{
	for (uint32_t i = 0; i < arenas->n; i++) {
		int r = map(&arenas->items[i]);
		if (r < 0)
			return r;
		arenas->views[i] = (struct fnp_walk_arena){.blocks = arenas->items[i].mapped,
							   .n = arenas->items[i].lines};
	}
	*ret = arenas->views;
	*ret_n = arenas->n;
	return 0;
}

void fnp_arenas_unmap(struct fnp_arenas *arenas)
{
	for (uint32_t i = 0; i < arenas->n; i++)
		unmap(&arenas->items[i]);
}

size_t fnp_arenas_bytes(const struct fnp_arenas *arenas)
{
	return arenas->bytes;
}
