/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format, byte for byte, and what is no message. */
#include "tests/formats/build.h"

#include "formats/protobuf.h"

static void assert_bytes(const struct fnp_buffer *b, const void *want, size_t len)
{
	assert_int_equal(b->error, 0);
	assert_int_equal(b->len, len);
	assert_memory_equal(b->data, want, len);
}

/* The string literal without its NUL. */
#define assert_written(b, literal) assert_bytes(b, literal, sizeof(literal) - 1)

static void number_is_a_varint(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	fnp_protobuf_u64(&b, 1, 150);
	assert_written(&b, "\x08\x96\x01");
}

static void largest_numbers_take_ten_bytes(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	fnp_protobuf_u64(&b, 2, UINT64_MAX);
	fnp_protobuf_i64(&b, 2, -2);
	assert_written(&b, "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
			   "\x10\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

static void field_number_past_15_takes_two_bytes(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	fnp_protobuf_u64(&b, 16, 1);
	assert_written(&b, "\x80\x01\x01");
}

static void zero_and_empty_are_not_written(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	fnp_protobuf_u64(&b, 1, 0);
	fnp_protobuf_bytes(&b, 2, "", 0);
	assert_int_equal(b.len, 0);
}

static void empty_entry_of_a_list_is_written(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	fnp_protobuf_entry(&b, 6, "", 0);
	fnp_protobuf_entry(&b, 6, "cpu", 3);
	assert_written(&b, "\x32\x00\x32\x03"
			   "cpu");
}

static void nested_messages_carry_their_length(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	size_t outer, inner;

	(void)state;
	outer = fnp_protobuf_begin(&b, 4);
	fnp_protobuf_u64(&b, 1, 7);
	inner = fnp_protobuf_begin(&b, 4);
	fnp_protobuf_u64(&b, 1, 9);
	fnp_protobuf_end(&b, inner);
	inner = fnp_protobuf_begin(&b, 5);
	fnp_protobuf_end(&b, inner);
	fnp_protobuf_end(&b, outer);
	assert_written(&b, "\x22\x08\x08\x07\x22\x02\x08\x09\x2a\x00");
}

/* 127 is the longest message with a length of one byte; past it the message moves. */
static void length_is_as_short_as_it_can_be(void **state)
{
	static const uint8_t body[20000];
	static const struct {
		size_t len;
		const char *head;
		size_t head_len;
	} cases[] = {{127, "\x0a\x7f", 2},
		     {128, "\x0a\x80\x01", 3},
		     {16383, "\x0a\xff\x7f", 3},
		     {16384, "\x0a\x80\x80\x01", 4}};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(cases); i++) {
		fnp_autobuffer struct fnp_buffer b = {0};
		size_t message = fnp_protobuf_begin(&b, 1);

		fnp_buffer_append(&b, body, cases[i].len - 1);
		fnp_buffer_byte(&b, 0xee);
		fnp_protobuf_end(&b, message);
		assert_int_equal(b.len, cases[i].head_len + cases[i].len);
		assert_memory_equal(b.data, cases[i].head, cases[i].head_len);
		assert_int_equal(b.data[b.len - 1], 0xee);
	}
}

static void fields_are_read_back(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_protobuf_field field;

	(void)state;
	fnp_protobuf_u64(&b, 3, 300);
	fnp_protobuf_bytes(&b, 20, "ab", 2);
	fnp_buffer_append(&b, "\x29\x01\0\0\0\0\0\0\x80\x2d\x02\0\0\0", 14);
	struct fnp_cursor c = fnp_cursor_of(b.data, b.len);
	assert_int_equal(fnp_protobuf_next(&c, &field), 1);
	assert_int_equal(field.number, 3);
	assert_int_equal(field.value, 300);
	assert_int_equal(fnp_protobuf_next(&c, &field), 1);
	assert_int_equal(field.number, 20);
	assert_int_equal(fnp_cursor_left(&field.bytes), 2);
	assert_int_equal(fnp_protobuf_next(&c, &field), 1);
	assert_true(field.type == FNP_PROTOBUF_FIXED64 && field.value == UINT64_C(0x8000000000000001));
	assert_int_equal(fnp_protobuf_next(&c, &field), 1);
	assert_true(field.type == FNP_PROTOBUF_FIXED32 && field.value == 2);
	assert_int_equal(fnp_protobuf_next(&c, &field), 0);
}

static void broken_field_is_rejected_and_nothing_is_consumed(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{"\x80", 1}, /* a tag that does not end */
		{"\x08", 1}, /* no value */
		{"\x0a\x05"
		 "abcd",
		 6}, /* longer than what is there */
		{"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
		{"\x00\x01", 2}, /* field 0 */
		{"\x0b\x0c", 2}, /* a group */
		{"\x0e", 1},
		{"\x0f", 1}, /* wire types that do not exist */
		{"\x09\0\0\0\0\0\0\0", 8},
		{"\x0d\0\0\0", 4},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 13},
		{"\x80\x80\x80\x80\x10\x01", 6}, /* field 2^29 */
	};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(cases); i++) {
		struct fnp_protobuf_field field = {.number = 77};
		struct fnp_cursor c = fnp_cursor_of(cases[i].bytes, cases[i].len);

		assert_int_equal(fnp_protobuf_next(&c, &field), -EBADMSG);
		assert_int_equal(fnp_cursor_offset(&c), 0);
		assert_int_equal(field.number, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_is_a_varint),
		cmocka_unit_test(largest_numbers_take_ten_bytes),
		cmocka_unit_test(field_number_past_15_takes_two_bytes),
		cmocka_unit_test(zero_and_empty_are_not_written),
		cmocka_unit_test(empty_entry_of_a_list_is_written),
		cmocka_unit_test(nested_messages_carry_their_length),
		cmocka_unit_test(length_is_as_short_as_it_can_be),
		cmocka_unit_test(fields_are_read_back),
		cmocka_unit_test(broken_field_is_rejected_and_nothing_is_consumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
