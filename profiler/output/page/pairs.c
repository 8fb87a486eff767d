/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing; nothing is ever removed. */
#include "profiler/output/page/pairs.h"

void fnp_pairs_deinit(struct fnp_pairs *pairs)
{
	fnp_vec_deinit(&pairs->items);
	free(pairs->slots);
	*pairs = (struct fnp_pairs){0};
}

/* Multiplication by an odd constant, then the high bits folded down (the finalizer of MurmurHash3). */
static size_t hash(struct fnp_pair pair)
{
	uint64_t h = ((uint64_t)pair.a << 32 | pair.b) * UINT64_C(0xff51afd7ed558ccd);

	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	return (size_t)(h ^ h >> 33);
}

static int grow(struct fnp_pairs *pairs)
{
	size_t n = pairs->n_slots ? pairs->n_slots * 2 : 1024;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < pairs->items.len; i++) {
		size_t at = hash(pairs->items.items[i]) & (n - 1);
		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = (uint32_t)i + 1;
	}
	free(pairs->slots);
	pairs->slots = slots;
	pairs->n_slots = n;
	return 0;
}

/* The slot that holds the pair, or the empty one where it would stand. There is always an empty one. */
static size_t slot_of(const struct fnp_pairs *pairs, struct fnp_pair pair)
{
	size_t at = hash(pair) & (pairs->n_slots - 1);

	while (pairs->slots[at]) {
		const struct fnp_pair *p = &pairs->items.items[pairs->slots[at] - 1];
		if (p->a == pair.a && p->b == pair.b)
			break;
		at = (at + 1) & (pairs->n_slots - 1);
	}
	return at;
}

int fnp_pairs_find(const struct fnp_pairs *pairs, struct fnp_pair pair, uint32_t *ret)
{
	if (pairs->n_slots == 0)
		return -ENOENT;
	uint32_t number = pairs->slots[slot_of(pairs, pair)];
	if (number == 0)
		return -ENOENT;
	*ret = number - 1;
	return 0;
}

int fnp_pairs_add(struct fnp_pairs *pairs, struct fnp_pair pair, size_t max, uint32_t *ret)
{
	int r = fnp_pairs_find(pairs, pair, ret);

	if (r == 0)
		return 0;
	if (pairs->items.len >= max)
		return -ENOSPC;
	if ((pairs->items.len + 1) * 4 > pairs->n_slots * 3) {
		r = grow(pairs);
		if (r < 0)
			return r;
	}
	r = fnp_vec_push(&pairs->items, pair);
	if (r < 0)
		return r;
	pairs->slots[slot_of(pairs, pair)] = (uint32_t)pairs->items.len;
	*ret = (uint32_t)pairs->items.len - 1;
	return 0;
}
