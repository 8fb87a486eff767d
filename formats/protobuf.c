/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/protobuf.h"

static void put_tag(struct fnp_buffer *b, uint32_t field, enum fnp_protobuf_type type, uint64_t value)
{
	uint8_t *p = fnp_buffer_room(b, 2 * FNP_VARINT_MAX);

	if (!p)
		return;
	p = fnp_varint_put(p, (uint64_t)field << 3 | type);
	p = fnp_varint_put(p, value);
	b->len = (size_t)(p - b->data);
}

void fnp_protobuf_u64(struct fnp_buffer *b, uint32_t field, uint64_t value)
{
	if (value != 0)
		put_tag(b, field, FNP_PROTOBUF_VARINT, value);
}

void fnp_protobuf_entry(struct fnp_buffer *b, uint32_t field, const void *data, size_t len)
{
	put_tag(b, field, FNP_PROTOBUF_LEN, len);
	fnp_buffer_append(b, data, len);
}

void fnp_protobuf_bytes(struct fnp_buffer *b, uint32_t field, const void *data, size_t len)
{
	if (len != 0)
		fnp_protobuf_entry(b, field, data, len);
}

size_t fnp_protobuf_begin(struct fnp_buffer *b, uint32_t field)
{
	put_tag(b, field, FNP_PROTOBUF_LEN, 0);
	return b->len;
}

void fnp_protobuf_end(struct fnp_buffer *b, size_t begin)
{
	uint8_t length[FNP_VARINT_MAX];

	if (b->error)
		return;
	size_t body = b->len - begin;
	size_t n = (size_t)(fnp_varint_put(length, body) - length);
	if (!fnp_buffer_room(b, n - 1))
		return;
	uint8_t *p = b->data + begin;
	if (n > 1)
		memmove(p + n - 1, p, body);
	memcpy(p - 1, length, n);
	b->len += n - 1;
}

static int read_fixed(struct fnp_cursor *c, struct fnp_protobuf_field *field)
{
	uint32_t word;
	int r;

	if (field->type == FNP_PROTOBUF_FIXED64)
		return fnp_cursor_u64(c, &field->value);
	r = fnp_cursor_u32(c, &word);
	if (r == 0)
		field->value = word;
	return r;
}

static int read_value(struct fnp_cursor *c, struct fnp_protobuf_field *field)
{
	uint64_t len;
	int r;

	switch (field->type) {
	case FNP_PROTOBUF_VARINT:
		return fnp_cursor_uleb128(c, &field->value);
	case FNP_PROTOBUF_FIXED64:
	case FNP_PROTOBUF_FIXED32:
		return read_fixed(c, field);
	case FNP_PROTOBUF_LEN:
		r = fnp_cursor_uleb128(c, &len);
		return r < 0 ? r : fnp_cursor_sub(c, len, &field->bytes);
	}
	return -EBADMSG;
}

int fnp_protobuf_next(struct fnp_cursor *c, struct fnp_protobuf_field *ret)
{
	struct fnp_cursor ahead = *c;
	struct fnp_protobuf_field field = {0};
	uint64_t tag;
	int r;

	if (fnp_cursor_left(c) == 0)
		return 0;
	r = fnp_cursor_uleb128(&ahead, &tag);
	if (r < 0)
		return r;
	if (tag >> 3 == 0 || tag >> 3 >= UINT32_C(1) << 29)
		return -EBADMSG;
	field.number = (uint32_t)(tag >> 3);
	field.type = (enum fnp_protobuf_type)(tag & 7);
	r = read_value(&ahead, &field);
	if (r < 0)
		return r;
	*c = ahead;
	*ret = field;
	return 1;
}
