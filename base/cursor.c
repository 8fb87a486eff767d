/* SPDX-License-Identifier: Apache-2.0 */
/* The variable-length reads of the cursor; the fixed ones are inline in the header. */
#include "base/cursor.h"

int fnp_cursor_uleb128(struct fnp_cursor *c, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned int shift = 0;

	for (const uint8_t *p = c->pos; p < c->end; p++) {
		uint64_t bits = *p & 0x7f;

		if (shift >= 64 ? bits != 0 : (bits << shift) >> shift != bits)
			return -EBADMSG;
		if (shift < 64)
			value |= bits << shift;
		if (!(*p & 0x80)) {
			c->pos = p + 1;
			*ret = value;
			return 0;
		}
		if (shift < 64)
			shift += 7;
	}
	return -EBADMSG;
}

int fnp_cursor_sleb128(struct fnp_cursor *c, int64_t *ret)
{
	uint64_t value = 0;
	unsigned int shift = 0;

	for (const uint8_t *p = c->pos; p < c->end; p++) {
		uint64_t bits = *p & 0x7f;

		if (shift < 64)
			value |= bits << shift;
		/* Past 64 bits only the sign may go on. */
		if (shift >= 63 && bits != 0 && bits != 0x7f)
			return -EBADMSG;
		shift += 7;
		if (!(*p & 0x80)) {
			if (shift < 64 && (*p & 0x40))
				value |= ~UINT64_C(0) << shift;
			c->pos = p + 1;
			*ret = (int64_t)value;
			return 0;
		}
		if (shift > 70)
			return -EBADMSG;
	}
	return -EBADMSG;
}

int fnp_cursor_string(struct fnp_cursor *c, const char **ret)
{
	const uint8_t *nul = memchr(c->pos, 0, fnp_cursor_left(c));

	if (!nul)
		return -EBADMSG;
	*ret = (const char *)c->pos;
	c->pos = nul + 1;
	return 0;
}
