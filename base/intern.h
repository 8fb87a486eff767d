/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interning: equal byte strings get one small number, 0, 1, 2, ... in the order of their first appearance.
 *
 * Used for strings, and for stacks (arrays of fixed-width ids seen as bytes). Bytes are kept in an arena that is
 * freed as a whole: a table is an epoch. Pointers handed out stay valid until destroy. Not thread safe.
 */
#ifndef FNP_BASE_INTERN_H
#define FNP_BASE_INTERN_H

#include "base/memory.h"

struct fnp_intern;

/* `max_bytes` bounds the arena (0: no bound); past it new strings are refused with -ENOSPC. */
int fnp_intern_create(size_t max_bytes, struct fnp_intern **ret);
void fnp_intern_destroy(struct fnp_intern *intern);

/* The number of these bytes; new ones are copied. `data` needs no alignment. -ENOMEM, -ENOSPC. */
int fnp_intern_add(struct fnp_intern *intern, const void *data, size_t len, uint32_t *ret);

/* The bytes of a number (8-byte aligned, a NUL stands after them). The number must have been handed out. */
const void *fnp_intern_get(const struct fnp_intern *intern, uint32_t id, size_t *ret_len);

uint32_t fnp_intern_count(const struct fnp_intern *intern);

/* Memory held, arena and table together. */
size_t fnp_intern_bytes(const struct fnp_intern *intern);

FNP_DEFINE_CLEANUP(fnp_intern_destroyp, struct fnp_intern *, fnp_intern_destroy)

static inline int fnp_intern_text(struct fnp_intern *intern, const char *text, uint32_t *ret)
{
	return fnp_intern_add(intern, text, strlen(text), ret);
}

static inline const char *fnp_intern_get_text(const struct fnp_intern *intern, uint32_t id)
{
	size_t len;
	return fnp_intern_get(intern, id, &len);
}

#endif
