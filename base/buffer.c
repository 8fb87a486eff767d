/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>

void fnp_buffer_deinit(struct fnp_buffer *b)
{
	free(b->data);
	*b = (struct fnp_buffer){0};
}

uint8_t *fnp_buffer_room(struct fnp_buffer *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 256;
	uint8_t *data;

	if (b->error)
		return NULL;
	/* Also for no bytes at all: NULL means that there is no memory. */
	if (b->data && more <= b->cap - b->len)
		return b->data + b->len;
	while (more > cap - b->len) {
		if (cap > SIZE_MAX / 2) {
			b->error = -ENOMEM;
			return NULL;
		}
		cap *= 2;
	}
	data = realloc(b->data, cap);
	if (!data) {
		b->error = -ENOMEM;
		return NULL;
	}
	b->data = data;
	b->cap = cap;
	return data + b->len;
}

void fnp_buffer_append(struct fnp_buffer *b, const void *data, size_t len)
{
	uint8_t *p = len ? fnp_buffer_room(b, len) : NULL;

	if (!p)
		return;
	memcpy(p, data, len);
	b->len += len;
}

void fnp_buffer_printf(struct fnp_buffer *b, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0 || !fnp_buffer_room(b, (size_t)n + 1))
		return;
	va_start(args, fmt);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, args);
	va_end(args);
	b->len += (size_t)n;
}
