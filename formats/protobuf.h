/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire format of Protocol Buffers, as far as profiles need it: written straight into a buffer, read through a
 * cursor. https://protobuf.dev/programming-guides/encoding/
 *
 * A message is a run of fields; a field begins with a varint, number << 3 | wire type. A nested message is a field
 * of type LEN: its length stands before it, and is not known before it is written. So fnp_protobuf_begin leaves one
 * byte, which is enough for messages below 128 bytes, and fnp_protobuf_end moves the message on where it is not:
 * lengths are always as short as they can be, and equal messages are equal bytes.
 *
 *	size_t line = fnp_protobuf_begin(b, LOCATION_LINE);
 *	fnp_protobuf_u64(b, LINE_FUNCTION_ID, 7);
 *	fnp_protobuf_end(b, line);
 *
 * Errors of memory stick to the buffer (base/buffer.h); the encoder looks once, at its end.
 */
#ifndef FNP_FORMATS_PROTOBUF_H
#define FNP_FORMATS_PROTOBUF_H

#include "base/buffer.h"
#include "base/cursor.h"

#define FNP_VARINT_MAX 10 /* bytes of 64 bits in groups of 7 */

enum fnp_protobuf_type {
	FNP_PROTOBUF_VARINT = 0,
	FNP_PROTOBUF_FIXED64 = 1,
	FNP_PROTOBUF_LEN = 2,
	FNP_PROTOBUF_FIXED32 = 5,
};

/* Writes to p, which has room for FNP_VARINT_MAX; returns the byte after. */
static inline uint8_t *fnp_varint_put(uint8_t *p, uint64_t value)
{
	while (value >= 0x80) {
		*p++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*p++ = (uint8_t)value;
	return p;
}

/* Fields whose value is 0 or empty are not written: that is what their absence means. */
void fnp_protobuf_u64(struct fnp_buffer *b, uint32_t field, uint64_t value);
void fnp_protobuf_bytes(struct fnp_buffer *b, uint32_t field, const void *data, size_t len);

static inline void fnp_protobuf_i64(struct fnp_buffer *b, uint32_t field, int64_t value)
{
	fnp_protobuf_u64(b, field, (uint64_t)value);
}

/* An entry of a repeated field of bytes or text: also written when it is empty. */
void fnp_protobuf_entry(struct fnp_buffer *b, uint32_t field, const void *data, size_t len);

/* Opens a nested message, also one that stays empty; gives what fnp_protobuf_end wants. Nests. */
size_t fnp_protobuf_begin(struct fnp_buffer *b, uint32_t field);
void fnp_protobuf_end(struct fnp_buffer *b, size_t begin);

/* One field that was read. */
struct fnp_protobuf_field {
	uint32_t number;
	enum fnp_protobuf_type type;
	uint64_t value;		 /* of VARINT, FIXED64 and FIXED32 */
	struct fnp_cursor bytes; /* of LEN */
};

/* The next field: 1, 0 at the end, -EBADMSG for what is no field (also groups, which proto3 does not have). */
int fnp_protobuf_next(struct fnp_cursor *c, struct fnp_protobuf_field *ret);

#endif
