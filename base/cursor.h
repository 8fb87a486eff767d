/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds-checked reading of bytes that nobody vouches for: ELF, DWARF, perf maps, HTTP heads, ring records.
 *
 * A cursor is a view: it owns nothing. Each read either succeeds and moves on, or returns -EBADMSG and leaves
 * the cursor and the result untouched. Numbers are little-endian. Checks have the form `x > left`, never a sum.
 */
#ifndef FNP_BASE_CURSOR_H
#define FNP_BASE_CURSOR_H

#include <errno.h>
#include <stdbool.h>

#include "base/memory.h"

struct fnp_cursor {
	const uint8_t *pos;
	const uint8_t *end;   /* one past the last readable byte */
	const uint8_t *start; /* for offsets in messages */
};

static inline struct fnp_cursor fnp_cursor_of(const void *data, size_t size)
{
	const uint8_t *p = data;
	/* A view of nothing may be NULL, to which not even 0 may be added. */
	return (struct fnp_cursor){.pos = p, .end = size ? p + size : p, .start = p};
}

static inline size_t fnp_cursor_left(const struct fnp_cursor *c)
{
	return (size_t)(c->end - c->pos);
}

static inline size_t fnp_cursor_offset(const struct fnp_cursor *c)
{
	return (size_t)(c->pos - c->start);
}

static inline int fnp_cursor_skip(struct fnp_cursor *c, uint64_t n)
{
	if (n > fnp_cursor_left(c))
		return -EBADMSG;
	c->pos = n ? c->pos + n : c->pos;
	return 0;
}

/* Moves to an absolute offset from the start; the end itself is allowed. */
static inline int fnp_cursor_seek(struct fnp_cursor *c, uint64_t offset)
{
	if (offset > (uint64_t)(c->end - c->start))
		return -EBADMSG;
	c->pos = offset ? c->start + offset : c->start;
	return 0;
}

/* A pointer to the next n bytes, which are then consumed; not aligned. */
static inline int fnp_cursor_bytes(struct fnp_cursor *c, uint64_t n, const uint8_t **ret)
{
	if (n > fnp_cursor_left(c))
		return -EBADMSG;
	*ret = c->pos;
	c->pos = n ? c->pos + n : c->pos;
	return 0;
}

/* A cursor over the next n bytes, which are then consumed here. */
static inline int fnp_cursor_sub(struct fnp_cursor *c, uint64_t n, struct fnp_cursor *ret)
{
	const uint8_t *p;
	int r = fnp_cursor_bytes(c, n, &p);

	if (r == 0)
		*ret = fnp_cursor_of(p, n);
	return r;
}

static inline int fnp_cursor_copy(struct fnp_cursor *c, void *ret, uint64_t n)
{
	const uint8_t *p;
	int r = fnp_cursor_bytes(c, n, &p);

	if (r == 0)
		memcpy(ret, p, n);
	return r;
}

static inline int fnp_cursor_u8(struct fnp_cursor *c, uint8_t *ret)
{
	return fnp_cursor_copy(c, ret, sizeof(*ret));
}

static inline int fnp_cursor_u16(struct fnp_cursor *c, uint16_t *ret)
{
	return fnp_cursor_copy(c, ret, sizeof(*ret));
}

static inline int fnp_cursor_u32(struct fnp_cursor *c, uint32_t *ret)
{
	return fnp_cursor_copy(c, ret, sizeof(*ret));
}

static inline int fnp_cursor_u64(struct fnp_cursor *c, uint64_t *ret)
{
	return fnp_cursor_copy(c, ret, sizeof(*ret));
}

/* LEB128 numbers (DWARF 5, 7.6); a value that does not fit 64 bits is an error. */
int fnp_cursor_uleb128(struct fnp_cursor *c, uint64_t *ret);
int fnp_cursor_sleb128(struct fnp_cursor *c, int64_t *ret);

/* A NUL-terminated string inside the view; `ret` points into it. Without a NUL: -EBADMSG. */
int fnp_cursor_string(struct fnp_cursor *c, const char **ret);

#endif
