/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled unwind tables on disk, by build id and what they were compiled from. */
#ifndef FNP_SYMBOLIZER_UNWIND_CACHE_H
#define FNP_SYMBOLIZER_UNWIND_CACHE_H

#include "symbolizer/disk_cache.h"
#include "symbolizer/unwind.h"

/*
 * fnp_unwind_build(), which keeps its result in `cache` (or NULL) when it took a while, and finds it there the next
 * time. Objects without a build id are always compiled.
 */
int fnp_unwind_build_cached(const struct fnp_object *object, struct fnp_disk_cache *cache,
			    struct fnp_unwind **ret);

/* What is kept of a table; and a table from such bytes: -EBADMSG unless every number in them can be true. */
int fnp_unwind_pack(const struct fnp_unwind *unwind, struct fnp_buffer *ret);
int fnp_unwind_unpack(const void *data, size_t size, struct fnp_unwind **ret);

#endif
