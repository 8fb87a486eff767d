/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open-addressing table of entry numbers over a chunked arena. Chunks never move, so pointers handed out stay
 * valid; the table stores number + 1, so that 0 is an empty slot.
 */
#include "base/intern.h"

#include <errno.h>

#include <xxhash.h>

#include "base/vec.h"

#define CHUNK_BYTES (64 * 1024)

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(8) uint8_t data[];
};

struct entry {
	const uint8_t *data;
	uint32_t len;
	uint32_t hash;
};

struct fnp_intern {
	struct chunk *chunks;
	size_t arena_bytes, max_bytes;
	FNP_VEC(struct entry) entries;
	uint32_t *slots; /* entry number + 1, or 0 */
	size_t n_slots;	 /* a power of two */
};

static int rehash(struct fnp_intern *intern, size_t n_slots)
{
	uint32_t *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < intern->entries.len; i++) {
		size_t at = intern->entries.items[i].hash & (n_slots - 1);
		while (slots[at])
			at = (at + 1) & (n_slots - 1);
		slots[at] = (uint32_t)i + 1;
	}
	free(intern->slots);
	intern->slots = slots;
	intern->n_slots = n_slots;
	return 0;
}

int fnp_intern_create(size_t max_bytes, struct fnp_intern **ret)
{
	FNP_CLEANUP(fnp_intern_destroyp) struct fnp_intern *intern = calloc(1, sizeof(*intern));
	int r;

	if (!intern)
		return -ENOMEM;
	intern->max_bytes = max_bytes;
	r = rehash(intern, 256);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(intern);
	return 0;
}

void fnp_intern_destroy(struct fnp_intern *intern)
{
	if (!intern)
		return;
	for (struct chunk *c = intern->chunks; c;) {
		struct chunk *next = c->next;
		free(c);
		c = next;
	}
	fnp_vec_deinit(&intern->entries);
	free(intern->slots);
	free(intern);
}

/* Copies the bytes and a NUL into the arena, 8-byte aligned. */
static int arena_copy(struct fnp_intern *intern, const void *data, size_t len, const uint8_t **ret)
{
	size_t need = (len + 1 + 7) & ~(size_t)7;
	struct chunk *chunk = intern->chunks;

	if (intern->max_bytes && need > intern->max_bytes - FNP_MIN(intern->arena_bytes, intern->max_bytes))
		return -ENOSPC;
	if (!chunk || need > chunk->size - chunk->used) {
		size_t size = FNP_MAX(need, (size_t)CHUNK_BYTES);
		chunk = malloc(sizeof(*chunk) + size);
		if (!chunk)
			return -ENOMEM;
		chunk->used = 0;
		chunk->size = size;
		chunk->next = intern->chunks;
		intern->chunks = chunk;
	}
	uint8_t *p = chunk->data + chunk->used;
	if (len)
		memcpy(p, data, len);
	memset(p + len, 0, need - len);
	chunk->used += need;
	intern->arena_bytes += need;
	*ret = p;
	return 0;
}

int fnp_intern_add(struct fnp_intern *intern, const void *data, size_t len, uint32_t *ret)
{
	uint32_t hash = (uint32_t)XXH3_64bits(data, len);
	size_t mask = intern->n_slots - 1, at = hash & mask;
	const uint8_t *copy;
	int r;

	for (; intern->slots[at]; at = (at + 1) & mask) {
		const struct entry *e = &intern->entries.items[intern->slots[at] - 1];
		if (e->hash == hash && e->len == len && (len == 0 || memcmp(e->data, data, len) == 0)) {
			*ret = intern->slots[at] - 1;
			return 0;
		}
	}
	if (len > UINT32_MAX || intern->entries.len >= UINT32_MAX - 1)
		return -ENOSPC;
	r = fnp_vec_reserve(&intern->entries, intern->entries.len + 1);
	if (r < 0)
		return r;
	if (intern->entries.len * 4 >= intern->n_slots * 3) {
		r = rehash(intern, intern->n_slots * 2);
		if (r < 0)
			return r;
		mask = intern->n_slots - 1;
		for (at = hash & mask; intern->slots[at];)
			at = (at + 1) & mask;
	}
	r = arena_copy(intern, data, len, &copy);
	if (r < 0)
		return r;
	intern->entries.items[intern->entries.len] = (struct entry){
		.data = copy, .len = (uint32_t)len, .hash = hash};
	intern->slots[at] = (uint32_t)++intern->entries.len;
	*ret = (uint32_t)intern->entries.len - 1;
	return 0;
}

const void *fnp_intern_get(const struct fnp_intern *intern, uint32_t id, size_t *ret_len)
{
	*ret_len = intern->entries.items[id].len;
	return intern->entries.items[id].data;
}

uint32_t fnp_intern_count(const struct fnp_intern *intern)
{
	return (uint32_t)intern->entries.len;
}

size_t fnp_intern_bytes(const struct fnp_intern *intern)
{
	return intern->arena_bytes + intern->entries.cap * sizeof(struct entry) +
	       intern->n_slots * sizeof(uint32_t);
}
