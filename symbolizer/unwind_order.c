/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries in the order of their addresses.
 */
#include "symbolizer/unwind_cfi.h"

static int by_start(const void *a, const void *b)
{
	const struct fnp_cfi_fde *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->instructions < y->instructions ? -1 : x->instructions > y->instructions;
}

struct order {
	uint32_t start, index;
};

#define RADIX_BITS 11
#define RADIX (1U << RADIX_BITS)
#define RADIX_MIN 1024 /* fewer are sorted as fast by comparison */

/* One digit: stable, from `from` to `to`. */
static void sort_digit(const struct order *from, struct order *to, size_t n, unsigned int shift)
{
	uint32_t places[RADIX] = {0}, place = 0;

	for (size_t i = 0; i < n; i++)
		places[from[i].start >> shift & (RADIX - 1)]++;
	for (size_t i = 0; i < RADIX; i++) {
		uint32_t count = places[i];

		places[i] = place;
		place += count;
	}
	for (size_t i = 0; i < n; i++)
		to[places[from[i].start >> shift & (RADIX - 1)]++] = from[i];
}

/*
 * By start, digit by digit: large libraries have a hundred thousand entries in the order in which their parts were linked, and
 * comparing them takes longer than running them. False when their starts lie too far apart, or there is no memory.
 */
static bool sort_by_digits(struct fnp_cfi *cfi)
{
	size_t n = cfi->fdes.len;
	uint64_t low = UINT64_MAX, high = 0;
	fnp_autofree struct order *order = NULL;
	fnp_autofree struct fnp_cfi_fde *unsorted = NULL;
	struct order *from, *to;

	for (size_t i = 0; i < n; i++) {
		low = FNP_MIN(low, cfi->fdes.items[i].start);
		high = FNP_MAX(high, cfi->fdes.items[i].start);
	}
	if (n < RADIX_MIN || n > UINT32_MAX || high - low > UINT32_MAX)
		return false;
	order = malloc(2 * n * sizeof(*order));
	unsorted = malloc(n * sizeof(*unsorted));
	if (!order || !unsorted)
		return false;
	from = order;
	to = order + n;
	for (size_t i = 0; i < n; i++)
		from[i] = (struct order){(uint32_t)(cfi->fdes.items[i].start - low), (uint32_t)i};
	for (unsigned int shift = 0; shift < 32 && (high - low) >> shift > 0; shift += RADIX_BITS) {
		struct order *last = from;

		sort_digit(from, to, n, shift);
		from = to;
		to = last;
	}
	memcpy(unsorted, cfi->fdes.items, n * sizeof(*unsorted));
	for (size_t i = 0; i < n; i++)
		cfi->fdes.items[i] = unsorted[from[i].index];
	return true;
}

void fnp_cfi_sort(struct fnp_cfi *cfi)
{
	if (cfi->fdes.len > 1 && !sort_by_digits(cfi))
		qsort(cfi->fdes.items, cfi->fdes.len, sizeof(cfi->fdes.items[0]), by_start);
}
