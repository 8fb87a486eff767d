/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing run of bytes to write into, in the caller's storage; all zero is empty.
 *
 * Errors are sticky: after a failed growth every append is ignored, and `error` keeps -ENOMEM, so an encoder
 * checks once, at its end.
 */
#ifndef FNP_BASE_BUFFER_H
#define FNP_BASE_BUFFER_H

#include "base/memory.h"

struct fnp_buffer {
	uint8_t *data;
	size_t len, cap;
	int error; /* 0 or -ENOMEM */
};

void fnp_buffer_deinit(struct fnp_buffer *b);

/* Room for `more` further bytes: a pointer to write them to (then add to len), or NULL. */
uint8_t *fnp_buffer_room(struct fnp_buffer *b, size_t more);

void fnp_buffer_append(struct fnp_buffer *b, const void *data, size_t len);
void fnp_buffer_printf(struct fnp_buffer *b, const char *fmt, ...) FNP_PRINTF(2, 3);

static inline void fnp_buffer_text(struct fnp_buffer *b, const char *text)
{
	fnp_buffer_append(b, text, strlen(text));
}

static inline void fnp_buffer_byte(struct fnp_buffer *b, uint8_t byte)
{
	uint8_t *p = b->len < b->cap ? b->data + b->len : fnp_buffer_room(b, 1);
	if (p) {
		*p = byte;
		b->len++;
	}
}

#define fnp_autobuffer FNP_CLEANUP(fnp_buffer_deinit)

#endif
