/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable array of any type, in the caller's storage.
 *
 *	FNP_VEC(struct row) rows = {0};
 *	if (fnp_vec_push(&rows, row) < 0) ...
 *	for (size_t i = 0; i < rows.len; i++) use(&rows.items[i]);
 *	fnp_vec_deinit(&rows);
 *
 * All zero is a valid empty vector. A failed growth leaves the vector as it was.
 */
#ifndef FNP_BASE_VEC_H
#define FNP_BASE_VEC_H

#include <errno.h>

#include "base/memory.h"

#define FNP_VEC(type)                                                                                        \
	struct {                                                                                             \
		type *items;                                                                                 \
		size_t len;                                                                                  \
		size_t cap;                                                                                  \
	}

/* Room for `want` items in all, doubling; 0 or -ENOMEM. Use through the macros. */
int fnp_vec_grow(void **items, size_t *cap, size_t want, size_t item_size);

#define fnp_vec_reserve(v, want)                                                                             \
	((want) <= (v)->cap ? 0                                                                              \
			    : fnp_vec_grow((void **)&(v)->items, &(v)->cap, (want), sizeof((v)->items[0])))

#define fnp_vec_push(v, ...)                                                                                 \
	({                                                                                                   \
		int r_ = fnp_vec_reserve(v, (v)->len + 1);                                                   \
		if (r_ == 0)                                                                                 \
			(v)->items[(v)->len++] = (__VA_ARGS__);                                              \
		r_;                                                                                          \
	})

#define fnp_vec_append(v, src, n)                                                                            \
	({                                                                                                   \
		size_t n_ = (n);                                                                             \
		int r_ = fnp_vec_reserve(v, (v)->len + n_);                                                  \
		if (r_ == 0 && n_ > 0) {                                                                     \
			memcpy((v)->items + (v)->len, (src), n_ * sizeof((v)->items[0]));                    \
			(v)->len += n_;                                                                      \
		}                                                                                            \
		r_;                                                                                          \
	})

/* Gives back what a finished vector holds in reserve. */
#define fnp_vec_shrink(v)                                                                                    \
	do {                                                                                                 \
		void *less_ = (v)->len ? realloc((v)->items, (v)->len * sizeof((v)->items[0])) : NULL;       \
		if (less_) {                                                                                 \
			(v)->items = less_;                                                                  \
			(v)->cap = (v)->len;                                                                 \
		}                                                                                            \
	} while (0)

#define fnp_vec_deinit(v)                                                                                    \
	do {                                                                                                 \
		free((v)->items);                                                                            \
		(v)->items = NULL;                                                                           \
		(v)->len = (v)->cap = 0;                                                                     \
	} while (0)

#endif
