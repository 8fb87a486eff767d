/* SPDX-License-Identifier: Apache-2.0 */
/* The one growth policy of all vectors: doubling, with the overflow checked. */
#include "base/vec.h"

int fnp_vec_grow(void **items, size_t *cap, size_t want, size_t item_size)
{
	size_t new_cap = *cap ? *cap : 8;
	size_t bytes;
	void *grown;

	while (new_cap < want) {
		if (new_cap > SIZE_MAX / 2)
			return -ENOMEM;
		new_cap *= 2;
	}
	if (__builtin_mul_overflow(new_cap, item_size, &bytes))
		return -ENOMEM;
	grown = realloc(*items, bytes);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*cap = new_cap;
	return 0;
}
