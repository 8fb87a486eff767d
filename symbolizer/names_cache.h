/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolved addresses of an object as bytes, for the disk cache: each address with its chain of functions, innermost
 * first, and their strings.
 */
#ifndef FNP_SYMBOLIZER_NAMES_CACHE_H
#define FNP_SYMBOLIZER_NAMES_CACHE_H

#include "base/buffer.h"
#include "base/map.h"
#include "base/vec.h"
#include "symbolizer/symbolize.h"

typedef FNP_VEC(struct fnp_symbol) fnp_symbol_vec;

/* `chains`: address -> first frame << 16 | number of frames. 0 or -ENOMEM. */
int fnp_names_pack(const struct fnp_map *chains, const fnp_symbol_vec *frames, struct fnp_buffer *ret);

/*
 * Adds what such bytes say to both; the strings of the frames lie in `data`, which must stay. -EBADMSG, and nothing
 * added, unless every number in them can be true.
 */
int fnp_names_unpack(const void *data, size_t size, struct fnp_map *chains, fnp_symbol_vec *frames);

#endif
