/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/formats/build.h"

#include <errno.h>

#include "formats/gzip.h"

/* A member of `len` equal bytes. */
static void pack(size_t len, struct fnp_buffer *ret)
{
	fnp_autofree uint8_t *data = calloc(len + 1, 1);

	assert_non_null(data);
	assert_int_equal(fnp_gzip_append(ret, data, len), 0);
	assert_true(fnp_gzip_is(ret->data, ret->len));
}

static void what_is_packed_is_unpacked(void **state)
{
	static const size_t lengths[] = {0, 1, 4095, 4096, 5000000};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(lengths); i++) {
		fnp_autobuffer struct fnp_buffer packed = {0}, out = {0};

		pack(lengths[i], &packed);
		assert_int_equal(fnp_gzip_unpack(packed.data, packed.len, lengths[i], &out), 0);
		assert_int_equal(out.len, lengths[i]);
	}
}

static void bomb_stops_at_the_bound(void **state)
{
	fnp_autobuffer struct fnp_buffer packed = {0}, out = {0};

	(void)state;
	pack(5000000, &packed);
	assert_true(packed.len < 10000);
	assert_int_equal(fnp_gzip_unpack(packed.data, packed.len, 4999999, &out), -EFBIG);
	assert_null(out.data);
}

/* The length at the end is a hint, and this one lies. */
static void wrong_length_at_the_end_is_rejected(void **state)
{
	fnp_autobuffer struct fnp_buffer packed = {0}, out = {0};

	(void)state;
	pack(100000, &packed);
	packed.data[packed.len - 1] = 0x7f;
	assert_int_equal(fnp_gzip_unpack(packed.data, packed.len, 1 << 20, &out), -EBADMSG);
	packed.data[packed.len - 1] = 0;
	packed.data[packed.len - 4] ^= 1;
	assert_int_equal(fnp_gzip_unpack(packed.data, packed.len, 1 << 20, &out), -EBADMSG);
}

static void broken_member_is_rejected(void **state)
{
	fnp_autobuffer struct fnp_buffer packed = {0}, out = {0};

	(void)state;
	pack(5000, &packed);
	for (size_t n = 0; n < packed.len; n++)
		assert_int_equal(fnp_gzip_unpack(packed.data, n, 1 << 20, &out), -EBADMSG);
	fnp_buffer_byte(&packed, 0);
	assert_int_equal(fnp_gzip_unpack(packed.data, packed.len, 1 << 20, &out), -EBADMSG);
	assert_false(fnp_gzip_is("\x1f", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_is_unpacked),
		cmocka_unit_test(bomb_stops_at_the_bound),
		cmocka_unit_test(wrong_length_at_the_end_is_rejected),
		cmocka_unit_test(broken_member_is_rejected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
